// SPDX-License-Identifier: Apache-2.0

package scimtarget_test

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"lightrun.com/scim-operator/internal/kernel/portalapi"
	"lightrun.com/scim-operator/internal/operator/portalclient/scimtarget"
	"lightrun.com/scim-operator/internal/scim"
	"lightrun.com/scim-operator/test/framework/scimtargets"
)

func TestCallsOfOneUser(t *testing.T) {
	w := start(t, scimtargets.Gateway(t))
	pool := w.putPool(team("Payments", portalapi.RoleIgnoreQuota))
	var ada *portalapi.Account
	w.calls("an arrival", func() { ada = w.put(person("ada")) }, "POST /Users")
	w.calls("the same user again", func() { w.equal("the account", w.put(person("ada")), ada) })
	write := person("ada")
	write.Owner.Revision = 2
	w.calls("a push that changes nothing", func() { ada = w.put(write) })
	write.Owner.Revision, write.DisplayName = 3, "Ada L."
	w.calls("one attribute", func() { ada = w.put(write) }, "PATCH /Users/id")
	w.calls("one member", func() {
		_, err := w.client.PutMemberships(w.Context(), pool.Owner.UID, []portalapi.MembershipWrite{{AccountID: ada.ID, IfRevision: ada.Revision, Add: true}}, nil)
		w.ok(err)
	}, "PATCH /Groups/id")
	w.equal("the members at the target", w.members(pool.ID), []string{ada.ID})
	now := w.account(ada.ID)
	if now.Owner.Revision != 2 {
		t.Errorf("the target has not got the role yet, so the pass must see a difference: revision %d", now.Owner.Revision)
	}
	write.Pools = []string{pool.ID}
	w.calls("the role that follows", func() { ada = w.put(write) }, "PATCH /Users/id")
	w.equal("the roles at the target", roles(w.user(ada.ID)), []string{portalapi.RoleIgnoreQuota, portalapi.RoleUser})
	w.equal("the roles of the port", ada.Roles, []string{portalapi.RoleIgnoreQuota, portalapi.RoleUser})
	w.calls("the desired state", func() { w.equal("the account", w.put(write), ada) })
	w.calls("a listing", func() { w.list() }, "GET /Users", "GET /Groups")
	w.equal("the account after the listing", w.account(ada.ID), ada)
	write.Active = false
	write.Owner.Revision = 4
	w.calls("a deactivation", func() { w.put(write) }, "PATCH /Users/id")
	if w.user(ada.ID)["active"] != false {
		t.Error("the target still has an active user")
	}
	w.calls("the deletion", func() {
		w.ok(w.client.ReleaseAccount(w.Context(), write.Owner, portalapi.ReleaseDelete))
	}, "DELETE /Users/id")
}

func TestProfile(t *testing.T) {
	w := start(t, scimtargets.Gateway(t))
	boss := w.put(person("boss"))
	w.profiles["s-ada"] = scim.Object{
		"userName": "ada@example.test", "externalId": "x-ada", "active": true, "title": "Engineer", "nickName": "Countess",
		"name":         scim.Object{"givenName": "Ada", "familyName": "Lovelace", "honorificPrefix": "Dr."},
		"emails":       []any{scim.Object{"value": "ada@mail.example.test", "type": "work", "primary": true}, scim.Object{"value": "home@example.test", "type": "home"}},
		"phoneNumbers": []any{scim.Object{"value": "+49 1", "type": "work"}},
		scim.SchemaEnterpriseUser: scim.Object{
			"department": "R&D", "manager": scim.Object{"value": "s-boss"},
		},
	}
	ada := w.put(person("ada"))
	there := w.user(ada.ID)
	w.equal("the title", there["title"], any("Engineer"))
	w.equal("the manager, by the id at the target", there[scim.SchemaEnterpriseUser].(scim.Object)["manager"].(scim.Object)["value"], any(boss.ID))
	w.calls("the same again", func() { w.put(person("ada")) })

	changed := w.profiles["s-ada"]
	delete(changed, "title")
	write := person("ada")
	write.Owner.Revision = 2
	w.calls("a cleared attribute", func() { w.put(write) }, "PATCH /Users/id")
	if got := w.user(ada.ID)["title"]; got != nil {
		t.Errorf("the provider cleared the title, and the target has %v", got)
	}
	w.target.Do("PATCH", "/Users/"+ada.ID, patchOf("replace", "locale", "de-DE"))
	w.list()
	w.calls("an attribute that belongs to the target", func() { w.put(write) })
	w.equal("the locale", w.user(ada.ID)["locale"], any("de-DE"))
}

