// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"lightrun.com/scim-operator/internal/kernel/portalapi"
	"lightrun.com/scim-operator/test/framework/poll"
	"lightrun.com/scim-operator/test/framework/postgres"
)

// onBoth runs a test on both databases. replica opens the portal's service on the same database
// again, with the clock now.
func onBoth(t *testing.T, test func(t *testing.T, replica func() *Store, now *clock)) {
	t.Helper()
	server := postgres.Start(t)
	for name, database := range map[string]func(*testing.T) string{
		"SQLite":     func(t *testing.T) string { return filepath.Join(t.TempDir(), "portal.db") },
		"PostgreSQL": func(t *testing.T) string { return server.Database(t) },
	} {
		t.Run(name, func(t *testing.T) {
			at, now := database(t), &clock{at: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
			test(t, func() *Store {
				s, err := Open(t.Context(), Options{Database: at, Now: now.now})
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = s.Close() })
				return s
			}, now)
		})
	}
}

// clock shows the time to which a test moved it.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) advance(by time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(by)
}

func TestBudget(t *testing.T) {
	start := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	b := budget{"key", 3, 10 * time.Second}
	for name, c := range map[string]struct {
		reason string
		at     []time.Duration // of the attempts, after the start
		passed int
		wait   time.Duration // of the last attempt
	}{
		"Burst":   {"The burst is available at once.", []time.Duration{0, 0, 0}, 3, 0},
		"UsedUp":  {"The next attempt waits for one interval.", []time.Duration{0, 0, 0, 0}, 3, 10 * time.Second},
		"Refused": {"Refused attempts do not make the wait longer.", []time.Duration{0, 0, 0, 0, 0, 9 * time.Second}, 3, time.Second},
		"One":     {"One attempt passes in each interval.", []time.Duration{0, 0, 0, 10 * time.Second, 10 * time.Second}, 4, 10 * time.Second},
		"Full":    {"The burst is back when nothing happened for a while, and not more than the burst.", []time.Duration{0, 0, 0, 60 * time.Second, 60 * time.Second, 60 * time.Second, 60 * time.Second}, 6, 10 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			var full time.Time
			var wait time.Duration
			passed := 0
			for _, at := range c.at {
				if full, wait = b.take(full, start.Add(at)); wait == 0 {
					passed++
				}
			}
			if passed != c.passed || wait != c.wait {
				t.Errorf("%s\n%d passed, and the last waits %v; want %d and %v", c.reason, passed, wait, c.passed, c.wait)
			}
		})
	}
}

// TestParallelGuesses sends 60 guesses at the same time to two replicas: 10 are checked, and a
// restart forgets none of them.
func TestParallelGuesses(t *testing.T) {
	onBoth(t, func(t *testing.T, replica func() *Store, now *clock) {
		replicas := []*Store{replica(), replica()}
		if err := replicas[0].EnsureManager(t.Context(), SystemActor("test"), "boss@example.test", demoPassword); err != nil {
			t.Fatal(err)
		}
		guess := func(s *Store) portalapi.Code {
			_, err := s.SignIn(t.Context(), PasswordSignIn{UserName: "Boss@example.test", Password: "guess", Network: "192.0.2.1"}, time.Hour)
			if err != nil && asRefusal(err) == nil {
				t.Error(err)
			}
			return portalapi.CodeOf(err)
		}
		var (
			together sync.WaitGroup
			mu       sync.Mutex
			codes    = map[portalapi.Code]int{}
		)
		for i := range 60 {
			together.Go(func() {
				code := guess(replicas[i%2])
				mu.Lock()
				defer mu.Unlock()
				codes[code]++
			})
		}
		together.Wait()
		// Each replica has 32 places in its queue, for 30 guesses.
		if codes[portalapi.CodeUnauthenticated] != 10 || codes[portalapi.CodeRateLimited] != 50 {
			t.Errorf("60 parallel guesses: %v, want 10 that were checked", codes)
		}
		events, err := replicas[0].AuditEvents(t.Context(), AuditFilter{Refused: true}, 0, 100)
		if err != nil || len(events) != 10 {
			t.Errorf("%d guesses are audited (%v), want the 10 that were checked", len(events), err)
		}
		restarted := replica()
		if code := guess(restarted); code != portalapi.CodeRateLimited {
			t.Errorf("after a restart: %s", code)
		}
		now.advance(90 * time.Second)
		if first, second := guess(restarted), guess(replicas[0]); first != portalapi.CodeUnauthenticated || second != portalapi.CodeRateLimited {
			t.Errorf("after the delay of one guess: %s and %s", first, second)
		}
	})
}

