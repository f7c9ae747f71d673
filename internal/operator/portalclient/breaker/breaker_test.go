// SPDX-License-Identifier: Apache-2.0

package breaker_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"lightrun.com/scim-operator/internal/kernel/portalapi"
	"lightrun.com/scim-operator/internal/operator/portalclient/breaker"
)

// stub returns err from every write and counts the calls.
type stub struct {
	portalapi.Client
	err   error
	calls int
}

func (s *stub) ReleasePool(context.Context, string, bool) error {
	s.calls++
	return s.err
}

var errDown = errors.New("connection refused")

// try makes one call and reports whether it reached the portal.
func try(t *testing.T, s *stub, c *breaker.Client) (reached bool, until time.Duration) {
	t.Helper()
	before := s.calls
	err := c.ReleasePool(t.Context(), "uid", false)
	var open *breaker.OpenError
	if errors.As(err, &open) {
		if s.calls != before {
			t.Fatal("the stub was called, but the error says it was not")
		}
		return false, time.Until(open.Until)
	}
	if !errors.Is(err, s.err) {
		t.Fatalf("the error is %v, want %v", err, s.err)
	}
	return true, 0
}

func TestBackoff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stub{err: errDown}
		c := breaker.New(s)
		for time.Since(start()) < 10*time.Minute {
			if reached, wait := try(t, s, c); !reached {
				time.Sleep(wait)
			}
		}
		if s.calls > 5+5+10*60/30 {
			t.Errorf("called %d times in ten minutes", s.calls)
		}
		t.Log("the first response closes the breaker for all callers")
		s.err = nil
		if reached, wait := try(t, s, c); !reached {
			time.Sleep(wait)
			if reached, _ := try(t, s, c); !reached {
				t.Fatal("no probe was let through")
			}
		}
		if c.Open() {
			t.Error("the breaker is still open after a response")
		}
		for range 100 {
			if reached, _ := try(t, s, c); !reached {
				t.Fatal("open without a failure")
			}
		}
	})
}

// start returns the start time of every synctest bubble.
func start() time.Time { return time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC) }

func TestWhichOutcomesOpen(t *testing.T) {
	for name, tc := range map[string]struct {
		reason string
		err    error
		calls  int // that reach the portal out of ten
	}{
		"Refusals":   {"A refusal is a response: the portal works.", &portalapi.Error{Status: 409, Code: portalapi.CodeStaleRevision}, 10},
		"OwnCancel":  {"A cancelled call says nothing about the portal.", context.Canceled, 10},
		"Transport":  {"Five failures in a row open the breaker.", errDown, 5},
		"Timeouts":   {"A timeout is a failure.", context.DeadlineExceeded, 5},
		"Failing":    {"Status 500 is a failure.", &portalapi.Error{Status: 500, Code: portalapi.CodeInternal}, 5},
		"Proxy":      {"A proxy's response is a failure, with any status.", &portalapi.InvalidResponseError{Status: 404, Problem: "it is not JSON"}, 5},
		"RetryAfter": {"Retry-After opens the breaker immediately, for all callers.", &portalapi.Error{Status: 429, Code: portalapi.CodeRateLimited, RetryAfter: time.Minute}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			s := &stub{err: tc.err}
			c := breaker.New(s)
			for range 10 {
				try(t, s, c)
			}
			if s.calls != tc.calls {
				t.Errorf("%s\n%d calls reached the portal, want %d", tc.reason, s.calls, tc.calls)
			}
		})
	}
}

func TestOneProbeAtATimeAndReset(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stub{err: &portalapi.Error{Status: 503, RetryAfter: 2 * time.Second}}
		c := breaker.New(s)
		try(t, s, c)
		if _, wait := try(t, s, c); wait != 2*time.Second {
			t.Errorf("wait is %s, want the portal's Retry-After", wait)
		}
		time.Sleep(2 * time.Second)
		gate := make(chan struct{})
		slow := &blocking{stub: s, gate: gate}
		c2 := breaker.New(slow)
		for range 5 { // opens c2
			slow.err = errDown
			try(t, s, c2)
		}
		time.Sleep(time.Second)
		slow.block = true
		done := make(chan error, 1)
		go func() { done <- c2.ReleasePool(t.Context(), "uid", false) }()
		synctest.Wait()
		if reached, _ := try(t, s, c2); reached {
			t.Error("a second call was sent during the probe")
		}
		close(gate)
		<-done
		if !c2.Open() {
			t.Error("the breaker must stay open after a failed probe")
		}
		c2.Reset()
		slow.block = false
		if reached, _ := try(t, s, c2); !reached {
			t.Error("open after Reset")
		}
	})
}

type blocking struct {
	*stub
	gate  chan struct{}
	block bool
}

func (b *blocking) ReleasePool(ctx context.Context, uid string, remove bool) error {
	if b.block {
		<-b.gate
	}
	return b.stub.ReleasePool(ctx, uid, remove)
}
