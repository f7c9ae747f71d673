// SPDX-License-Identifier: Apache-2.0

package scimtarget_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"lightrun.com/scim-operator/internal/kernel/portalapi"
	"lightrun.com/scim-operator/internal/operator/portalclient/scimtarget"
	"lightrun.com/scim-operator/internal/scim"
	"lightrun.com/scim-operator/test/framework/scimtargets"
)

// TestFormerLeader: a process that another one has replaced changes nothing at the target, also by
// writes that need no entry of the ledger before.
func TestFormerLeader(t *testing.T) {
	for name, tc := range map[string]struct {
		reason string
		write  func(w *world, c *scimtarget.Client) error
	}{
		"DeletePool": {"A pool without members has no removals to count.", func(w *world, c *scimtarget.Client) error {
			return c.ReleasePool(w.Context(), "o-Payments", true)
		}},
		"RenamePool": {"The ledger has the record that is written.", func(w *world, c *scimtarget.Client) error {
			_, err := c.PutPool(w.Context(), team("Payments"))
			return err
		}},
		"Add": {"The target has the members.", func(w *world, c *scimtarget.Client) error {
			_, err := c.PutMemberships(w.Context(), "o-Payments", []portalapi.MembershipWrite{{AccountID: w.id("ada"), IfRevision: w.account(w.id("ada")).Revision, Add: true}}, nil)
			return err
		}},
		"Join": {"A user joins a pool without a change of the record.", func(w *world, c *scimtarget.Client) error {
			_, err := c.PutAccount(w.Context(), person("ada", w.group("Payments EU")))
			return err
		}},
		"Heal": {"An edit at the target does not change the record.", func(w *world, c *scimtarget.Client) error {
			_, err := c.PutAccount(w.Context(), person("eve"))
			return err
		}},
		"DeleteInactive": {"An inactive user is no removal to count.", func(w *world, c *scimtarget.Client) error {
			return c.ReleaseAccount(w.Context(), portalapi.Owner{UID: "u-bob", Name: "s-bob", Revision: 2}, portalapi.ReleaseDelete)
		}},
		"Create": {"An arrival.", func(w *world, c *scimtarget.Client) error {
			_, err := c.PutAccount(w.Context(), person("new"))
			return err
		}},
		"CreatePool": {"A new pool.", func(w *world, c *scimtarget.Client) error { _, err := c.PutPool(w.Context(), team("New")); return err }},
	} {
		t.Run(name, func(t *testing.T) {
			w := start(t, scimtargets.Gateway(t))
			pool := w.putPool(team("Payments"))
			w.put(person("ada"))
			eve := w.put(person("eve"))
			bob := person("bob")
			w.put(bob)
			bob.Owner.Revision, bob.Active = 2, false
			w.put(bob)
			w.target.Do("PATCH", "/Groups/"+pool.ID, patchOf("replace", "displayName", "Payments EU"))
			w.target.Do("PATCH", "/Users/"+eve.ID, patchOf("replace", "displayName", "Mallory"))
			w.list()
			first := w.client
			w.process("second")
			w.target.Forget()
			err := tc.write(w, first)
			w.refused(err, portalapi.CodeStaleLeader)
			for _, call := range w.target.Calls() {
				if !strings.HasPrefix(call, "GET ") {
					t.Errorf("the former leader sent %s. %s", call, tc.reason)
				}
			}
		})
	}
}

// id returns the target's id of the user with that name.
func (w *world) id(name string) string {
	w.Helper()
	for id, o := range w.target.All("/Users") {
		if o["userName"] == name+"@example.test" {
			return id
		}
	}
	w.Fatalf("the target has no user %s", name)
	return ""
}

// group returns the target's id of the group with that name.
func (w *world) group(name string) string {
	w.Helper()
	for id, o := range w.target.All("/Groups") {
		if o["displayName"] == name {
			return id
		}
	}
	w.Fatalf("the target has no group %s", name)
	return ""
}

// race runs the functions at the same time, and returns the errors.
func race(all ...func() error) []error {
	errs := make([]error, len(all))
	var group sync.WaitGroup
	begin := make(chan struct{})
	for i, f := range all {
		group.Go(func() {
			<-begin
			errs[i] = f()
		})
	}
	close(begin)
	group.Wait()
	return errs
}

