// SPDX-License-Identifier: Apache-2.0

package process

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func shell(t *testing.T, script string) Spec {
	t.Helper()
	return Spec{Name: "child", Path: "/bin/sh", Args: []string{"-c", script}, Log: filepath.Join(t.TempDir(), "child.log"), Stop: 300 * time.Millisecond}
}

func TestEndedSaysWhy(t *testing.T) {
	p, err := Start(shell(t, "echo one; echo the port is taken >&2; exit 3"))
	if err != nil {
		t.Fatal(err)
	}
	<-p.Done()
	var ended *Ended
	if !errors.As(p.Err(), &ended) {
		t.Fatalf("got %v", p.Err())
	}
	for _, want := range []string{"child ended unexpectedly", "exit status 3", "the port is taken", "child.log"} {
		if !strings.Contains(ended.Error(), want) {
			t.Errorf("%q does not say %q", ended.Error(), want)
		}
	}
}

func TestErrWhileRunning(t *testing.T) {
	p, err := Start(shell(t, "exec sleep 60"))
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Err(); err != nil {
		t.Errorf("the child runs, but Err is %v", err)
	}
	if err := p.Stop(); err != nil {
		t.Error(err)
	}
}

func TestStopKillsTheStubborn(t *testing.T) {
	spec := shell(t, `trap "" TERM; echo ready; while :; do sleep 0.05; done`)
	p, err := Start(spec)
	if err != nil {
		t.Fatal(err)
	}
	for len(tail(spec.Log, 1)) == 0 { // until the trap is set
		if err := p.Err(); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.Stop(); err == nil || !strings.Contains(err.Error(), "was killed") {
		t.Errorf("got %v", err)
	}
}

func TestStopAfterTheEnd(t *testing.T) {
	p, err := Start(shell(t, "exit 0"))
	if err != nil {
		t.Fatal(err)
	}
	<-p.Done()
	if err := p.Stop(); err != nil {
		t.Error(err)
	}
}

func TestStartOfNothing(t *testing.T) {
	spec := shell(t, "")
	spec.Path = filepath.Join(t.TempDir(), "nothing")
	if _, err := Start(spec); err == nil || !strings.Contains(err.Error(), "start child") {
		t.Errorf("got %v", err)
	}
}
