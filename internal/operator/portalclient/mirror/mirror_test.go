// SPDX-License-Identifier: Apache-2.0

package mirror_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"lightrun.com/scim-operator/internal/kernel/portalapi"
	"lightrun.com/scim-operator/internal/operator/portalclient/mirror"
)

// source is a portal to read from: a few records, a feed, and failures on demand.
type source struct {
	mu       sync.Mutex
	accounts []portalapi.Account
	pools    []portalapi.Pool
	released []portalapi.ReleasedOwner
	config   portalapi.Configuration
	epoch    string
	feed     []portalapi.Change
	floor    int64
	fail     error
	lists    int
	changed  chan struct{}
	onPage   func() // called after a page was read and before it is returned

	releasedPools []portalapi.ReleasedPool
}

func newSource(accounts ...portalapi.Account) *source {
	return &source{
		accounts: accounts, epoch: "e1", changed: make(chan struct{}),
		pools:  []portalapi.Pool{{ID: "default", Name: "Default", Default: true, Revision: 1}},
		config: portalapi.Configuration{LoginMethods: portalapi.LoginMethods{SCIMEnabled: true}, Revision: 1},
	}
}

func (s *source) Accounts(_ context.Context, after string, limit int) ([]portalapi.Account, string, error) {
	s.mu.Lock()
	var page []portalapi.Account
	next := ""
	for _, a := range s.accounts {
		if a.ID > after {
			if len(page) == limit {
				next = page[limit-1].ID
				break
			}
			page = append(page, a)
		}
	}
	err, onPage := s.fail, s.onPage
	s.mu.Unlock()
	if onPage != nil {
		onPage()
	}
	return page, next, err
}

func (s *source) Released(context.Context, string, int) ([]portalapi.ReleasedOwner, string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.released), "", s.fail
}

func (s *source) ReleasedPools(context.Context, string, int) ([]portalapi.ReleasedPool, string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.releasedPools), "", s.fail
}

func (s *source) Pools(context.Context) ([]portalapi.Pool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.pools), s.fail
}

func (s *source) Roles(context.Context) ([]portalapi.Role, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return []portalapi.Role{{Name: portalapi.RoleUser, Grantable: true}}, s.fail
}

func (s *source) Configuration(context.Context) (*portalapi.Configuration, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.config
	return &c, s.fail
}

func (s *source) Position(context.Context) (portalapi.Position, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lists++
	return portalapi.Position{Epoch: s.epoch, Sequence: s.floor + int64(len(s.feed))}, s.fail
}

func (s *source) Changes(ctx context.Context, p portalapi.Position, wait time.Duration) ([]portalapi.Change, portalapi.Position, error) {
	timeout := time.After(wait)
	for {
		s.mu.Lock()
		fail, changed := s.fail, s.changed
		lost := p.Epoch != s.epoch || p.Sequence < s.floor
		var out []portalapi.Change
		if !lost {
			out = slices.Clone(s.feed[p.Sequence-s.floor:])
		}
		s.mu.Unlock()
		switch {
		case fail != nil:
			return nil, p, fail
		case lost:
			return nil, p, &portalapi.Error{Status: 410, Code: portalapi.CodeFeedTruncated}
		case len(out) > 0:
			p.Sequence += int64(len(out))
			return out, p, nil
		}
		select {
		case <-ctx.Done():
			return nil, p, ctx.Err()
		case <-timeout:
			return nil, p, nil
		case <-changed:
		}
	}
}

// set changes the source and wakes waiting readers.
func (s *source) set(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
	close(s.changed)
	s.changed = make(chan struct{})
}

// listed returns the number of listings, also failed ones.
func (s *source) listed() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lists
}

// push changes an account and adds the change to the feed.
func (s *source) push(a portalapi.Account) {
	s.set(func() {
		s.put(a)
		s.feed = append(s.feed, portalapi.Change{Kind: portalapi.ChangeAccount, ID: a.ID, Account: &a})
	})
}

func (s *source) put(a portalapi.Account) {
	for i := range s.accounts {
		if s.accounts[i].ID == a.ID {
			s.accounts[i] = a
			return
		}
	}
	s.accounts = append(s.accounts, a)
}

