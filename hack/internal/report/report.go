// Package report is what the benchmarks write besides their numbers: the machine and the commit, and where in a page the numbers go.
package report

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
)

// Commit is the commit that is checked out, with -dirty when files differ from it; "unknown" without git.
func Commit() string {
	out, err := exec.CommandContext(context.Background(), "git", "describe", "--always", "--dirty", "--abbrev=10").Output()
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(out))
}

// Machine describes where this runs.
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

// Write replaces the results in a page. They stand between two lines, of which the first names the command that writes them, such as
// "make bench"; the text around them is written by hand.
func Write(file, command, results string) error {
	page, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	begins, ends := "<!-- results: written by "+command+" -->\n", "<!-- end of results -->\n"
	before, rest, found := bytes.Cut(page, []byte(begins))
	_, after, closed := bytes.Cut(rest, []byte(ends))
	if !found || !closed {
		return fmt.Errorf("%s has no place for results: it must hold the lines %q and %q", file, begins, ends)
	}
	return os.WriteFile(file, bytes.Join([][]byte{before, []byte(begins + results + ends), after}, nil), 0o644) //nolint:gosec // a page for everybody to read
}