func patchOf(op, path string, value any) scim.Object {
	return scim.Object{"schemas": []any{scim.SchemaPatchOp}, "Operations": []any{scim.Object{"op": op, "path": path, "value": value}}}
}

// TestDrift changes the target behind the driver's back. The listing must show a difference that
// the next pass of the user writes, in this process and after a restart.
func TestDrift(t *testing.T) {
	for name, tc := range map[string]struct {
		reason string
		edit   scim.Object // a PATCH of the user at the target
		healed []string
	}{
		"Name":        {"The port shows the name.", patchOf("replace", "displayName", "Eve"), []string{"PATCH /Users/id"}},
		"Title":       {"The port does not show the title.", patchOf("replace", "title", "Boss"), []string{"PATCH /Users/id"}},
		"Deactivated": {"The provider says who may sign in.", patchOf("replace", "active", false), []string{"PATCH /Users/id"}},
		"Role":        {"A role that no pool gives is taken away.", patchOf("add", "roles", []any{scim.Object{"value": "ROLE_MANAGER"}}), []string{"PATCH /Users/id"}},
		"Foreign":     {"An attribute that the provider never sent belongs to the target.", patchOf("replace", "timezone", "Europe/Berlin"), nil},
	} {
		for _, restarted := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/restarted=%t", name, restarted), func(t *testing.T) {
				w := start(t, scimtargets.Gateway(t))
				w.profiles["s-ada"] = scim.Object{"userName": "ada@example.test", "externalId": "x-ada", "displayName": "Demo ada", "active": true, "title": "Engineer"}
				write := person("ada")
				write.GivenName, write.FamilyName, write.Email = "", "", ""
				ada := w.put(write)
				w.target.Do("PATCH", "/Users/"+ada.ID, tc.edit)
				if restarted {
					w.restart("second")
				} else {
					w.list()
				}
				got := w.account(ada.ID)
				differs := got.Owner.Revision < 1 || got.DisplayName != "Demo ada" || got.Status != portalapi.StatusActive
				if differs != (len(tc.healed) > 0) {
					t.Errorf("the port shows a difference: %t (%+v). %s", differs, got, tc.reason)
				}
				w.calls(tc.reason, func() { w.put(write) }, tc.healed...)
				w.list()
				if got := w.account(ada.ID); got.Owner.Revision != 1 || got.Status != portalapi.StatusActive {
					t.Errorf("after the pass: %+v", got)
				}
				w.calls("the pass after that", func() { w.put(write) })
			})
		}
	}
}

func TestMembersDrift(t *testing.T) {
	w := start(t, scimtargets.Gateway(t))
	pool := w.putPool(team("Payments"))
	ada, eve := w.put(person("ada", pool.ID)), w.put(person("eve"))
	w.target.Do("PATCH", "/Groups/"+pool.ID, patchOf("replace", "members", []any{scim.Object{"value": eve.ID}}))
	w.list()
	w.equal("who left", w.account(ada.ID).Pools, []string{"default"})
	w.equal("who joined", w.account(eve.ID).Pools, sorted("default", pool.ID))
	w.target.Do("DELETE", "/Groups/"+pool.ID, nil)
	if pools := w.list(); len(pools) != 1 {
		t.Errorf("the deleted group is still a pool: %+v", pools)
	}
	again := w.putPool(team("Payments"))
	if again.ID == pool.ID {
		t.Error("the group was not created again")
	}
}

