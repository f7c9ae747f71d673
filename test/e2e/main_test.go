// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
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

// suite contains what the stories share: the programs, built once, and an environment.
type suite struct {
	programs string // folder of the built programs
	dir      string // data of the shared environment

	once sync.Once
	env  *devenv.Environment
	err  error // of the start of env
}

var sharedSuite suite

func TestMain(m *testing.M) {
	log.SetLogger(logr.Discard()) // client libraries log through it
	code, err := runTests(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		code = 1
	}
	os.Exit(code)
}

func runTests(m *testing.M) (int, error) {
	temp, err := os.MkdirTemp("", "scim-e2e-")
	if err != nil {
		return 1, err
	}
	sharedSuite.programs, sharedSuite.dir = filepath.Join(temp, "bin"), filepath.Join(temp, "run")
	if err := os.MkdirAll(sharedSuite.programs, 0o700); err != nil {
		return 1, err
	}
	if err := build(sharedSuite.programs); err != nil {
		return 1, err
	}
	code := m.Run()
	if sharedSuite.env != nil {
		err = errors.Join(sharedSuite.env.Stop(), checkRefusals(sharedSuite.env), checkSecrets(sharedSuite.env))
	}
	if code != 0 || err != nil {
		fmt.Fprintln(os.Stderr, "e2e: logs are kept in", filepath.Join(sharedSuite.dir, "logs"))
		return code, err
	}
	return code, os.RemoveAll(temp)
}

// checkRefusals returns an error for each line of the logs in which the API server refused a
// request. Do not use it after a restart of the API server: it refuses all clients until it has
// read its Roles.
func checkRefusals(env *devenv.Environment) error {
	return searchLogs(env, func(program, line string) error {
		if !strings.Contains(line, "is forbidden") {
			return nil
		}
		return fmt.Errorf("the API server refused a request of %s: its Role in config/rbac lacks a right, or a policy denied it: %s", program, line)
	})
}

// checkSecrets returns an error if a log contains a secret.
func checkSecrets(env *devenv.Environment) error {
	secrets := []string{env.Values.SCIMToken, env.Values.PortalAPIKey, env.Values.AdminPassword, "lrp_"}
	return searchLogs(env, func(program, line string) error {
		if slices.ContainsFunc(secrets, func(secret string) bool { return strings.Contains(line, secret) }) {
			return fmt.Errorf("%s logged a secret", program)
		}
		return nil
	})
}

// searchLogs joins the errors that check returns for the lines of the programs' logs.
func searchLogs(env *devenv.Environment, check func(program, line string) error) error {
	var errs []error
	for _, program := range []string{devenv.Manager, devenv.Webhook, devenv.Portal} {
		files, err := filepath.Glob(filepath.Join(env.Dir, "logs", program+"*.log")) // also of further replicas
		if err == nil && len(files) == 0 {
			err = fmt.Errorf("%s has no log", program)
		}
		errs = append(errs, err)
		for _, file := range files {
			log, err := os.ReadFile(file)
			errs = append(errs, err)
			for line := range strings.Lines(string(log)) {
				errs = append(errs, check(program, line))
			}
		}
	}
	return errors.Join(errs...)
}

// start starts an environment for one test. At the end of the test it stops, and its logs must
// contain no secret.
func start(t *testing.T, o devenv.Options) *devenv.Environment {
	t.Helper()
	env, err := devenv.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(env.Stop(), checkSecrets(env)); err != nil {
			t.Error(err)
		}
	})
	return env
}

func build(folder string) error {
	cmd := exec.CommandContext(context.Background(), "go", "build", "-buildvcs=false", "-o", folder+"/",
		"./cmd/manager", "./cmd/scim-webhook", "./cmd/portal", "./hack/dev-oidc", "./hack/dev-scim-target", "./hack/run", "./hack/demo")
	cmd.Dir = controlplane.Root()
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build the programs: %w\n%s", err, out)
	}
	return nil
}

// options returns the options of an environment with its data in dir, on free ports.
func options(tb testing.TB, dir string) devenv.Options {
	tb.Helper()
	o, err := newOptions(dir)
	if err != nil {
		tb.Fatal(err)
	}
	return o
}

func newOptions(dir string) (devenv.Options, error) {
	assets, err := controlplane.Assets(controlplane.Root())
	if err != nil {
		return devenv.Options{}, err
	}
	ports, err := devenv.RandomPorts()
	return devenv.Options{
		Dir: dir, Root: controlplane.Root(), Assets: assets, Programs: sharedSuite.programs,
		Ports: ports, LogLevel: "debug", Volatile: true, KubeControllers: true, Out: os.Stderr,
	}, err
}

// shared returns the environment that most stories share, started by the first of them.
func shared(t *testing.T) *world {
	t.Helper()
	sharedSuite.once.Do(func() { sharedSuite.env, sharedSuite.err = sharedSuite.start() })
	if sharedSuite.err != nil {
		t.Fatal(sharedSuite.err)
	}
	return newWorld(t, sharedSuite.env)
}

// start starts the shared environment. It takes no test: one that failed here would end the
// sync.Once without an error for the later tests.
func (s *suite) start() (*devenv.Environment, error) {
	o, err := newOptions(s.dir)
	if err != nil {
		return nil, err
	}
	return devenv.Start(context.Background(), o)
}

// patience is the maximum time for which a story waits for a condition. On a busy machine, a
// leader's lease (15 s) and a back-off together take less.
const patience = 90 * time.Second

// eventually polls check until it returns nil. After patience, it fails the test with the last
// error.
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
