// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"lightrun.com/scim-operator/test/framework/controlplane"
	"lightrun.com/scim-operator/test/framework/devenv"
	"lightrun.com/scim-operator/test/framework/poll"
)

// stage is the environment of the stories: the programs, built once, and the environment that most
// stories share.
type stage struct {
	programs string // folder of the built programs
	dir      string // data of the shared environment

	once sync.Once
	env  *devenv.Environment
	err  error
}

var theStage stage

func TestMain(m *testing.M) {
	log.SetLogger(logr.Discard()) // client libraries log through it
	code, err := play(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		code = 1
	}
	os.Exit(code)
}

func play(m *testing.M) (int, error) {
	temp, err := os.MkdirTemp("", "scim-e2e-")
	if err != nil {
		return 1, err
	}
	theStage.programs, theStage.dir = filepath.Join(temp, "bin"), filepath.Join(temp, "run")
	if err := os.MkdirAll(theStage.programs, 0o700); err != nil {
		return 1, err
	}
	if err := build(theStage.programs); err != nil {
		return 1, err
	}
	code := m.Run()
	if theStage.env != nil {
		err = errors.Join(theStage.env.Stop(), wellBehaved(theStage.env))
	}
	if code != 0 || err != nil {
		fmt.Fprintln(os.Stderr, "e2e: logs are kept in", filepath.Join(theStage.dir, "logs"))
		return code, err
	}
	return code, os.RemoveAll(temp)
}

// wellBehaved returns errors from the logs of a whole run: calls that the API server refused
// because a Role lacks a right, and secrets.
func wellBehaved(env *devenv.Environment) error {
	var errs []error
	secrets := []string{env.Values.SCIMToken, env.Values.PortalAPIKey, env.Values.AdminPassword, "lrp_"}
	for _, program := range []string{devenv.Manager, devenv.Webhook, devenv.Portal} {
		log, err := os.ReadFile(filepath.Join(env.Dir, "logs", program+".log"))
		errs = append(errs, err)
		for line := range strings.Lines(string(log)) {
			if strings.Contains(line, "is forbidden") {
				errs = append(errs, fmt.Errorf("%s was refused by the API server; its Role in config/rbac lacks something: %s", program, line))
			}
			for _, secret := range secrets {
				if strings.Contains(line, secret) {
					errs = append(errs, fmt.Errorf("%s logged a secret", program))
				}
			}
		}
	}
	return errors.Join(errs...)
}

func build(folder string) error {
	cmd := exec.CommandContext(context.Background(), "go", "build", "-buildvcs=false", "-o", folder+"/",
		"./cmd/manager", "./cmd/scim-webhook", "./cmd/portal", "./hack/dev-oidc", "./hack/run", "./hack/demo")
	cmd.Dir = controlplane.Root()
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build the programs: %w\n%s", err, out)
	}
	return nil
}

// options returns those of an environment with its data in dir, on free ports.
func options(tb testing.TB, dir string) devenv.Options {
	tb.Helper()
	assets, err := controlplane.Assets(controlplane.Root())
	if err != nil {
		tb.Fatal(err)
	}
	ports, err := devenv.RandomPorts()
	if err != nil {
		tb.Fatal(err)
	}
	return devenv.Options{
		Dir: dir, Root: controlplane.Root(), Assets: assets, Programs: theStage.programs,
		Ports: ports, LogLevel: "debug", Volatile: true, KubeControllers: true, Out: os.Stderr,
	}
}

// shared returns the environment that most stories share, started by the first of them.
func shared(t *testing.T) *world {
	t.Helper()
	theStage.once.Do(func() {
		theStage.env, theStage.err = devenv.Start(context.Background(), options(t, theStage.dir))
	})
	if theStage.err != nil {
		t.Fatal(theStage.err)
	}
	return newWorld(t, theStage.env)
}

// patience is the maximum time for which a story waits for a condition. It is longer than a
// leader's lease (15 s) and a back-off together, on a busy machine.
const patience = 90 * time.Second

// eventually polls check until it returns nil, and fails with its last error.
func eventually(t *testing.T, what string, check func(context.Context) error) {
	t.Helper()
	poll.For(t, what, patience, 100*time.Millisecond, check)
}

// kubectl runs a command as an administrator does and returns its output.
func kubectl(t *testing.T, w *world, stdin string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), w.env.Values.Kubectl, args...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+w.env.Values.Kubeconfig, "KUBECACHEDIR="+t.TempDir())
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("kubectl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}
