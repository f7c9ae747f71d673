// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

const module = "hack/controlplane"

// build compiles the named binaries from Go modules.
func build(ctx context.Context, dir string, names []string, estimate string, want versions) error {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	say("building %s; the first time takes about %s on two cores, later builds seconds", want, estimate)
	if err := modules(ctx, names); err != nil {
		return err
	}
	for _, name := range names {
		if err := buildOne(ctx, dir, name, want); err != nil {
			return fmt.Errorf("build %s: %w", name, err)
		}
	}
	return nil
}

// modules downloads the sources first, so that the estimate is for compilation alone. Listing the
// imports of the binaries downloads only the modules that they need.
func modules(ctx context.Context, names []string) error {
	p := newProgress("downloading Go modules", 0)
	defer p.done()
	args := []string{"list", "-deps", "-f", "{{.ImportPath}}"}
	for _, name := range names {
		args = append(args, "./"+name)
	}
	if _, err := goCommand(ctx, args...).Output(); err != nil {
		return describe("download the sources", err)
	}
	return nil
}

func buildOne(ctx context.Context, dir, name string, want versions) error {
	total, err := countPackages(ctx, name)
	if err != nil {
		return err
	}
	part := filepath.Join(dir, name+".part")
	defer os.Remove(part)
	// -v prints each package as its compilation starts.
	cmd := goCommand(ctx, "build", "-v", "-trimpath", "-buildvcs=false", "-ldflags", want.ldflags(), "-o", part, "./"+name)
	lines, err := cmd.StderrPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	p := newProgress("building "+name, total)
	failure := follow(lines, p)
	err = cmd.Wait()
	p.done()
	if err != nil {
		return fmt.Errorf("%w\n%s", err, failure)
	}
	return os.Rename(part, filepath.Join(dir, name))
}

// follow counts the package names and keeps the end of all other output, which has the compiler's
// errors.
func follow(lines io.Reader, p *progress) string {
	var other []string
	for scanner := bufio.NewScanner(lines); scanner.Scan(); {
		line := scanner.Text()
		if line == "" || strings.ContainsAny(line, " \t:#") {
			other = append(other[max(0, len(other)-20):], line)
			continue
		}
		p.step()
	}
	return strings.Join(other, "\n")
}

func countPackages(ctx context.Context, name string) (int, error) {
	out, err := goCommand(ctx, "list", "-deps", "./"+name).Output()
	if err != nil {
		return 0, describe("go list", err)
	}
	return strings.Count(string(out), "\n"), nil
}

// goCommand runs go in the control plane's own module, regardless of GOFLAGS and workspaces.
func goCommand(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = module
	cmd.Env = append(os.Environ(), "GOFLAGS=", "GOWORK=off")
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 5 * time.Second
	return cmd
}
