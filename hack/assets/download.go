// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// download runs setup-envtest to get the binaries of the wanted minor version, and copies them into
// o.dir. The time limit does not include building setup-envtest.
func download(ctx context.Context, o options, want versions) error {
	say("preparing setup-envtest")
	tool, err := exec.CommandContext(ctx, "go", "tool", "-modfile=hack/tools/go.mod", "-n", "setup-envtest").Output()
	if err != nil {
		return describe("build setup-envtest", err)
	}
	store, err := os.MkdirTemp("", "envtest-")
	if err != nil {
		return err
	}
	defer removeAll(store)

	say("downloading Kubernetes %s (up to %s)", want.minor(), o.downloadLimit)
	limited, cancel := context.WithTimeout(ctx, o.downloadLimit)
	defer cancel()
	cmd := exec.CommandContext(limited, strings.TrimSpace(string(tool)), "use", want.minor()+".x", "-p", "path", "--bin-dir", store)
	found, err := cmd.Output()
	switch {
	case errors.Is(limited.Err(), context.DeadlineExceeded):
		return fmt.Errorf("it did not arrive within %s", o.downloadLimit)
	case err != nil:
		return describe("setup-envtest", err)
	}
	for _, name := range binaries {
		if err := install(filepath.Join(strings.TrimSpace(string(found)), name), filepath.Join(o.dir, name)); err != nil {
			return err
		}
	}
	return nil
}

// describe adds the last line of a command's standard error to err.
func describe(what string, err error) error {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		lines := strings.Split(strings.TrimSpace(string(exit.Stderr)), "\n")
		return fmt.Errorf("%s: %s", what, strings.TrimSpace(lines[len(lines)-1]))
	}
	return fmt.Errorf("%s: %w", what, err)
}

// install copies a binary atomically.
func install(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	part := to + ".part"
	out, err := os.OpenFile(part, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o755)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	if err := errors.Join(err, out.Close()); err != nil {
		return fmt.Errorf("copy %s: %w", from, err)
	}
	return os.Rename(part, to)
}

// removeAll also removes files that setup-envtest made read-only.
func removeAll(dir string) {
	_ = filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			return os.Chmod(path, 0o755)
		}
		return nil
	})
	_ = os.RemoveAll(dir)
}
