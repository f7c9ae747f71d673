// SPDX-License-Identifier: Apache-2.0

package scimtarget_test

import (
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"lightrun.com/scim-operator/internal/kernel/portalapi"
	"lightrun.com/scim-operator/internal/scim"
	"lightrun.com/scim-operator/test/framework/scimtargets"
)

// TestTargets runs the driver on service providers that were not written for it. What the target
// has afterwards is read from the target. docs/setup/scim-target.md names these tests.
func TestTargets(t *testing.T) {
	for name, open := range map[string]func(testing.TB) *scimtargets.Target{
		"Webhook":             scimtargets.Gateway,
		"SCIMMY":              scimtargets.SCIMMY,
		"Elimity":             func(t testing.TB) *scimtargets.Target { return scimtargets.Elimity(t, true) },
		"ElimityWithoutPATCH": func(t testing.TB) *scimtargets.Target { return scimtargets.Elimity(t, false) },
	} {
		for part, test := range map[string]func(*world){
			"Day": day, "Drift": drift, "Outage": outage, "RateLimit": rateLimit, "LostAnswers": lostAnswers, "Adoption": adoption, "Idle": idle,
		} {
			t.Run(name+"/"+part, func(t *testing.T) {
				t.Parallel()
				test(start(t, open(t)))
			})
		}
	}
}

// company pushes people and two teams, and returns the accounts by name.
func company(w *world, people int) map[string]*portalapi.Account {
	w.Helper()
	out := map[string]*portalapi.Account{}
	for i := range people {
		name := fmt.Sprintf("p%02d", i)
		w.profiles["s-"+name] = scim.Object{
			"userName": name + "@example.test", "externalId": "x-" + name, "displayName": "Demo " + name, "active": true, "title": "Engineer",
			"name":                    scim.Object{"givenName": "Demo", "familyName": name},
			"emails":                  []any{scim.Object{"value": name + "@mail.example.test", "type": "work", "primary": true}},
			scim.SchemaEnterpriseUser: scim.Object{"department": "R&D"},
		}
		out[name] = w.put(person(name))
	}
	return out
}

// same fails unless the target has exactly these user names, each once.
func (w *world) same(what string, want ...string) {
	w.Helper()
	var got []string
	for _, o := range w.target.All("/Users") {
		got = append(got, o["userName"].(string))
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		w.Errorf("%s: the target has %q, want %q", what, got, want)
	}
}

func (w *world) join(pool *portalapi.Pool, add bool, all ...*portalapi.Account) {
	w.Helper()
	var items []portalapi.MembershipWrite
	for _, a := range all {
		items = append(items, portalapi.MembershipWrite{AccountID: a.ID, IfRevision: w.account(a.ID).Revision, Add: add})
	}
	results, err := w.client.PutMemberships(w.Context(), pool.Owner.UID, items, nil)
	w.ok(err)
	for _, r := range results {
		if r.Outcome != portalapi.MembershipDone {
			w.Errorf("membership: %+v", r)
		}
	}
}

// day is a day of the sample company: arrivals, a team, a rename, a move, a leave and a deletion.
func day(w *world) {
	team1, team2 := w.putPool(team("Payments", portalapi.RoleIgnoreQuota)), w.putPool(team("Platform"))
	all := company(w, 12)
	var names []string
	var accounts []*portalapi.Account
	for i := range 12 {
		name := fmt.Sprintf("p%02d", i)
		names = append(names, name+"@example.test")
		accounts = append(accounts, all[name])
	}
	w.same("after the arrivals", names...)
	w.join(team1, true, accounts[:8]...)
	w.join(team2, true, accounts[6:]...)
	w.equal("members of the first team", len(w.members(team1.ID)), 8)
	w.equal("members of the second team", len(w.members(team2.ID)), 6)
	first := person("p00", team1.ID)
	first.Owner.Revision, first.UserName = 2, "renamed@example.test"
	w.profiles["s-p00"]["userName"] = "renamed@example.test"
	w.put(first)
	names[0] = "renamed@example.test"
	w.same("after the rename", names...)
	w.equal("the roles at the target", roles(w.user(all["p00"].ID)), []string{portalapi.RoleIgnoreQuota, portalapi.RoleUser})
	w.join(team1, false, all["p01"])
	w.equal("after the move", len(w.members(team1.ID)), 7)
	w.ok(w.client.ReleaseAccount(w.Context(), person("p02").Owner, portalapi.ReleaseDeactivate))
	if w.user(all["p02"].ID)["active"] != false {
		w.Error("the user who left is still active")
	}
	w.equal("after the leave", len(w.members(team1.ID)), 6)
	w.ok(w.client.ReleaseAccount(w.Context(), person("p03").Owner, portalapi.ReleaseDelete))
	w.same("after the deletion", slices.DeleteFunc(names, func(name string) bool { return name == "p03@example.test" })...)
	renamed := team("Payments", portalapi.RoleIgnoreQuota)
	renamed.Owner.Revision, renamed.Name = 2, "Payments EU"
	w.putPool(renamed)
	w.equal("the renamed group", w.target.Do("GET", "/Groups/"+team1.ID, nil)["displayName"], any("Payments EU"))
	w.ok(w.client.ReleasePool(w.Context(), team2.Owner.UID, true))
	w.equal("groups at the end", len(w.target.All("/Groups")), 1)
}

