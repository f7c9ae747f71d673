// SPDX-License-Identifier: Apache-2.0

// Package devenv runs the whole product on one machine, on loopback: etcd and a Kubernetes API
// server with this repository's manifests applied, the Management Portal with a development single
// sign-on, the SCIM webhook and the manager. `make run`, the end-to-end tests and the benchmarks
// use this package; nothing in it runs in a cluster.
//
// The differences from a cluster:
//
//   - The programs run under the service accounts of config/overlays/separate with tokens from the
//     API server's own TokenRequest, so that the Roles in config/rbac apply.
//   - There is no kubelet: package mount writes the token Secrets as files, like a mounted Secret.
//   - A controller manager runs only with Options.KubeControllers: without it there is no garbage
//     collection, and a deleted namespace never terminates.
//   - etcd has no authentication; it listens on loopback alone.
//
// With Options.Driver SCIM, a small SCIM service provider takes the place of the portal and of the
// single sign-on.
//
// All data is in one folder and survives a restart, including what users changed in the portal or
// with kubectl.
package devenv

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	portalv1 "lightrun.com/scim-operator/api/portal/v1"
	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/test/framework/devenv/process"
)

// Namespace is the installation's namespace in config/overlays/development.
const Namespace = "lightrun-system"

// Names of the programs, for Kill and Restart and in messages.
const (
	Etcd       = "etcd"
	Kubernetes = "kube-apiserver"
	SSO        = "dev-oidc"
	Target     = "dev-scim-target"
	Portal     = "portal"
	Webhook    = "scim-webhook"
	Manager    = "manager"
)

// Options configure an Environment.
type Options struct {
	Dir      string // data folder; created if it does not exist
	Root     string // the repository, for its config/
	Assets   string // folder of kube-apiserver, etcd and kubectl
	Programs string // folder of manager, scim-webhook, portal and dev-oidc
	Ports    Ports
	LogLevel string // of our programs; info when empty
	// Driver is how the manager writes accounts: to the portal by its contract, which is also the
	// meaning of "", or to a SCIM target.
	Driver v1alpha1.PortalDriver

	// WebhookArgs and ManagerArgs are further flags of the webhook and the manager; the last value
	// of a flag counts.
	WebhookArgs, ManagerArgs []string
	// ManagerEnv is added to the manager's environment, in the form key=value.
	ManagerEnv []string
	// Patience is the maximum time until a program serves; zero means a minute.
	Patience time.Duration

	// Kubeconfigs are files that programs and replicas use instead of their own, by name, from
	// their next start on. For tests with a proxy between a program and the API server.
	Kubeconfigs map[string]string

	// Build, if set, builds the programs after the folder is locked and the ports are free.
	Build func(ctx context.Context) error
	// KubeControllers runs Kubernetes' own garbage collector and namespace controller too. For
	// tests.
	KubeControllers bool
	// Volatile data need not survive a power cut: etcd does not wait for the disk. For tests.
	Volatile bool
	// Out gets a line for each step.
	Out io.Writer
}

// Environment is all running programs.
type Environment struct {
	Options
	Values Values
	// Kube is an administrator's connection to the API server, without a client-side rate limit.
	Kube   *rest.Config
	Client client.WithWatch
	// API is a client of the portal's API with the scope manage, which administrators use. It is
	// nil with a SCIM target.
	API *portalv1.ClientWithResponses
	// Notes contains problems for the developer: what was changed since the first start and no
	// longer works.
	Notes []string

	credentials credentials
	lock        *os.File
	children    []*process.Process // in the order of their starts
	replicas    map[string]Ports   // the webhooks that AddWebhook started
	unmount     context.CancelFunc // ends the stand-in for the kubelet
	http        *http.Client
}

// Start starts everything and returns when it serves. On new data it switches single sign-on and
// SCIM on in the portal. After an error nothing runs.
func Start(ctx context.Context, o Options) (env *Environment, err error) {
	e := &Environment{Options: o, http: &http.Client{Timeout: 5 * time.Second}}
	defer func() {
		if err != nil {
			err = errors.Join(err, e.Stop())
		}
	}()
	for _, step := range []func(context.Context) error{
		e.prepare, e.startControlPlane, e.startPortal, e.install, e.configure, e.switchOn, e.mountTokens, e.startOperator, e.settle, e.announce,
	} {
		if err := step(ctx); err != nil {
			return nil, err
		}
	}
	return e, nil
}