func sorted(all ...string) []string {
	slices.Sort(all)
	return all
}

// TestLostAnswers loses the answer of a creation. No user and no group may exist twice afterwards,
// whether the process or its successor tries again.
func TestLostAnswers(t *testing.T) {
	for _, restarted := range []bool{false, true} {
		t.Run(fmt.Sprintf("restarted=%t", restarted), func(t *testing.T) {
			w := start(t, scimtargets.Gateway(t))
			w.target.Lose(func(r *http.Request) bool { return r.Method == http.MethodPost })
			if _, err := w.client.PutAccount(t.Context(), person("ada")); err == nil || portalapi.CodeOf(err) != "" {
				t.Fatalf("a lost answer is %v", err)
			}
			if _, err := w.client.PutPool(t.Context(), team("Payments")); err == nil || portalapi.CodeOf(err) != "" {
				t.Fatalf("a lost answer is %v", err)
			}
			w.target.Lose(nil)
			if restarted {
				w.restart("second")
			}
			ada, pool := w.put(person("ada")), w.putPool(team("Payments"))
			if ada.Owner.UID != "u-ada" || pool.Owner.UID != "o-Payments" || !pool.Created {
				t.Errorf("%+v %+v", ada, pool)
			}
			if n, g := len(w.target.All("/Users")), len(w.target.All("/Groups")); n != 1 || g != 1 {
				t.Errorf("the target has %d users and %d groups", n, g)
			}
		})
	}
}

func TestReleaseAfterLostAnswer(t *testing.T) {
	w := start(t, scimtargets.Gateway(t))
	w.target.Lose(func(r *http.Request) bool { return r.Method == http.MethodPost })
	if _, err := w.client.PutAccount(t.Context(), person("ada")); err == nil {
		t.Fatal("the answer was lost")
	}
	w.target.Lose(nil)
	w.ok(w.client.ReleaseAccount(t.Context(), person("ada").Owner, portalapi.ReleaseDelete))
	if n := len(w.target.All("/Users")); n != 0 {
		t.Errorf("the provider deleted the user, and the target still has %d", n)
	}
}

// TestForeignUsers is the ownership table where the target has users of its own.
func TestForeignUsers(t *testing.T) {
	w := start(t, scimtargets.Gateway(t))
	local := w.target.Do("POST", "/Users", scim.Object{"schemas": []any{scim.SchemaUser}, "userName": "ada@example.test", "roles": []any{scim.Object{"value": "ROLE_MANAGER"}}})
	_, err := w.client.PutAccount(t.Context(), person("ada"))
	w.refused(err, portalapi.CodeLocalAccount) // created since the last listing: the target's 409
	id := local["id"].(string)
	have := w.account(id)
	if have.ManagedBy != portalapi.ManagedByLocal || !slices.Contains(have.Roles, portalapi.RoleManager) {
		t.Errorf("the target's own user: %+v", have)
	}
	adopt := person("ada")
	adopt.Adopt = &portalapi.Adopt{ID: id}
	_, err = w.client.PutAccount(t.Context(), adopt)
	w.refused(err, portalapi.CodeLocalAccount)
	w.on(true)
	got := w.put(adopt)
	if got.ID != id || got.ManagedBy != portalapi.ManagedBySCIM {
		t.Errorf("adopted: %+v", got)
	}
	w.equal("the roles at the target", roles(w.user(id)), []string{portalapi.RoleUser})
	removals, err := w.client.Removals(t.Context(), time.Hour)
	w.ok(err)
	if removals.Removed != 1 {
		t.Errorf("the adoption took ROLE_MANAGER, and the guard counts %d removals", removals.Removed)
	}
}