// TestWhoIsShutOut lets guesses fail and then lets the owner sign in with the right password.
func TestWhoIsShutOut(t *testing.T) {
	const owner, home = "boss@example.test", "198.51.100.7"
	type guesses struct {
		n        int
		userName func(i int) string
		network  func(i int) string
	}
	the := func(text string) func(int) string { return func(int) string { return text } }
	each := func(format string) func(int) string { return func(i int) string { return fmt.Sprintf(format, i) } }
	for name, c := range map[string]struct {
		reason   string
		guesses  guesses
		network  string // of the owner
		known    bool   // the owner signed in with this browser before
		after    time.Duration
		admitted bool
	}{
		"OtherNetwork":   {"One address does not shut out the owner, who is somewhere else.", guesses{200, the(owner), the("192.0.2.1")}, home, false, 0, true},
		"ManyNames":      {"Nor does it shut out others when it guesses at all names.", guesses{200, each("user%d@example.test"), the("192.0.2.1")}, home, false, 0, true},
		"SameNetwork":    {"The network of the guesses is limited for a browser that is not known.", guesses{200, the(owner), the(home)}, home, false, 0, false},
		"SameKnown":      {"A known browser has its own budget, also behind one address with the guesser.", guesses{200, the(owner), the(home)}, home, true, 0, true},
		"NamesAndKnown":  {"The same for guesses at all names.", guesses{200, each("user%d@example.test"), the(home)}, home, true, 0, true},
		"ManyNetworks":   {"Guesses from everywhere delay the name for a browser that is not known.", guesses{60, the(owner), each("192.0.2.%d")}, home, false, 0, false},
		"ManyAndKnown":   {"A known browser signs in during such an attack.", guesses{60, the(owner), each("192.0.2.%d")}, home, true, 0, true},
		"ManyAndWaited":  {"Any browser signs in after the delay.", guesses{60, the(owner), each("192.0.2.%d")}, home, false, 30 * time.Second, true},
		"SameAndWaited":  {"Any browser of the network signs in after the delay.", guesses{200, the(owner), the(home)}, home, false, 90 * time.Second, true},
		"NamesAndWaited": {"The network is never closed either.", guesses{200, each("user%d@example.test"), the(home)}, home, false, 9 * time.Second, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			now := &clock{at: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
			s, err := Open(t.Context(), Options{Database: Memory, Now: now.now})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = s.Close() })
			if err := s.EnsureManager(t.Context(), SystemActor("test"), owner, demoPassword); err != nil {
				t.Fatal(err)
			}
			right := PasswordSignIn{UserName: owner, Password: demoPassword, Network: c.network}
			if c.known {
				in, err := s.SignIn(t.Context(), right, time.Hour)
				if err != nil {
					t.Fatal(err)
				}
				right.Browser = in.Browser
			}
			for i := range c.guesses.n {
				// Reserved as SignIn does, without the cost of the hash.
				err := s.reserve(t.Context(), passwordBudgets("", c.guesses.network(i), c.guesses.userName(i)))
				if err != nil && portalapi.CodeOf(err) != portalapi.CodeRateLimited {
					t.Fatal(err)
				}
			}
			now.advance(c.after)
			in, err := s.SignIn(t.Context(), right, time.Hour)
			switch {
			case c.admitted && err != nil:
				t.Errorf("%s\nthe owner is refused: %v", c.reason, err)
			case c.admitted:
				if _, err := s.Session(t.Context(), in.Session); err != nil {
					t.Errorf("%s\nno session: %v", c.reason, err)
				}
			case portalapi.CodeOf(err) != portalapi.CodeRateLimited:
				t.Errorf("%s\ngot %v", c.reason, err)
			case asRefusal(err).RetryAfter <= 0 || asRefusal(err).RetryAfter > 90*time.Second:
				t.Errorf("%s\nmust wait %v", c.reason, asRefusal(err).RetryAfter)
			}
		})
	}
}

