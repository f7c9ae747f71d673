// SPDX-License-Identifier: Apache-2.0

// Command assets makes kube-apiserver, etcd and kubectl available for `make run` and the tests. It
// tries, in this order: the folder in KUBEBUILDER_ASSETS; bin/k8s of this repository, if it has the
// wanted versions; a download by setup-envtest, with a short time limit; a build from Go modules
// (hack/controlplane). The build needs only Go and a module proxy, takes about ten minutes on two
// cores the first time, and shows its progress.
//
// With --controllers it makes kube-controller-manager available instead, for tests that need
// Kubernetes' own garbage collector and namespace controller. setup-envtest does not have it, so it
// is always built, in about four minutes.
//
// Run it from the repository's root: go run ./hack/assets
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

// binaries are the files that a folder of assets must contain, the fastest build first.
var binaries = []string{"etcd", "kubectl", "kube-apiserver"}

// controllerManager runs Kubernetes' own controllers. Only tests need it, so it is not one of the
// binaries.
const controllerManager = "kube-controller-manager"

type options struct {
	dir           string
	controllers   bool
	downloadLimit time.Duration
}

func main() {
	var o options
	flag.StringVar(&o.dir, "dir", filepath.Join("bin", "k8s"), "folder to put the binaries into")
	flag.BoolVar(&o.controllers, "controllers", false, "make "+controllerManager+" available instead of the others")
	flag.DurationVar(&o.downloadLimit, "download-limit", 20*time.Second, "how long a download may take before the binaries are built instead; 0 builds at once")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, o)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "control plane:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options) error {
	if o.controllers {
		return runControllers(ctx, o)
	}
	if dir := os.Getenv("KUBEBUILDER_ASSETS"); dir != "" {
		if missing := missingIn(dir, binaries); missing != "" {
			return fmt.Errorf("KUBEBUILDER_ASSETS=%s has no %s; complete the folder, or unset the variable and the binaries are found or built", dir, missing)
		}
		say("the control plane is in %s (KUBEBUILDER_ASSETS)", dir)
		return nil
	}
	if err := insideRepository(); err != nil {
		return err
	}
	want, err := wanted(ctx)
	if err != nil {
		return err
	}
	if missingIn(o.dir, binaries) == "" && readStamp(o.dir, stampFile) == want.String() {
		say("the control plane is in %s (%s)", o.dir, want)
		return nil
	}
	if err := os.MkdirAll(o.dir, 0o755); err != nil {
		return err
	}
	if err := get(ctx, o, want); err != nil {
		return err
	}
	return writeStamp(o.dir, stampFile, want.String())
}

// runControllers builds kube-controller-manager unless the folder of assets, or o.dir, has it. It
// has its own stamp, because a folder that was filled earlier may not have it.
func runControllers(ctx context.Context, o options) error {
	if dir := os.Getenv("KUBEBUILDER_ASSETS"); dir != "" && missingIn(dir, []string{controllerManager}) == "" {
		say("%s is in %s (KUBEBUILDER_ASSETS)", controllerManager, dir)
		return nil
	}
	if err := insideRepository(); err != nil {
		return err
	}
	want, err := wanted(ctx)
	if err != nil {
		return err
	}
	if missingIn(o.dir, []string{controllerManager}) == "" && readStamp(o.dir, controllersStampFile) == want.kubernetes {
		say("%s is in %s (%s)", controllerManager, o.dir, want.kubernetes)
		return nil
	}
	if err := os.MkdirAll(o.dir, 0o755); err != nil {
		return err
	}
	if err := build(ctx, o.dir, []string{controllerManager}, "4 minutes", want); err != nil {
		return err
	}
	return writeStamp(o.dir, controllersStampFile, want.kubernetes)
}

// get downloads the binaries, or builds them if the download fails or takes too long.
func get(ctx context.Context, o options, want versions) error {
	if o.downloadLimit > 0 {
		err := download(ctx, o, want)
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		say("no download (%v); building from Go modules instead", err)
	}
	return build(ctx, o.dir, binaries, "10 minutes", want)
}

// missingIn returns the first binary that dir lacks, or "" if dir is complete.
func missingIn(dir string, names []string) string {
	for _, name := range names {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.IsDir() || info.Mode()&0o111 == 0 {
			return name
		}
	}
	return ""
}

func insideRepository() error {
	if _, err := os.Stat(filepath.Join("hack", "controlplane", "go.mod")); err != nil {
		return errors.New("run this from the repository's root, where hack/controlplane is")
	}
	return nil
}

func say(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "control plane: "+format+"\n", args...)
}
