// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"lightrun.com/scim-operator/test/framework/controlplane"
	"lightrun.com/scim-operator/test/framework/devenv"
)

// TestDemo runs `make demo` twice: each run uses new names.
func TestDemo(t *testing.T) {
	w := shared(t)
	for range 2 {
		cmd := exec.CommandContext(t.Context(), filepath.Join(sharedSuite.programs, "demo"), "--dir", w.env.Dir)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("make demo: %v\n%s", err, out)
		}
		for _, want := range []string{"8. Ada leaves", "Deactivated, read-only", "ROLE_MANAGER", "The day is over"} {
			if !strings.Contains(string(out), want) {
				t.Errorf("the demo does not show %q:\n%s", want, out)
			}
		}
	}
}

func TestDemoOnNothing(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), filepath.Join(sharedSuite.programs, "demo"), "--dir", t.TempDir()).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "start it with make run") {
		t.Errorf("%v\n%s", err, out)
	}
}

// command is `make run` as a process.
type command struct {
	t   *testing.T
	cmd *exec.Cmd
	out bytes.Buffer
	dir string
}

func makeRun(t *testing.T, dir string, ports devenv.Ports, args ...string) *command {
	t.Helper()
	c := &command{t: t, dir: dir}
	c.cmd = exec.CommandContext(t.Context(), filepath.Join(sharedSuite.programs, "run"), append(args, "--programs", sharedSuite.programs)...)
	c.cmd.Dir = controlplane.Root()
	c.cmd.Env = append(os.Environ(), "RUN_DIR="+dir)
	for _, port := range ports.All() {
		c.cmd.Env = append(c.cmd.Env, fmt.Sprintf("%s=%d", port.Env(), *port.Number))
	}
	c.cmd.Stdout, c.cmd.Stderr = &c.out, &c.out
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return c
}

// ready waits for the file env, which is written when everything serves.
func (c *command) ready() devenv.Values {
	c.t.Helper()
	var values devenv.Values
	eventually(c.t, "make run is ready", func(context.Context) (err error) {
		values, err = devenv.ReadValues(c.dir)
		return err
	})
	return values
}

// TestMakeRun starts and stops the command as an administrator does: Ctrl-C stops it cleanly, kill
// -9 ends every program too, and pushed data survives both.
func TestMakeRun(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	ports, err := devenv.RandomPorts()
	if err != nil {
		t.Fatal(err)
	}
	first := makeRun(t, dir, ports)
	values := first.ready()
	w := newWorld(t, &devenv.Environment{Values: values})
	id := w.arrive(w.name("ada"))
	if err := first.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := first.cmd.Wait(); err != nil {
		t.Errorf("after Ctrl-C: %v\n%s", err, &first.out)
	}
	for _, want := range []string{values.SCIMURL, values.SCIMToken, values.PortalURL, values.AdminPassword, "Stopped."} {
		if !strings.Contains(first.out.String(), want) {
			t.Errorf("the output does not contain %q:\n%s", want, &first.out)
		}
	}
	nothingListens(t, ports)

	second := makeRun(t, dir, ports)
	second.ready()
	w.must("GET", "/Users/"+id, nil, 200)
	other := makeRun(t, dir, ports)
	if err := other.cmd.Wait(); err == nil || !strings.Contains(other.out.String(), "another instance") {
		t.Errorf("a second make run: %v\n%s", err, &other.out)
	}
	_ = second.cmd.Process.Signal(syscall.SIGKILL)
	_ = second.cmd.Wait()
	if runtime.GOOS == "linux" { // where the kernel ends the children of a dead parent
		eventually(t, "no program runs after kill -9", func(context.Context) error { return listening(ports) })
		third := makeRun(t, dir, ports)
		eventually(t, "it serves again", func(ctx context.Context) error {
			_, err := w.scim(ctx, "GET", "/Users/"+id, nil)
			return err
		})
		third.ready()
		w.must("GET", "/Users/"+id, nil, 200)
		_ = third.cmd.Process.Signal(syscall.SIGTERM)
		if err := third.cmd.Wait(); err != nil {
			t.Errorf("after SIGTERM: %v\n%s", err, &third.out)
		}
	}
}

// TestMakeRunSCIM starts the command with a SCIM target, replays the demo against it, and starts it
// again: the target still has its users, so the manager sees no loss.
func TestMakeRunSCIM(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	ports, err := devenv.RandomPorts()
	if err != nil {
		t.Fatal(err)
	}
	first := makeRun(t, dir, ports, "-driver", "scim")
	values := first.ready()
	out, err := exec.CommandContext(t.Context(), filepath.Join(sharedSuite.programs, "demo"), "--dir", dir).CombinedOutput()
	if err != nil {
		t.Fatalf("make demo: %v\n%s", err, out)
	}
	for _, want := range []string{"8. Ada leaves", "AT THE TARGET", "Deactivated", "ROLE_MANAGER", "The day is over", values.TargetURL + "/Users"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("the demo does not show %q:\n%s", want, out)
		}
	}
	stop := func(c *command, want ...string) {
		t.Helper()
		if err := c.cmd.Process.Signal(os.Interrupt); err != nil {
			t.Fatal(err)
		}
		if err := c.cmd.Wait(); err != nil {
			t.Errorf("after Ctrl-C: %v\n%s", err, &c.out)
		}
		for _, text := range append(want, "Stopped.") {
			if !strings.Contains(c.out.String(), text) {
				t.Errorf("the output does not contain %q:\n%s", text, &c.out)
			}
		}
	}
	stop(first, values.SCIMURL, values.SCIMToken, values.TargetURL, values.TargetToken)
	nothingListens(t, ports)
	contract := makeRun(t, dir, ports)
	if err := contract.cmd.Wait(); err == nil || !strings.Contains(contract.out.String(), "was set up with the driver SCIM: choose another folder") {
		t.Errorf("with another driver: %v\n%s", err, &contract.out)
	}
	second := makeRun(t, dir, ports, "-driver", "scim")
	second.ready()
	stop(second)
	if strings.Contains(second.out.String(), "Note ") {
		t.Errorf("the second start has notes:\n%s", &second.out)
	}
}

func nothingListens(t *testing.T, ports devenv.Ports) {
	t.Helper()
	if err := listening(ports); err != nil {
		t.Error(err)
	}
}

// listening returns an error that names a port in use, nil if all are free.
func listening(ports devenv.Ports) error {
	for _, port := range ports.All() {
		listener, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(*port.Number)))
		if err != nil {
			return fmt.Errorf("%s still listens: %w", port.What, err)
		}
		_ = listener.Close()
	}
	return nil
}