func account(id, name string, revision int64) portalapi.Account {
	return portalapi.Account{ID: id, UserName: name, Status: portalapi.StatusActive, ManagedBy: portalapi.ManagedBySCIM, Owner: portalapi.Owner{UID: "uid-" + id}, Revision: revision}
}

// events records the notifications.
type events struct {
	mu  sync.Mutex
	all []mirror.Event
}

func (e *events) add(v mirror.Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.all = append(e.all, v)
}

func (e *events) take() []mirror.Event {
	e.mu.Lock()
	defer e.mu.Unlock()
	out := e.all
	e.all = nil
	return out
}

// follow runs f on a mirror that has listed src once.
func follow(t *testing.T, src *source, o mirror.Options, f func(t *testing.T, m *mirror.Mirror, e *events)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		src.changed = make(chan struct{}) // of this bubble
		e := &events{}
		m := mirror.New(e.add)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { m.Follow(ctx, src, o); close(done) }()
		synctest.Wait()
		f(t, m, e)
		cancel()
		<-done
	})
}

func TestFirstListingIsOneEvent(t *testing.T) {
	follow(t, newSource(account("a", "ada", 1), account("b", "bob", 1), account("c", "eve", 1)), mirror.Options{PageSize: 2}, func(t *testing.T, m *mirror.Mirror, e *events) {
		if !m.Listed() || m.OwnedAccount("uid-c") == nil || m.NamedAccount("EVE") == nil || m.DefaultPool() == nil {
			t.Error("not everything was read")
		}
		if got := e.take(); len(got) != 3 || !got[0].Listed {
			t.Errorf("events %+v", got)
		}
	})
}

func TestFollow(t *testing.T) {
	src := newSource(account("a", "ada", 1))
	follow(t, src, mirror.Options{}, func(t *testing.T, m *mirror.Mirror, e *events) {
		e.take()
		src.push(account("a", "ada.l", 2))
		synctest.Wait()
		if m.NamedAccount("ada") != nil || m.NamedAccount("ada.l") == nil {
			t.Error("the rename was not followed")
		}
		got := e.take()
		if len(got) != 1 || got[0].Account == nil || got[0].Account.Before.UserName != "ada" {
			t.Errorf("events %+v", got)
		}
		src.set(func() {
			src.accounts = nil
			src.feed = append(src.feed, portalapi.Change{Kind: portalapi.ChangeAccount, ID: "a", Gone: true})
		})
		synctest.Wait()
		if m.OwnedAccount("uid-a") != nil || len(e.take()) != 1 {
			t.Error("the deletion was not followed")
		}
		if src.listed() != 1 {
			t.Errorf("listed %d times", src.listed())
		}
	})
}

func TestTruncatedFeedIsListedAgain(t *testing.T) {
	for name, lose := range map[string]func(*source){
		"Truncated": func(s *source) { s.floor, s.feed = s.floor+int64(len(s.feed))+10, nil },
		"NewEpoch":  func(s *source) { s.epoch, s.feed = "e2", nil },
	} {
		t.Run(name, func(t *testing.T) {
			src := newSource(account("a", "ada", 1))
			follow(t, src, mirror.Options{}, func(t *testing.T, m *mirror.Mirror, e *events) {
				e.take()
				src.set(func() { lose(src); src.put(account("b", "bob", 1)) })
				time.Sleep(time.Minute)
				synctest.Wait()
				if m.NamedAccount("bob") == nil || src.listed() != 2 {
					t.Errorf("listed %d times", src.listed())
				}
				if got := e.take(); len(got) != 2 || got[0].Account == nil || !got[1].Relisted {
					t.Errorf("want events for differences only: %+v", got)
				}
			})
		})
	}
}

func TestRepeatedTruncationIsThrottled(t *testing.T) {
	src := newSource()
	follow(t, src, mirror.Options{}, func(*testing.T, *mirror.Mirror, *events) {
		for range 60 {
			src.set(func() { src.epoch += "x" })
			time.Sleep(time.Second)
		}
		if src.listed() > 200 {
			t.Errorf("listed %d times in a minute", src.listed())
		}
	})
}