// TestRacingAdoptions: of the owners that adopt one record, one succeeds, and a late release or
// mark of the former owner does not change what the new owner has.
func TestRacingAdoptions(t *testing.T) {
	w := start(t, scimtargets.Gateway(t))
	for i := range 20 {
		name := fmt.Sprintf("p%02d", i)
		pool, account := w.putPool(team(name)), w.put(person(name))
		var adoptions, releases []func() error
		for j := range 4 {
			p, a := team(name), person(name)
			p.Owner = portalapi.Owner{UID: fmt.Sprintf("o-%s-%d", name, j), Name: fmt.Sprintf("team-%s-%d", name, j), Revision: 1}
			p.Adopt = &portalapi.Adopt{ID: pool.ID, OwnerUID: pool.Owner.UID, Inherit: true}
			a.Owner.UID = fmt.Sprintf("u-%s-%d", name, j)
			a.Adopt = &portalapi.Adopt{ID: account.ID, OwnerUID: account.Owner.UID}
			adoptions = append(adoptions, func() error { _, err := w.client.PutPool(t.Context(), p); return err })
			releases = append(releases, func() error { _, err := w.client.PutAccount(t.Context(), a); return err })
		}
		mark := &portalapi.Mark{What: portalapi.RemovalMembers, State: portalapi.MarkHeld, Decision: "d-1"}
		errs := race(append(adoptions,
			func() error { return w.client.MarkPool(t.Context(), pool.Owner, mark) },
			func() error { return w.client.ReleasePool(t.Context(), pool.Owner.UID, true) })...)
		w.one("pool "+name, errs[:4], errs[5], w.target.All("/Groups")[pool.ID] != nil)
		errs = race(append(releases,
			func() error { return w.client.MarkAccount(t.Context(), account.Owner, nil) },
			func() error { return w.client.ReleaseAccount(t.Context(), account.Owner, portalapi.ReleaseDelete) })...)
		w.one("user "+name, errs[:4], errs[5], w.target.All("/Users")[account.ID] != nil)
	}
}

// one fails unless one adoption succeeded and the record is there, or it is not and none did.
func (w *world) one(what string, adoptions []error, release error, there bool) {
	w.Helper()
	n := 0
	for _, err := range adoptions {
		if err == nil {
			n++
		}
	}
	if n > 1 || (n == 1) != there {
		w.Errorf("%s: %d adoptions succeeded, and the target has it: %t. %v, release %v", what, n, there, adoptions, release)
	}
}

func TestPoolPrecondition(t *testing.T) {
	w := start(t, scimtargets.Gateway(t))
	pinned := func(group string, revision, since int64) portalapi.PoolWrite {
		p := team("Payments")
		p.Pins = []portalapi.Pin{{Line: "displayName Payments", ID: group, Revision: revision}}
		p.IfRevision = &since
		return p
	}
	first := w.putPool(pinned("g-1", 1, 0))
	w.equal("the revision after a newer revision of the group", w.putPool(pinned("g-1", 2, 0)).Revision, first.Revision)
	second := w.putPool(pinned("g-2", 1, first.Revision))
	_, err := w.client.PutPool(t.Context(), pinned("g-3", 1, first.Revision))
	w.refused(err, portalapi.CodeStaleRevision)
	w.equal("the pins", second.Pins, w.putPool(pinned("g-2", 1, first.Revision)).Pins)
}

// TestReleaseOfPendingPool releases the owner of a pool whose creation has no known result.
func TestReleaseOfPendingPool(t *testing.T) {
	for name, tc := range map[string]struct {
		reason          string
		created, remove bool
		member          bool // of the group, meanwhile
		groups          int
	}{
		"Removed":  {"The driver deletes what it created.", true, true, false, 0},
		"Kept":     {"The group stays as the target's own.", true, false, false, 1},
		"Used":     {"A group with members has another client.", true, true, true, 1},
		"NotThere": {"The request was lost, not the answer.", false, true, false, 0},
	} {
		t.Run(name, func(t *testing.T) {
			w := start(t, scimtargets.Gateway(t))
			ada := w.put(person("ada"))
			if tc.created {
				w.target.Lose(func(r *http.Request) bool { return r.Method == http.MethodPost })
			} else {
				w.target.Before(func(http.ResponseWriter, *http.Request) bool { panic(http.ErrAbortHandler) })
			}
			if _, err := w.client.PutPool(t.Context(), team("Payments", portalapi.RoleManager)); err == nil {
				t.Fatal("the answer was lost")
			}
			w.target.Lose(nil)
			w.target.Before(nil)
			if tc.member {
				w.target.Do("PATCH", "/Groups/"+w.group("Payments"), patchOf("add", "members", []any{scim.Object{"value": ada.ID}}))
			}
			down := errors.New("the API server is down")
			w.ledger.fail.Store(&down)
			if err := w.client.ReleasePool(t.Context(), "o-Payments", tc.remove); !errors.Is(err, down) {
				t.Fatalf("the ledger was not written: %v", err)
			}
			w.ledger.fail.Store(nil)
			w.ok(w.client.ReleasePool(t.Context(), "o-Payments", tc.remove))
			if n := len(w.target.All("/Groups")); n != tc.groups {
				t.Errorf("the target has %d groups. %s", n, tc.reason)
			}
			w.target.Try("POST", "/Groups", scim.Object{"schemas": []any{scim.SchemaGroup}, "displayName": "Payments"}) // 409 if it is there
			w.restart("second")
			for _, p := range w.list() {
				if p.Owner.UID != "" {
					t.Errorf("after a restart, the released owner has %+v", p)
				}
			}
		})
	}
}

