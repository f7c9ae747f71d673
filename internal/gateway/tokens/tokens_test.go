// SPDX-License-Identifier: Apache-2.0

package tokens

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"lightrun.com/scim-operator/internal/kernel/provider"
	"lightrun.com/scim-operator/internal/kernel/tokenfile"
	folder "lightrun.com/scim-operator/test/framework/devenv/mount"
	"lightrun.com/scim-operator/test/framework/poll"
)

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// mount creates the files as the kubelet mounts a Secret: links into ..data, which is a link to a
// folder with a timestamp.
func mount(t *testing.T, dir, date, text string) {
	t.Helper()
	write(t, filepath.Join(dir, ".."+date, "tokens"), text)
	next := filepath.Join(dir, "..data_tmp")
	if err := os.Symlink(".."+date, next); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(next, filepath.Join(dir, "..data")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join("..data", "tokens"), filepath.Join(dir, "tokens")); err != nil && !errors.Is(err, os.ErrExist) {
		t.Fatal(err)
	}
}

// line returns a token line for Okta.
func line(token, more string) string {
	return "sha256:" + tokenfile.Digest(token) + " provider=Okta " + more + "\n"
}

func TestSet(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "a", "one"), line("alpha", "name=alpha")+line("beta", "expires=2026-01-01T00:00:00Z name=beta"))
	write(t, filepath.Join(dir, "b"), line("gamma", "expires=2026-01-01T00:00:00Z")+line("gamma", "expires=2028-01-01T00:00:00Z"))
	write(t, filepath.Join(dir, ".hidden"), line("hidden", ""))
	s := NewSet(dir, filepath.Join(dir, "missing"))
	s.now = func() time.Time { return time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC) }
	if _, err := s.Authenticate("alpha"); err == nil {
		t.Error("nothing is accepted before Load")
	}
	if err := s.Load(); err != nil {
		t.Fatal(err)
	}
	e, err := s.Authenticate("alpha")
	if err != nil || e.Name != "alpha" || e.Provider != (provider.ID{Type: provider.Okta}) {
		t.Errorf("alpha: %v %v", e, err)
	}
	var expired *Expired
	if _, err := s.Authenticate("beta"); !errors.As(err, &expired) || !strings.Contains(err.Error(), "expired") || !strings.Contains(err.Error(), "beta") {
		t.Errorf("beta: %v", err)
	}
	if _, err := s.Authenticate("gamma"); err != nil {
		t.Errorf("of two lines the one that expires later must count: %v", err)
	}
	for _, unknown := range []string{"", "delta", "hidden", tokenfile.Digest("alpha")} {
		if _, err := s.Authenticate(unknown); err == nil || !strings.Contains(err.Error(), "create a new API key with the scope scim") {
			t.Errorf("%q must be refused with a remedy: %v", unknown, err)
		}
	}
	if s.Len() != 3 || len(s.All()) != 3 {
		t.Errorf("there are %d tokens", s.Len())
	}
	if err := s.Load(); err != nil {
		t.Fatal(err)
	}
	for _, u := range s.All() {
		if used := !u.LastUsed.IsZero(); used != (u.Name != "beta") {
			t.Errorf("%q: used is %v, and refused is not used, whatever was read again", u.Name, used)
		}
	}
}

// TestCollector: the metrics contain the data that alerts need, and no token.
func TestCollector(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "one"), line("alpha", "name=alpha expires=2028-01-01T00:00:00Z")+line("beta", ""))
	s := NewSet(dir)
	s.now = func() time.Time { return time.Unix(1_800_000_000, 0) }
	if err := s.Load(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Authenticate("beta"); err != nil {
		t.Fatal(err)
	}
	want := `
# HELP scim_token_expiry_timestamp_seconds When a bearer token expires, in seconds since 1970.
# TYPE scim_token_expiry_timestamp_seconds gauge
scim_token_expiry_timestamp_seconds{digest="` + tokenfile.Digest("alpha")[:8] + `",token="alpha"} 1.8302976e+09
# HELP scim_token_last_used_timestamp_seconds When this replica last accepted a bearer token, in seconds since 1970.
# TYPE scim_token_last_used_timestamp_seconds gauge
scim_token_last_used_timestamp_seconds{digest="` + tokenfile.Digest("beta")[:8] + `",token=""} 1.8e+09
# HELP scim_tokens Number of known bearer tokens.
# TYPE scim_tokens gauge
scim_tokens 2
`
	if err := testutil.CollectAndCompare(Collector(s), strings.NewReader(want)); err != nil {
		t.Error(err)
	}
}

func TestLoadKeepsWhatItCannotRead(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "one"), line("alpha", ""))
	s := NewSet(dir)
	if err := s.Load(); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "huge"), strings.Repeat("x", maxFile+1))
	if err := s.Load(); err == nil {
		t.Error("a file that is too large must be reported")
	}
	if _, err := s.Authenticate("alpha"); err != nil {
		t.Error("accepted tokens must stay accepted")
	}
}

// TestWatch rotates a token as the kubelet does, without a restart.
func TestWatch(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "secret")
	s := NewSet(dir)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Watch(ctx, logr.Discard(), time.Hour) }()
	mount(t, dir, "2026_01_01", line("old", ""))
	accepted := func(token string) bool {
		_, err := s.Authenticate(token)
		return err == nil
	}
	eventually(t, func() bool { return accepted("old") })
	mount(t, dir, "2026_01_02", line("old", "")+line("new", ""))
	eventually(t, func() bool { return accepted("new") && accepted("old") })
	mount(t, dir, "2026_01_03", line("new", ""))
	eventually(t, func() bool { return accepted("new") && !accepted("old") })
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// TestLoadDuringRotation: while the files of a mounted Secret are replaced repeatedly, a token that
// is in all of them is always accepted.
func TestLoadDuringRotation(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "secret")
	content := func(n int) map[string][]byte {
		return map[string][]byte{"okta": []byte(line("stays", "") + line(fmt.Sprint("other", n), ""))}
	}
	if err := folder.Write(dir, content(0)); err != nil {
		t.Fatal(err)
	}
	s := NewSet(dir)
	if err := s.Load(); err != nil {
		t.Fatal(err)
	}
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			default:
			}
			_ = s.Load() // an unreadable file leaves the set unchanged
			if _, err := s.Authenticate("stays"); err != nil {
				t.Error("a token that was always in the files was refused")
				return
			}
		}
	}()
	for n := range 500 {
		if err := folder.Write(dir, content(n)); err != nil {
			t.Fatal(err)
		}
	}
	close(stop)
	<-done
}

// eventually polls until a condition is true.
func eventually(t *testing.T, condition func() bool) {
	t.Helper()
	poll.For(t, "the condition", 30*time.Second, 5*time.Millisecond, func(context.Context) error {
		if !condition() {
			return errors.New("it is false")
		}
		return nil
	})
}
