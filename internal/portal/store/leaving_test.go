// SPDX-License-Identifier: Apache-2.0

package store

import (
	"slices"
	"strings"
	"testing"
	"time"

	"lightrun.com/scim-operator/internal/kernel/portalapi"
	"lightrun.com/scim-operator/internal/kernel/provider"
)

// leaver is a SCIM-managed manager with a session, and with keys of every scope.
type leaver struct {
	t       *testing.T
	s       *Store
	account *Account
	session string
	secrets map[Scope]string
	derived string // the secret of a key that the leaver's own key made
}

// leaverOwner owns the leaver's account.
var leaverOwner = portalapi.Owner{UID: "u-lea", Name: "scim-lea", Revision: 7}

func newLeaver(t *testing.T) *leaver {
	t.Helper()
	s, _ := signInStore(t)
	pool, err := s.CreatePool(t.Context(), SystemActor("test"), NewPool{Name: "Managers", Roles: []string{portalapi.RoleManager}})
	if err != nil {
		t.Fatal(err)
	}
	l := &leaver{t: t, s: s, secrets: map[Scope]string{}}
	if l.account, err = s.PutAccount(t.Context(), operator, l.write(pool.ID)); err != nil {
		t.Fatal(err)
	}
	if l.session, err = s.StartSession(t.Context(), l.account, MethodSSO, time.Hour); err != nil {
		t.Fatal(err)
	}
	for _, scope := range []Scope{ScopeRead, ScopeManage, ScopeSCIM, ScopeProvisioning} {
		l.secrets[scope] = l.key(ActorOf(l.account, ""), scope)
	}
	own, err := s.Authenticate(t.Context(), l.secrets[ScopeManage])
	if err != nil {
		t.Fatal(err)
	}
	l.derived = l.key(own, ScopeRead)
	return l
}

func (l *leaver) write(pools ...string) portalapi.AccountWrite {
	return portalapi.AccountWrite{Owner: leaverOwner, UserName: "lea@example.test", Active: true, Pools: pools}
}

func (l *leaver) key(actor Actor, scope Scope) string {
	l.t.Helper()
	n := NewKey{Name: "key " + string(scope), Scope: scope}
	if scope == ScopeSCIM {
		n.Provider = provider.ID{Type: provider.Okta}
	}
	_, secret, err := l.s.CreateKey(l.t.Context(), actor, n)
	if err != nil {
		l.t.Fatal(err)
	}
	return secret
}

// works reports whether the secret is accepted.
func (l *leaver) works(secret string) bool {
	l.t.Helper()
	_, err := l.s.Authenticate(l.t.Context(), secret)
	if err != nil && portalapi.CodeOf(err) != portalapi.CodeUnauthenticated {
		l.t.Fatal(err)
	}
	return err == nil
}

func TestLeaving(t *testing.T) {
	pushed := operator
	pushed.RequestID = "push-7"
	off := false
	for name, c := range map[string]struct {
		reason string
		leave  func(l *leaver) error
	}{
		"Pushed": {
			reason: "The provider deactivates the person.",
			leave: func(l *leaver) error {
				w := l.write()
				w.Active = false
				_, err := l.s.PutAccount(l.t.Context(), pushed, w)
				return err
			},
		},
		"Released": {
			reason: "The provider deletes the person, and the account stays deactivated.",
			leave: func(l *leaver) error {
				return l.s.ReleaseAccount(l.t.Context(), pushed, leaverOwner, portalapi.ReleaseDeactivate)
			},
		},
		"Deleted": {
			reason: "The provider deletes the person, and the account goes too.",
			leave: func(l *leaver) error {
				return l.s.ReleaseAccount(l.t.Context(), pushed, leaverOwner, portalapi.ReleaseDelete)
			},
		},
		"ByManager": {
			reason: "A manager deactivates the person while SCIM is off.",
			leave: func(l *leaver) error {
				if _, _, err := l.s.SaveLoginMethods(l.t.Context(), SystemActor("test"), portalapi.LoginMethods{}, nil, false); err != nil {
					return err
				}
				manager := SystemActor("test")
				manager.RequestID = "push-7"
				_, err := l.s.UpdateAccount(l.t.Context(), manager, l.account.ID, nil, AccountPatch{Active: &off})
				return err
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLeaver(t)
			if err := c.leave(l); err != nil {
				t.Fatalf("%s: %v", c.reason, err)
			}
			if _, err := l.s.Session(t.Context(), l.session); portalapi.CodeOf(err) != portalapi.CodeUnauthenticated {
				t.Errorf("%s: the session: %v", c.reason, err)
			}
			for scope, secret := range l.secrets {
				if want := scope == ScopeSCIM || scope == ScopeProvisioning; l.works(secret) != want {
					t.Errorf("%s: the key with the scope %s works: %v", c.reason, scope, !want)
				}
			}
			if l.works(l.derived) {
				t.Errorf("%s: a key that the person's own key made still works", c.reason)
			}
			l.receipt(name == "ByManager")
			keys, err := l.s.SCIMKeys(t.Context())
			if err != nil || len(keys) != 1 || keys[0].RotateSince.IsZero() {
				t.Errorf("%s: the operator reads the SCIM keys %+v, %v", c.reason, keys, err)
			}
		})
	}
}