// TestRenameBeforeRetry loses the answer of a creation, and renames before the next attempt.
func TestRenameBeforeRetry(t *testing.T) {
	for _, restarted := range []bool{false, true} {
		t.Run(fmt.Sprintf("restarted=%t", restarted), func(t *testing.T) {
			w := start(t, scimtargets.Gateway(t))
			w.target.Lose(func(r *http.Request) bool { return r.Method == http.MethodPost })
			_, err := w.client.PutPool(t.Context(), team("Payments"))
			_, failed := w.client.PutAccount(t.Context(), person("ada"))
			if err == nil || failed == nil {
				t.Fatal("the answers were lost")
			}
			w.target.Lose(nil)
			if restarted {
				w.client = w.process("second") // and not listed
			}
			pool, user := team("Payments"), person("ada")
			pool.Owner.Revision, pool.Name = 2, "Billing"
			user.Owner.Revision, user.UserName = 2, "lovelace@example.test"
			if got := w.putPool(pool); got.Name != "Billing" || !got.Created {
				t.Errorf("the pool: %+v", got)
			}
			if got := w.put(user); got.Owner.Revision != 1 {
				t.Errorf("the target has the former name, so the pass must see a difference: %+v", got)
			}
			w.put(user)
			w.same("users", "lovelace@example.test")
			if all := w.target.All("/Groups"); len(all) != 1 || all[w.group("Billing")] == nil {
				t.Errorf("groups: %v", all)
			}
		})
	}
}

// TestReleaseOfForeignUser: the target's own user has the name, and the answer that says so is
// lost.
func TestReleaseOfForeignUser(t *testing.T) {
	w := start(t, scimtargets.Gateway(t))
	w.target.Do("POST", "/Users", scim.Object{"schemas": []any{scim.SchemaUser}, "userName": "ada@example.test"})
	w.target.Lose(func(r *http.Request) bool { return r.Method == http.MethodPost })
	if _, err := w.client.PutAccount(t.Context(), person("ada")); err == nil {
		t.Fatal("the answer was lost")
	}
	w.target.Lose(nil)
	w.ok(w.client.ReleaseAccount(t.Context(), person("ada").Owner, portalapi.ReleaseDelete))
	w.same("users", "ada@example.test")
}

// TestListingDuringWrite: a listing that read the target before a change does not undo it in the
// port, where the next pass would see a difference.
func TestListingDuringWrite(t *testing.T) {
	w := start(t, scimtargets.Gateway(t))
	pool, ada := w.putPool(team("Payments")), w.put(person("ada"))
	renamed, changed := team("Payments"), person("ada")
	renamed.Owner.Revision, renamed.Name = 2, "Billing"
	changed.Owner.Revision, changed.DisplayName = 2, "Countess"
	for path, write := range map[string]func(){
		"/Groups": func() { w.putPool(renamed) },
		"/Users":  func() { w.put(changed) },
	} {
		read, written, listed := make(chan struct{}), make(chan struct{}), make(chan error, 1)
		w.target.Before(func(rw http.ResponseWriter, r *http.Request) bool {
			switch {
			case r.Method == http.MethodPatch:
				go func() { _, err := w.client.Pools(t.Context()); listed <- err }()
				<-read // and the listing has not come to an end
			case strings.HasSuffix(r.URL.Path, path):
				_, before := w.target.Try("GET", path+"?"+r.URL.RawQuery, nil)
				close(read)
				<-written
				rw.Header().Set("Content-Type", "application/scim+json")
				_ = json.NewEncoder(rw).Encode(before)
				return true
			}
			return false
		})
		write()
		w.target.Before(nil)
		close(written)
		w.ok(<-listed)
	}
	if got := w.account(ada.ID); got.DisplayName != "Countess" || got.Owner.Revision != 2 {
		t.Errorf("the user after the listing: %+v", got)
	}
	end, err := w.client.Position(t.Context())
	w.ok(err)
	for _, p := range w.list() {
		if p.ID == pool.ID && p.Name != "Billing" {
			t.Errorf("the pool after the listing: %+v", p)
		}
	}
	changes, _, err := w.client.Changes(t.Context(), end, 0)
	w.ok(err)
	if len(changes) > 0 {
		t.Errorf("the next listing finds the changes %+v", changes)
	}
}

// TestOrphanedManagers: a release without removal leaves ROLE_MANAGER valid, so the adoption that
// takes it away counts for the guard.
func TestOrphanedManagers(t *testing.T) {
	w := start(t, scimtargets.Gateway(t))
	pool := w.putPool(team("Leads", portalapi.RoleManager))
	w.put(person("ada", pool.ID))
	w.ok(w.client.ReleasePool(t.Context(), pool.Owner.UID, false))
	adopt := team("Leads")
	adopt.Owner.UID, adopt.Adopt = "o-other", &portalapi.Adopt{ID: pool.ID}
	w.putPool(adopt)
	removals, err := w.client.Removals(t.Context(), time.Hour)
	w.ok(err)
	w.equal("removals that the guard counts", removals.Removed, 1)
}