func TestListingFindsEditsOutsideTheFeed(t *testing.T) {
	src := newSource(account("a", "ada", 5))
	follow(t, src, mirror.Options{Relist: time.Minute}, func(t *testing.T, m *mirror.Mirror, e *events) {
		e.take()
		edited := account("a", "ada", 5) // a raw database edit: the same revision
		edited.Status = portalapi.StatusDeactivated
		src.set(func() { src.put(edited) })
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if m.NamedAccount("ada").Status != portalapi.StatusDeactivated {
			t.Error("the edit was not seen")
		}
		if got := e.take(); len(got) != 2 || got[0].Account == nil || !got[1].Relisted {
			t.Errorf("want the difference, once, and then that a listing found it: %+v", got)
		}
		t.Log("a portal that was restored from a backup has smaller revisions, which the mirror accepts")
		src.set(func() { src.put(account("a", "ada.old", 2)); src.config.Revision = 0; src.config.SCIMEnabled = false })
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if m.NamedAccount("ada.old") == nil || m.Configuration().SCIMEnabled {
			t.Error("the mirror ignored the restored state")
		}
	})
}

func TestOlderPageDoesNotUndoWrite(t *testing.T) {
	src := newSource(account("a", "ada", 1))
	follow(t, src, mirror.Options{Relist: time.Minute}, func(t *testing.T, m *mirror.Mirror, e *events) {
		e.take()
		src.set(func() {
			src.onPage = func() { // after the page was read, before it is returned
				changed, made := account("a", "ada.l", 2), account("b", "bob", 1)
				m.PutAccount(&changed)
				m.PutAccount(&made)
				pool := portalapi.Pool{ID: "p", Name: "P", Owner: portalapi.Owner{UID: "uid-p"}, Revision: 1}
				m.PutPool(&pool)
				c := src.config
				c.Revision, c.ProvisionExistingUsers = 2, true
				m.PutConfiguration(&c)
				src.set(func() { src.onPage = nil })
			}
		})
		time.Sleep(90 * time.Second) // a listing waits for the running feed request
		synctest.Wait()
		if m.NamedAccount("ada.l") == nil || m.NamedAccount("ada") != nil || m.NamedAccount("bob") == nil || m.OwnedPool("uid-p") == nil || !m.Configuration().ProvisionExistingUsers {
			t.Error("an older page undid a write")
		}
		t.Log("an older change in the feed does not undo it either")
		old := account("a", "ada", 1)
		src.set(func() {
			src.feed = append(src.feed, portalapi.Change{Kind: portalapi.ChangeAccount, ID: "a", Account: &old})
		})
		synctest.Wait()
		if m.NamedAccount("ada.l") == nil {
			t.Error("an older change undid a write")
		}
	})
}

// TestReleased: an owner whose account was released is known from the listing, from the operator's
// own writes and from the feed, until the owner has an account again.
func TestReleased(t *testing.T) {
	owned := func(id, owner string, revision int64) portalapi.Account {
		a := account(id, id, revision)
		a.Owner = portalapi.Owner{}
		if owner != "" {
			a.Owner = portalapi.Owner{UID: "uid-" + owner, Name: owner, Revision: 7}
		}
		return a
	}
	src := newSource(owned("a", "ada", 1), owned("b", "bob", 1), owned("c", "carl", 1))
	src.released = []portalapi.ReleasedOwner{{Name: "eve", Revision: 5}}
	follow(t, src, mirror.Options{Relist: time.Minute}, func(t *testing.T, m *mirror.Mirror, _ *events) {
		is := func(when string, want map[string]int64) {
			t.Helper()
			for owner, revision := range want {
				if got := m.Released(owner); got != revision {
					t.Errorf("%s: %s was released at %d, want %d", when, owner, got, revision)
				}
			}
		}
		is("listed", map[string]int64{"ada": 0, "eve": 5})
		m.PutReleased(portalapi.Owner{UID: "uid-ada", Name: "ada", Revision: 8})
		src.push(owned("a", "", 2))
		src.push(owned("b", "dave", 2))
		synctest.Wait()
		is("released, and taken over", map[string]int64{"ada": 8, "bob": 7, "dave": 0})
		back := owned("a", "ada", 3)
		m.PutAccount(&back)
		is("back", map[string]int64{"ada": 0})

		src.set(func() {
			src.put(back)
			src.released = []portalapi.ReleasedOwner{{Name: "bob", Revision: 7}, {Name: "eve", Revision: 5}}
			src.onPage = func() { // after the page was read, before it is returned
				m.PutReleased(portalapi.Owner{UID: "uid-carl", Name: "carl", Revision: 9})
				eve := owned("e", "eve", 1)
				m.PutAccount(&eve)
				src.set(func() { src.onPage = nil })
			}
		})
		time.Sleep(90 * time.Second) // a listing waits for the running feed request
		synctest.Wait()
		is("written during a listing", map[string]int64{"ada": 0, "bob": 7, "carl": 9, "eve": 0})
	})
}

