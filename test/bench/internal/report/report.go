// SPDX-License-Identifier: Apache-2.0

// Package report writes the results of benchmarks into a page, with the machine and the commit.
package report

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"runtime"
	"strings"
)

// Commit returns the commit that is checked out, with -dirty if files differ from it, or "unknown"
// without git.
func Commit() string {
	out, err := exec.CommandContext(context.Background(), "git", "describe", "--always", "--dirty", "--abbrev=10").Output()
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(out))
}

// Machine describes this machine.
func Machine() string {
	model := runtime.GOARCH
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(text)) {
			if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
				model = strings.TrimSpace(value)
				break
			}
		}
	}
	return fmt.Sprintf("%d × %s, %s/%s, %s", runtime.NumCPU(), model, runtime.GOOS, runtime.GOARCH, runtime.Version())
}

// Prepare checks, before the first measurement, that Write can write to a page. If the page does
// not exist, it creates one that contains only the place for results. An empty name does nothing.
func Prepare(file, command string) error {
	if file == "" {
		return nil
	}
	begins, ends := marks(command)
	_, err := os.Stat(file)
	if errors.Is(err, fs.ErrNotExist) {
		err = os.WriteFile(file, []byte(begins+ends), pageMode) //nolint:gosec // a page for everyone to read
	}
	if err != nil {
		return fmt.Errorf("--out: %w", err)
	}
	page, err := os.OpenFile(file, os.O_RDWR, 0)
	if err != nil {
		return fmt.Errorf("--out: %w", err)
	}
	text, err := io.ReadAll(page)
	if err := errors.Join(err, page.Close()); err != nil {
		return fmt.Errorf("--out: %w", err)
	}
	if _, _, err := around(file, text, command); err != nil {
		return fmt.Errorf("--out: %w", err)
	}
	return nil
}

// Write replaces the results in a page. They are between two lines, and the first of these names
// the command that writes them, such as "make bench". The text around them is written by hand.
func Write(file, command, results string) error {
	page, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	before, after, err := around(file, page, command)
	if err != nil {
		return err
	}
	begins, ends := marks(command)
	return os.WriteFile(file, bytes.Join([][]byte{before, []byte(begins + results + ends), after}, nil), pageMode) //nolint:gosec // a page for everyone to read
}

// pageMode allows all users of the machine to read a page.
const pageMode = 0o644

// marks returns the lines before and after the results.
func marks(command string) (begins, ends string) {
	return "<!-- results: written by " + command + " -->\n", "<!-- end of results -->\n"
}

// around returns the text of a page before and after the results.
func around(file string, page []byte, command string) (before, after []byte, err error) {
	begins, ends := marks(command)
	before, rest, found := bytes.Cut(page, []byte(begins))
	_, after, closed := bytes.Cut(rest, []byte(ends))
	if !found || !closed {
		return nil, nil, fmt.Errorf("%s has no place for results: it must contain the lines %q and %q", file, begins, ends)
	}
	return before, after, nil
}
