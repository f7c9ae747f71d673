// SPDX-License-Identifier: Apache-2.0

// Package process runs a program as a child process with a log file, and reports why it ended.
//
// A child has its own process group, so that Ctrl-C in a terminal reaches only the parent, which
// then stops its children in order. On Linux the kernel kills the children of a dead parent.
package process

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// Spec describes the program to run.
type Spec struct {
	Name string
	Path string
	Args []string
	Env  []string      // the complete environment; nil means the parent's
	Log  string        // file to which both output streams are appended
	Stop time.Duration // how long Stop waits after SIGTERM before SIGKILL; 10 s if zero
}

// Process is a running child.
type Process struct {
	spec Spec
	cmd  *exec.Cmd
	done chan struct{}
	err  error // why it ended; read after done is closed
}

// Ended is the error of a child that ended by itself.
type Ended struct {
	Name  string
	State string   // such as "exit status 1"
	Log   string   // the log file
	Tail  []string // its last lines
}

func (e *Ended) Error() string {
	text := fmt.Sprintf("%s ended unexpectedly (%s); its log is %s", e.Name, e.State, e.Log)
	if len(e.Tail) == 0 {
		return text + " and is empty"
	}
	return text + " and ends:\n    " + strings.Join(e.Tail, "\n    ")
}

// Start runs the program.
func Start(spec Spec) (*Process, error) {
	log, err := os.OpenFile(spec.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", spec.Name, err)
	}
	defer log.Close()
	cmd := exec.CommandContext(context.Background(), spec.Path, spec.Args...) // lives until it is stopped
	cmd.Env, cmd.Stdout, cmd.Stderr = spec.Env, log, log
	cmd.SysProcAttr = attributes()
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", spec.Name, err)
	}
	p := &Process{spec: spec, cmd: cmd, done: make(chan struct{})}
	go func() {
		state := "exit status 0"
		if err := cmd.Wait(); err != nil {
			state = err.Error()
		}
		p.err = &Ended{Name: spec.Name, State: state, Log: spec.Log, Tail: tail(spec.Log, 15)}
		close(p.done)
	}()
	return p, nil
}

// Name returns the name in the Spec.
func (p *Process) Name() string { return p.spec.Name }

// PID returns the child's process id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Done is closed when the child has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Err returns why the child ended, with the last lines of its log; nil while it runs.
func (p *Process) Err() error {
	select {
	case <-p.done:
		return p.err
	default:
		return nil
	}
}

// Stop asks the child to end, kills it if it does not, and returns when it has ended. It returns an
// error if it had to kill the child.
func (p *Process) Stop() error {
	limit := p.spec.Stop
	if limit == 0 {
		limit = 10 * time.Second
	}
	if err := p.cmd.Process.Signal(syscall.SIGTERM); errors.Is(err, os.ErrProcessDone) {
		<-p.done
		return nil
	}
	select {
	case <-p.done:
		return nil
	case <-time.After(limit):
		p.Kill()
		return fmt.Errorf("%s did not stop within %s and was killed; see %s", p.spec.Name, limit, p.spec.Log)
	}
}

// Kill ends the child at once, like a crash, and returns when it has ended.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill() // it may have ended already
	<-p.done
}

// tail returns the last lines of a file, at most n.
func tail(file string, n int) []string {
	content, err := os.ReadFile(filepath.Clean(file))
	if err != nil {
		return []string{err.Error()}
	}
	const enough = 16 << 10
	text := strings.TrimSpace(string(content[max(0, len(content)-enough):]))
	if text == "" {
		return nil
	}
	lines := strings.Split(text, "\n")
	return lines[max(0, len(lines)-n):]
}