// TestReleasedPools: what the lines of a released pool meant is known from the listing and from the
// feed, until the owner's name has a pool again.
func TestReleasedPools(t *testing.T) {
	pins := func(group string) []portalapi.Pin {
		return []portalapi.Pin{{Line: "displayName Leads", ID: group, Revision: 3}}
	}
	owned := func(id, owner string, revision int64, pins ...portalapi.Pin) portalapi.Pool {
		p := portalapi.Pool{ID: id, Name: id, Pins: pins, Revision: revision}
		if owner != "" {
			p.Owner = portalapi.Owner{UID: fmt.Sprint("uid-", owner, revision), Name: owner}
		}
		return p
	}
	gone := func(id string) portalapi.Change {
		return portalapi.Change{Kind: portalapi.ChangePool, ID: id, Gone: true}
	}
	is := func(p portalapi.Pool) portalapi.Change {
		return portalapi.Change{Kind: portalapi.ChangePool, ID: p.ID, Pool: &p}
	}
	src := newSource()
	src.pools = []portalapi.Pool{owned("a", "ada", 1, pins("ga")...), owned("b", "bob", 1, pins("gb")...), owned("c", "carl", 1, pins("gc")...)}
	src.releasedPools = []portalapi.ReleasedPool{{Name: "eve", Pins: portalapi.ReleasedPins(pins("ge"))}}
	follow(t, src, mirror.Options{Relist: time.Minute}, func(t *testing.T, m *mirror.Mirror, _ *events) {
		kept := func(when string, want map[string]string) {
			t.Helper()
			for owner, group := range want {
				var now []portalapi.Pin
				if group != "" {
					now = portalapi.ReleasedPins(pins(group))
				}
				if diff := cmp.Diff(now, m.ReleasedPins(owner)); diff != "" {
					t.Errorf("%s: the pins of %s (-want +got):\n%s", when, owner, diff)
				}
			}
		}
		kept("listed", map[string]string{"ada": "", "bob": "", "carl": "", "eve": "ge"})
		push := func(changes ...portalapi.Change) {
			src.set(func() { src.feed = append(src.feed, changes...) })
			synctest.Wait()
		}
		push(gone("a"), is(owned("b", "", 2)), is(owned("c", "dave", 2, pins("gc")...)))
		kept("deleted, orphaned and taken over", map[string]string{"ada": "ga", "bob": "gb", "carl": "gc", "dave": "", "eve": "ge"})
		again := owned("a2", "ada", 1, pins("ga")...)
		m.PutPool(&again)
		restored := owned("c", "dave", 3, pins("gc")...)
		m.PutPool(&restored)
		kept("created again, and restored", map[string]string{"ada": "", "carl": "gc", "dave": ""})
		push(gone("a2"), is(owned("b", "bob", 3)), gone("b"))
		kept("deleted with and without pins", map[string]string{"ada": "ga", "bob": ""})

		src.set(func() {
			src.pools = []portalapi.Pool{restored}
			src.releasedPools = []portalapi.ReleasedPool{{Name: "dave", Pins: portalapi.ReleasedPins(pins("old"))}, {Name: "eve", Pins: portalapi.ReleasedPins(pins("ge"))}}
			src.onPage = func() { // after the page was read, before it is returned
				eve := owned("e", "eve", 1)
				m.PutPool(&eve)
				src.set(func() { src.onPage = nil })
			}
		})
		time.Sleep(90 * time.Second) // a listing waits for the running feed request
		synctest.Wait()
		kept("listed again, with a pool that was created meanwhile", map[string]string{"ada": "", "dave": "", "eve": ""})
	})
}