func TestRestart(t *testing.T) {
	w := start(t, scimtargets.Gateway(t))
	pool := w.putPool(team("Leads", portalapi.RoleManager))
	ada := w.put(person("ada", pool.ID))
	mark := &portalapi.Mark{What: portalapi.RemovalDeactivation, State: portalapi.MarkHeld, Decision: "d-1", At: "s-ada"}
	w.ok(w.client.MarkAccount(t.Context(), ada.Owner, mark))
	pinned := team("Leads", portalapi.RoleManager)
	pinned.Pins = []portalapi.Pin{{Line: "displayName Leads", ID: "g-1", Revision: 7}}
	w.putPool(pinned)
	first := w.client
	w.restart("second")
	got := w.account(ada.ID)
	w.equal("the mark", got.Mark, mark)
	w.equal("the owner", got.Owner, w.put(func() portalapi.AccountWrite { p := person("ada", pool.ID); p.KeepMark = true; return p }()).Owner)
	for _, p := range w.list() {
		if p.ID == pool.ID {
			w.equal("the pins", p.Pins, pinned.Pins)
			w.equal("the roles", p.Roles, []string{portalapi.RoleManager})
		}
	}
	write := person("ada", pool.ID)
	write.Owner.Revision, write.DisplayName = 2, "Late"
	w.target.Forget()
	_, err := first.PutAccount(t.Context(), write)
	w.refused(err, portalapi.CodeStaleLeader)
	if calls := w.target.Calls(); len(calls) > 0 {
		t.Errorf("the former leader called the target: %q", calls)
	}
	_, err = first.Bind(t.Context(), binding())
	w.refused(err, portalapi.CodeStaleLeader)
}

// TestLoss resets the target. Nothing may be created there until a person accepts the loss.
func TestLoss(t *testing.T) {
	for _, restarted := range []bool{false, true} {
		t.Run(fmt.Sprintf("restarted=%t", restarted), func(t *testing.T) {
			w := start(t, scimtargets.Gateway(t))
			for i := range 10 {
				w.put(person(fmt.Sprintf("p%d", i)))
			}
			w.target.Reset()
			if restarted {
				w.client = w.process("second")
			}
			_, err := w.client.Pools(t.Context())
			w.refused(err, portalapi.CodeTargetChanged)
			_, err = w.client.PutAccount(t.Context(), person("new"))
			w.refused(err, portalapi.CodeTargetChanged)
			_, err = w.client.Bind(t.Context(), binding())
			w.refused(err, portalapi.CodeTargetChanged)
			if n := len(w.target.All("/Users")); n != 0 {
				t.Errorf("the target was refilled with %d users", n)
			}
			id := err.Error()[strings.LastIndex(err.Error(), " ")+1:]
			b := binding()
			b.AcceptLoss = "other"
			_, err = w.client.Bind(t.Context(), b)
			w.refused(err, portalapi.CodeTargetChanged)
			b.AcceptLoss = id
			_, err = w.client.Bind(t.Context(), b)
			w.ok(err)
			w.list()
			w.put(person("p0"))
			if n := len(w.target.All("/Users")); n != 1 {
				t.Errorf("after the consent the target has %d users", n)
			}
		})
	}
}

// TestOneMissing deletes one user at the target: it is created again without a question.
func TestOneMissing(t *testing.T) {
	w := start(t, scimtargets.Gateway(t))
	ada := w.put(person("ada"))
	for i := range 5 {
		w.put(person(fmt.Sprintf("p%d", i)))
	}
	w.target.Do("DELETE", "/Users/"+ada.ID, nil)
	at, err := w.client.Position(t.Context())
	w.ok(err)
	write := person("ada")
	write.Owner.Revision, write.DisplayName = 2, "Renamed"
	_, err = w.client.PutAccount(t.Context(), write)
	w.refused(err, portalapi.CodeStaleRevision)
	_, _, err = w.client.Changes(t.Context(), at, 0)
	w.refused(err, portalapi.CodeFeedTruncated) // the followers list again
	w.list()
	if got := w.account(ada.ID); got != nil {
		t.Fatalf("the deleted user is still listed: %+v", got)
	}
	if again := w.put(write); again.ID == ada.ID {
		t.Error("the user was not created again")
	}
}