func TestKnownBrowsers(t *testing.T) {
	onBoth(t, func(t *testing.T, replica func() *Store, now *clock) {
		s := replica()
		for _, name := range []string{"boss@example.test", "bob@example.test"} {
			if _, err := s.CreateAccount(t.Context(), SystemActor("test"), NewAccount{UserName: name, Password: demoPassword}); err != nil {
				t.Fatal(err)
			}
		}
		boss, err := s.AccountByName(t.Context(), "boss@example.test")
		if err != nil {
			t.Fatal(err)
		}
		remember := func(browser string) {
			now.advance(time.Second)
			if err := s.inTx(t.Context(), func(tx *tx) error { return tx.rememberBrowser(boss.ID, browser) }); err != nil {
				t.Fatal(err)
			}
		}
		known := func(name, browser string) bool {
			got, err := s.knownBrowser(t.Context(), name, browser)
			if err != nil {
				t.Fatal(err)
			}
			return got != ""
		}
		for i := range knownBrowsers + 1 {
			remember(fmt.Sprint("browser ", i))
		}
		if known("boss@example.test", "browser 0") || !known("BOSS@example.test", "browser 1") || known("boss@example.test", "another") {
			t.Error("the browsers that were used last are not the known ones")
		}
		if known("bob@example.test", "browser 1") || known("unknown@example.test", "browser 1") {
			t.Error("a browser is known for another user")
		}
		remember("browser 1")
		now.advance(KnownBrowserFor - time.Second)
		if !known("boss@example.test", "browser 1") || known("boss@example.test", "browser 2") {
			t.Error("a browser is not known for the time after its last sign-in")
		}
	})
}

func TestHashingQueue(t *testing.T) {
	s, _ := signInStore(t)
	for range hashedAtOnce {
		s.hashing.turns <- struct{}{} // hashes that do not end
	}
	attempt := func(i int) error {
		_, err := s.SignIn(t.Context(), PasswordSignIn{UserName: fmt.Sprintf("user%d@example.test", i), Password: "guess", Network: fmt.Sprintf("192.0.2.%d", i)}, time.Hour)
		return err
	}
	var waiting sync.WaitGroup
	for i := range hashPlaces {
		waiting.Go(func() {
			if code := portalapi.CodeOf(attempt(i)); code != portalapi.CodeUnauthenticated {
				t.Errorf("an attempt in the queue: %s", code)
			}
		})
	}
	poll.For(t, "a full queue", 10*time.Second, time.Millisecond, func(context.Context) error {
		if n := len(s.hashing.places); n < hashPlaces {
			return fmt.Errorf("%d attempts wait", n)
		}
		return nil
	})
	for range 20 { // more than the budget: a refused attempt costs none
		err := attempt(200)
		if refusal := asRefusal(err); refusal == nil || refusal.Code != portalapi.CodeOverloaded || refusal.Status != 503 || refusal.RetryAfter <= 0 {
			t.Fatalf("the queue is full: %v", err)
		}
	}
	password := demoPassword
	if _, err := s.CreateAccount(t.Context(), SystemActor("test"), NewAccount{UserName: "bob@example.test", Password: password}); portalapi.CodeOf(err) != portalapi.CodeOverloaded {
		t.Errorf("a new password passes the queue: %v", err)
	}
	for range hashedAtOnce {
		<-s.hashing.turns
	}
	waiting.Wait()
	if code := portalapi.CodeOf(attempt(200)); code != portalapi.CodeUnauthenticated {
		t.Errorf("after the flood: %s", code)
	}
}