func TestBackoffAndRecovery(t *testing.T) {
	src := newSource(account("a", "ada", 1))
	down := errors.New("connection refused")
	follow(t, src, mirror.Options{Relist: time.Hour}, func(t *testing.T, m *mirror.Mirror, e *events) {
		e.take()
		src.set(func() { src.fail = down })
		synctest.Wait()
		if !errors.Is(m.Unreachable(), down) {
			t.Fatalf("unreachable: %v", m.Unreachable())
		}
		if m.NamedAccount("ada") == nil {
			t.Error("the mirror lost its state")
		}
		time.Sleep(10 * time.Minute)
		src.set(func() { src.fail = nil })
		time.Sleep(46 * time.Second) // the longest pause; the first request after it does not wait for changes
		synctest.Wait()
		if got := e.take(); len(got) != 1 || !got[0].Reachable || m.Unreachable() != nil {
			t.Errorf("events %+v", got)
		}
	})
}

func TestRetryAfter(t *testing.T) {
	src := newSource()
	src.fail = &portalapi.Error{Status: 503, Code: portalapi.CodeInternal, RetryAfter: 40 * time.Second}
	follow(t, src, mirror.Options{}, func(t *testing.T, m *mirror.Mirror, _ *events) {
		if m.Listed() || src.listed() != 1 {
			t.Fatalf("listed %d times", src.listed())
		}
		src.set(func() { src.fail = nil })
		time.Sleep(39 * time.Second)
		if src.listed() != 1 {
			t.Error("retried before Retry-After was over")
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if !m.Listed() {
			t.Error("not listed after it")
		}
	})
}

func TestPutMembershipsIsVisibleImmediately(t *testing.T) {
	var events int
	m := mirror.New(func(e mirror.Event) {
		if e.Account != nil {
			events++
		}
	})
	m.PutPool(&portalapi.Pool{ID: "leads", Roles: []string{portalapi.RoleManager}, Revision: 1})
	for _, id := range []string{"ada", "bob", "eve"} {
		m.PutAccount(&portalapi.Account{ID: id, UserName: id, Owner: portalapi.Owner{UID: "u-" + id}, Status: portalapi.StatusActive, Roles: []string{portalapi.RoleUser}, Revision: 5})
	}
	items := []portalapi.MembershipWrite{{AccountID: "ada", IfRevision: 5, Add: true}, {AccountID: "bob", IfRevision: 4, Add: true}, {AccountID: "eve", IfRevision: 5, Add: true}}
	m.PutMemberships("leads", items, []portalapi.MembershipResult{
		{AccountID: "ada", Outcome: portalapi.MembershipDone, Revision: 6}, {AccountID: "bob", Outcome: portalapi.MembershipDone, Revision: 5}, {AccountID: "eve", Outcome: portalapi.MembershipStale, Revision: 7},
	})
	if a := m.OwnedAccount("u-ada"); !slices.Equal(a.Pools, []string{"leads"}) || !slices.Contains(a.Roles, portalapi.RoleManager) || a.Revision != 6 {
		t.Errorf("ada: %+v", a)
	}
	for _, uid := range []string{"u-bob", "u-eve"} {
		if a := m.OwnedAccount(uid); len(a.Pools) != 0 || a.Revision != 5 {
			t.Errorf("a stale item changed the account: %+v", a)
		}
	}
	if events != 1 || m.Managing("leads", []string{"ada", "bob"}) != 1 {
		t.Errorf("%d events, %d managers", events, m.Managing("leads", []string{"ada", "bob"}))
	}
	m.PutMemberships("leads", []portalapi.MembershipWrite{{AccountID: "ada", IfRevision: 6}}, []portalapi.MembershipResult{{AccountID: "ada", Outcome: portalapi.MembershipDone, Revision: 7}})
	if a := m.OwnedAccount("u-ada"); len(a.Pools) != 0 || !slices.Equal(a.Roles, []string{portalapi.RoleUser}) {
		t.Errorf("ada left: %+v", a)
	}
}
