// SPDX-License-Identifier: Apache-2.0

// Command run starts the whole product on this machine, on loopback: see test/framework/devenv.
// `make run` builds it and runs it from the repository's root.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/go-logr/logr"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/test/framework/devenv"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	log.SetLogger(logr.Discard()) // client libraries log here; the programs have their own logs
	err := run(ctx, stop, os.Args[1:])
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "make run:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, stop func(), args []string) error {
	o, err := options(args)
	if err != nil {
		return err
	}
	begun := time.Now()
	fmt.Println("Starting everything on 127.0.0.1, data in", o.Dir)
	env, err := devenv.Start(ctx, o)
	switch {
	case ctx.Err() != nil: // err only reports the interruption
		fmt.Println("\nStopped before everything was up.")
		return nil
	case err != nil:
		return err
	}
	fmt.Print(summary(env, time.Since(begun)))
	err = env.Wait(ctx)
	stop() // a second Ctrl-C ends this program at once
	fmt.Println("\nStopping; the data stays in", o.Dir)
	err = errors.Join(err, env.Stop())
	if err == nil {
		fmt.Println("Stopped.")
	}
	return err
}

// options reads flags, and environment variables for flags that are not set.
func options(args []string) (devenv.Options, error) {
	o := devenv.Options{Root: ".", Assets: os.Getenv("KUBEBUILDER_ASSETS"), Out: os.Stdout}
	if o.Assets == "" {
		o.Assets = filepath.Join("bin", "k8s")
	}
	flags := flag.NewFlagSet("make run", flag.ContinueOnError)
	flags.StringVar(&o.Dir, "dir", or(os.Getenv("RUN_DIR"), ".run"), "data folder (RUN_DIR)")
	flags.StringVar(&o.LogLevel, "log-level", or(os.Getenv("LOG_LEVEL"), "info"), "debug, info or error, of the programs (LOG_LEVEL)")
	driver := flags.String("driver", "contract", "contract: the portal of this repository; scim: a SCIM target in its place")
	flags.StringVar(&o.Programs, "programs", "", "folder of the built programs; built into bin when not given")
	for _, port := range o.Ports.All() {
		number := port.Default
		if text := os.Getenv(port.Env()); text != "" {
			var err error
			if number, err = strconv.Atoi(text); err != nil {
				return o, fmt.Errorf("%s=%q is not a port number", port.Env(), text)
			}
		}
		flags.IntVar(port.Number, port.Flag(), number, fmt.Sprintf("port of %s (%s)", port.What, port.Env()))
	}
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if flags.NArg() > 0 {
		return o, fmt.Errorf("unexpected argument %q; see --help", flags.Arg(0))
	}
	switch strings.ToLower(*driver) {
	case "contract":
	case "scim":
		o.Driver = v1alpha1.PortalDriverSCIM
	default:
		return o, fmt.Errorf("--driver %q: use contract or scim", *driver)
	}
	for _, port := range o.Ports.All() {
		if *port.Number < 1 || *port.Number > 65535 {
			return o, fmt.Errorf("--%s %d: a port is 1 to 65535", port.Flag(), *port.Number)
		}
	}
	if _, err := os.Stat(filepath.Join("config", "overlays", "development")); err != nil {
		return o, errors.New("run this from the repository's root")
	}
	if o.Programs == "" {
		o.Programs = "bin"
		o.Build = func(ctx context.Context) error { return build(ctx, o.Programs) }
	}
	return o, nil
}

// build compiles the programs. A repeated build takes a few seconds, because Go caches the results.
func build(ctx context.Context, folder string) error {
	fmt.Println("  building the programs")
	cmd := exec.CommandContext(ctx, "go", "build", "-buildvcs=false", "-o", folder+string(filepath.Separator),
		"./cmd/manager", "./cmd/scim-webhook", "./cmd/portal", "./hack/dev-oidc", "./hack/dev-scim-target")
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("go build: %w", err)
	}
	return nil
}

func summary(env *devenv.Environment, took time.Duration) string {
	v := env.Values
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("\nReady after %s.\n", took.Round(100*time.Millisecond))
	if v.TargetURL != "" {
		line("SCIM target         %s", v.TargetURL)
		line("  token             %s", v.TargetToken)
		line(`  its users         curl -H "Authorization: Bearer $SCIM_TARGET_TOKEN" $SCIM_TARGET_URL/Users`)
	} else {
		line("Portal              %s", v.PortalURL)
		line("  manager           %s  password %s", v.AdminUser, v.AdminPassword)
		line("  other users       \"Sign in with SSO\" with the pushed user name, password %s", v.SSOPassword)
	}
	line("")
	line("Paste into the identity provider")
	line("  SCIM base URL     %s", v.SCIMURL)
	line("  token             %s", v.SCIMToken)
	line("")
	line("In another terminal")
	line("  source %s", fromHere(filepath.Join(env.Dir, devenv.EnvFile)))
	line("  alias kubectl=%s", v.Kubectl)
	line("  kubectl get scimusers,scimgroups,agentpools,identityconfigurations")
	line("  make demo         replays a small company's day")
	line("")
	line("Logs                %s", filepath.Join(env.Dir, "logs"))
	for _, note := range env.Notes {
		line("Note                %s", note)
	}
	line("Ctrl-C stops everything; the data stays.")
	return b.String()
}

// fromHere returns the path relative to the working directory, if it is below that.
func fromHere(path string) string {
	here, err := os.Getwd()
	if err != nil {
		return path
	}
	if short, err := filepath.Rel(here, path); err == nil && filepath.IsLocal(short) {
		return short
	}
	return path
}

func or(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}