// prepare locks the folder and checks all conditions before anything runs.
func (e *Environment) prepare(ctx context.Context) error {
	if e.Out == nil {
		e.Out = io.Discard
	}
	for _, path := range []*string{&e.Dir, &e.Root, &e.Assets, &e.Programs} {
		full, err := filepath.Abs(*path)
		if err != nil {
			return err
		}
		*path = full
	}
	if err := os.MkdirAll(e.Dir, 0o700); err != nil {
		return err
	}
	var err error
	if e.lock, err = lockFolder(e.Dir); err != nil {
		return err
	}
	if err := e.withdraw(); err != nil {
		return err
	}
	if err := e.sameDriver(); err != nil {
		return err
	}
	if err := e.Ports.free(ctx); err != nil {
		return err
	}
	if e.Build != nil {
		if err := e.Build(ctx); err != nil {
			return err
		}
	}
	if err := present(e.Assets, "make control-plane builds it", "kube-apiserver", "etcd", "kubectl"); err != nil {
		return err
	}
	if err := present(e.Programs, "make build builds it", e.programs()...); err != nil {
		return err
	}
	for _, folder := range []string{"logs", "kubernetes", "portal", "target", "secrets"} {
		if err := os.MkdirAll(e.path(folder), 0o700); err != nil {
			return err
		}
	}
	if err := keepOldLogs(e.path("logs")); err != nil {
		return err
	}
	if e.credentials, err = loadCredentials(e.path("credentials")); err != nil {
		return err
	}
	e.Values = e.values()
	return nil
}

func present(folder, remedy string, names ...string) error {
	for _, name := range names {
		if _, err := os.Stat(filepath.Join(folder, name)); err != nil {
			return fmt.Errorf("%s contains no %s: %s", folder, name, remedy)
		}
	}
	return nil
}

// Wait returns nil when ctx ends, and an error when any program that runs now ends first, also by
// Kill or Halt.
func (e *Environment) Wait(ctx context.Context) error {
	ended := make(chan error, len(e.children))
	done, cancel := context.WithCancel(ctx)
	defer cancel()
	for _, child := range e.children {
		go func() {
			select {
			case <-child.Done():
				ended <- child.Err()
			case <-done.Done():
			}
		}()
	}
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
		return nil
	}
}

// Stop ends everything in the reverse order of the starts and unlocks the folder. It may be called
// again.
func (e *Environment) Stop() error {
	var errs []error
	if e.lock != nil {
		errs = append(errs, e.withdraw())
	}
	if e.unmount != nil {
		e.unmount()
	}
	for i := len(e.children) - 1; i >= 0; i-- {
		errs = append(errs, e.children[i].Stop())
	}
	e.children = nil
	if e.lock != nil {
		errs = append(errs, e.lock.Close())
		e.lock = nil
	}
	return errors.Join(errs...)
}

// Kill ends one program, like a crash.
func (e *Environment) Kill(name string) error {
	child, err := e.child(name)
	if err != nil {
		return err
	}
	child.Kill()
	return nil
}

// Halt stops one program with SIGTERM, as a rollout does.
func (e *Environment) Halt(name string) error {
	child, err := e.child(name)
	if err != nil {
		return err
	}
	return child.Stop()
}

// Restart starts a program that has ended, and returns when it serves.
func (e *Environment) Restart(ctx context.Context, name string) error {
	for i, child := range e.children {
		if child.Name() != name {
			continue
		}
		select {
		case <-child.Done():
		default:
			return fmt.Errorf("%s is running; Kill or Halt it first", name)
		}
		running := len(e.children)
		err := e.run(ctx, e.specs()[name])
		if len(e.children) > running { // in its old place: Stop ends programs in the reverse order
			e.children[i] = e.children[running]
			e.children = e.children[:running]
		}
		return err
	}
	return fmt.Errorf("there is no program %q", name)
}

// PID returns the process id of a program, or an error if there is none with that name.
func (e *Environment) PID(name string) (int, error) {
	child, err := e.child(name)
	if err != nil {
		return 0, err
	}
	return child.PID(), nil
}

func (e *Environment) child(name string) (*process.Process, error) {
	for _, child := range e.children {
		if child.Name() == name {
			return child, nil
		}
	}
	return nil, fmt.Errorf("there is no program %q", name)
}

func (e *Environment) path(parts ...string) string {
	return filepath.Join(append([]string{e.Dir}, parts...)...)
}

func (e *Environment) say(format string, args ...any) {
	fmt.Fprintf(e.Out, "  "+format+"\n", args...)
}