func TestAnswers(t *testing.T) {
	for name, tc := range map[string]struct {
		reason string
		status int
		media  string
		header string // Retry-After
		body   string
		code   portalapi.Code // empty: the answer is not the target's
		pause  time.Duration
	}{
		"RateLimited": {reason: "A pause is the target's to name.", status: 429, media: "application/scim+json", header: "7", body: `{"detail":"slow down"}`, code: portalapi.CodeRateLimited, pause: 7 * time.Second},
		"Overloaded":  {reason: "503 may name a pause too.", status: 503, media: "application/scim+json", header: "3", body: `{"detail":"later"}`, code: portalapi.CodeInternal, pause: 3 * time.Second},
		"Refused":     {reason: "The target's words help the person who reads the condition.", status: 400, media: "application/scim+json", body: `{"scimType":"invalidValue","detail":"no such department"}`, code: portalapi.CodeInvalid},
		"Token":       {reason: "A token that is refused is not an outage.", status: 401, media: "application/scim+json", body: `{}`, code: portalapi.CodeUnauthenticated},
		"Page":        {reason: "A proxy's page is never a final answer.", status: 404, media: "text/html", body: "<html>"},
		"Success":     {reason: "A page with status 200 is no success.", status: 200, media: "text/html", body: "<html>"},
		"Redirect":    {reason: "The token is sent to no other host.", status: 302, media: "text/html"},
		"NoJSON":      {reason: "A truncated answer says nothing.", status: 200, media: "application/scim+json", body: `{"id":`},
	} {
		t.Run(name, func(t *testing.T) {
			w := start(t, scimtargets.Gateway(t))
			w.target.Before(func(rw http.ResponseWriter, r *http.Request) bool {
				rw.Header().Set("Content-Type", tc.media)
				if tc.header != "" {
					rw.Header().Set("Retry-After", tc.header)
				}
				if tc.status == 302 {
					rw.Header().Set("Location", "https://elsewhere.example.test/")
				}
				rw.WriteHeader(tc.status)
				_, _ = rw.Write([]byte(tc.body))
				return true
			})
			_, err := w.client.PutAccount(t.Context(), person("ada"))
			pause, failed := portalapi.Failure(err)
			if portalapi.CodeOf(err) != tc.code || pause != tc.pause {
				t.Errorf("%v, pause %s: %s", err, pause, tc.reason)
			}
			var invalid *portalapi.InvalidResponseError
			if tc.code == "" && (!failed || !errors.As(err, &invalid)) {
				t.Errorf("%v: %s", err, tc.reason)
			}
			if tc.pause > 0 {
				w.calls("a write during the pause", func() { _, _ = w.client.PutAccount(t.Context(), person("bob")) })
				w.now = w.now.Add(tc.pause)
			}
			w.target.Before(nil)
			w.put(person("ada"))
			if n := len(w.target.All("/Users")); n != 1 {
				t.Errorf("the target has %d users", n)
			}
		})
	}
}

// TestVersions changes a user at the target between a listing and a write: the write must not undo
// it unseen.
func TestVersions(t *testing.T) {
	w := start(t, scimtargets.Gateway(t))
	ada := w.put(person("ada"))
	w.target.Do("PATCH", "/Users/"+ada.ID, patchOf("replace", "title", "Boss"))
	write := person("ada")
	write.Owner.Revision, write.DisplayName = 2, "Renamed"
	_, err := w.client.PutAccount(t.Context(), write)
	w.refused(err, portalapi.CodeStaleRevision)
	got := w.put(write)
	if got.DisplayName != "Renamed" || w.user(ada.ID)["displayName"] != "Renamed" {
		t.Errorf("after the next pass: %+v", got)
	}
}

var _ portalapi.Client = (*scimtarget.Client)(nil)