// receipt checks the audit event that says what ended, when, and because of which request.
// withoutSSO is for a person whose session had ended with SSO.
func (l *leaver) receipt(withoutSSO bool) {
	l.t.Helper()
	events, err := l.s.AuditEvents(l.t.Context(), AuditFilter{TargetID: l.account.ID}, 0, 1)
	if err != nil || len(events) != 1 {
		l.t.Fatal(events, err)
	}
	want := map[string]string{"sessionsEnded": "sso since 2026-01-02T03:04:05Z", "keysEnded": "key read, key manage, key read", "keysToRotate": "key scim, key provisioning"}
	if withoutSSO {
		delete(want, "sessionsEnded")
	}
	got := map[string]string{}
	for _, f := range events[0].Changes {
		if strings.HasPrefix(f.Field, "sessions") || strings.HasPrefix(f.Field, "keys") {
			got[f.Field] = f.To
		}
	}
	for field := range want {
		if got[field] != want[field] {
			l.t.Errorf("the receipt has %s %q, want %q", field, got[field], want[field])
		}
	}
	if len(got) != len(want) || events[0].RequestID != "push-7" || events[0].At.IsZero() {
		l.t.Errorf("the receipt is %+v", events[0])
	}
}

func TestKeysOfLeaversStayEnded(t *testing.T) {
	l := newLeaver(t)
	for _, active := range []bool{false, true} {
		w := l.write()
		w.Active = active
		if _, err := l.s.PutAccount(t.Context(), operator, w); err != nil {
			t.Fatal(err)
		}
	}
	if l.works(l.secrets[ScopeManage]) || l.works(l.derived) {
		t.Error("an activation brings keys back")
	}
	keys, err := l.s.Keys(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range keys {
		if k.CreatedByID != l.account.ID {
			t.Errorf("the key %s was made by %q, want the leaver %s", k.Name, k.CreatedByID, l.account.ID)
		}
	}
	t.Log("requests that began before the person left make no key after it")
	stale := ActorOf(l.account, "")
	w := l.write()
	w.Active = false
	if _, err := l.s.PutAccount(t.Context(), operator, w); err != nil {
		t.Fatal(err)
	}
	before := len(keys)
	for _, actor := range []Actor{stale, {Kind: Key, Name: "key manage", Scopes: []Scope{ScopeManage}, Maker: l.account.ID}} {
		if _, _, err := l.s.CreateKey(t.Context(), actor, NewKey{Name: "late", Scope: ScopeRead}); portalapi.CodeOf(err) != portalapi.CodeForbidden {
			t.Errorf("a late request of a %s makes a key: %v", actor.Kind, err)
		}
	}
	if keys, err = l.s.Keys(t.Context()); err != nil || len(keys) != before {
		t.Errorf("%d keys, want %d (%v)", len(keys), before, err)
	}
}

// BenchmarkLeaving deactivates users with a session and three keys among 100,000 accounts, as the
// operator does after a push. It reports the time within which 99 of 100 are signed out.
func BenchmarkLeaving(b *testing.B) {
	s, _ := benchStore(b, 100_000)
	var took []time.Duration
	next := 0
	for b.Loop() {
		b.StopTimer()
		w := testWrite(next)
		next++
		account, err := s.AccountByName(b.Context(), w.UserName)
		if err != nil {
			b.Fatal(err)
		}
		token, err := s.StartSession(b.Context(), account, MethodSSO, time.Hour)
		if err != nil {
			b.Fatal(err)
		}
		person := ActorOf(account, "")
		person.Scopes = []Scope{ScopeManage}
		for _, scope := range []Scope{ScopeRead, ScopeManage, ScopeProvisioning} {
			if _, _, err := s.CreateKey(b.Context(), person, NewKey{Name: "key", Scope: scope}); err != nil {
				b.Fatal(err)
			}
		}
		b.StartTimer()
		began := time.Now()
		w.Active = false
		if _, err := s.PutAccount(b.Context(), operator, w); err != nil {
			b.Fatal(err)
		}
		if _, err := s.Session(b.Context(), token); portalapi.CodeOf(err) != portalapi.CodeUnauthenticated {
			b.Fatal("the session still works", err)
		}
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
}