// edit changes an attribute of a user as an administrator of the target does.
func (w *world) edit(id, attribute string, value any) {
	w.Helper()
	o := w.user(id)
	delete(o, "meta")
	delete(o, "groups")
	o[attribute] = value
	w.target.Do("PUT", "/Users/"+id, o)
}

// drift heals what an administrator of the target changed, with one request for each user.
func drift(w *world) {
	all := company(w, 3)
	w.edit(all["p00"].ID, "title", "Boss")
	w.edit(all["p01"].ID, "active", false)
	for _, restarted := range []string{"", "second"} {
		if restarted != "" {
			w.edit(all["p00"].ID, "title", "Boss again")
			w.restart(restarted)
		}
		w.list()
		for _, name := range []string{"p00", "p01", "p02"} {
			w.put(person(name))
		}
		w.equal("the title", w.user(all["p00"].ID)["title"], any("Engineer"))
		w.equal("the sign-in", w.user(all["p01"].ID)["active"], any(true))
		w.list()
		w.calls("afterwards", func() {
			for _, name := range []string{"p00", "p01", "p02"} {
				w.put(person(name))
			}
		})
	}
}

// outage answers 503 for a while. Everything is there exactly once afterwards.
func outage(w *world) {
	w.target.Before(func(rw http.ResponseWriter, _ *http.Request) bool {
		rw.WriteHeader(http.StatusServiceUnavailable)
		return true
	})
	for i := range 5 {
		_, err := w.client.PutAccount(w.Context(), person(fmt.Sprintf("p%02d", i)))
		if _, failed := portalapi.Failure(err); !failed {
			w.Errorf("during the outage: %v", err)
		}
	}
	w.target.Before(nil)
	company(w, 5)
	w.same("after the outage", "p00@example.test", "p01@example.test", "p02@example.test", "p03@example.test", "p04@example.test")
}

// rateLimit answers 429 to each second request. No request is sent during a pause.
func rateLimit(w *world) {
	var mu sync.Mutex
	n := 0
	w.target.Before(func(rw http.ResponseWriter, r *http.Request) bool {
		mu.Lock()
		defer mu.Unlock()
		if n++; n%2 == 0 {
			return false
		}
		rw.Header().Set("Content-Type", "application/scim+json")
		rw.Header().Set("Retry-After", "9")
		rw.WriteHeader(http.StatusTooManyRequests)
		_, _ = rw.Write([]byte(`{"schemas":["urn:ietf:params:scim:api:messages:2.0:Error"],"status":"429"}`))
		return true
	})
	for i := range 5 {
		name := fmt.Sprintf("p%02d", i)
		w.calls("the first attempt", func() {
			_, err := w.client.PutAccount(w.Context(), person(name))
			w.refused(err, portalapi.CodeRateLimited)
		}, "POST /Users")
		w.calls("during the pause", func() {
			_, err := w.client.PutAccount(w.Context(), person(name))
			w.refused(err, portalapi.CodeRateLimited)
		})
		w.now = w.now.Add(9 * time.Second)
		w.calls("after the pause", func() { w.put(person(name)) }, "POST /Users")
	}
	w.same("after the limits", "p00@example.test", "p01@example.test", "p02@example.test", "p03@example.test", "p04@example.test")
}

// lostAnswers loses the answer of each creation once.
func lostAnswers(w *world) {
	w.target.Lose(func(r *http.Request) bool { return r.Method == http.MethodPost })
	for i := range 3 {
		if _, err := w.client.PutAccount(w.Context(), person(fmt.Sprintf("p%02d", i))); err == nil {
			w.Error("the answer was not lost")
		}
	}
	w.target.Lose(nil)
	company(w, 3)
	w.same("after the lost answers", "p00@example.test", "p01@example.test", "p02@example.test")
}

// adoption takes over a user of the target, with consent and under its id.
func adoption(w *world) {
	made := w.target.Do("POST", "/Users", scim.Object{"schemas": []any{scim.SchemaUser}, "userName": "P00@example.test", "active": true})
	id := made["id"].(string)
	w.list()
	write := person("p00")
	write.Adopt = &portalapi.Adopt{ID: id}
	_, err := w.client.PutAccount(w.Context(), write)
	w.refused(err, portalapi.CodeLocalAccount)
	w.on(true)
	w.equal("the id", w.put(write).ID, id)
	w.equal("users", len(w.target.All("/Users")), 1)
	w.equal("the externalId", w.user(id)["externalId"], any("x-p00"))
}

// idle sends only the pages of a listing while everything is in the desired state, also after a
// restart.
func idle(w *world) {
	pool := w.putPool(team("Payments", portalapi.RoleIgnoreQuota))
	all := company(w, 4)
	for name := range all {
		w.put(person(name, pool.ID))
	}
	w.restart("second")
	w.calls("the passes after a restart", func() {
		for name := range all {
			w.put(person(name, pool.ID))
		}
		w.putPool(team("Payments", portalapi.RoleIgnoreQuota))
		_, err := w.client.Bind(w.Context(), binding())
		w.ok(err)
	})
	w.calls("a listing", func() { w.list() }, "GET /Users", "GET /Groups")
}
