// SPDX-License-Identifier: Apache-2.0

package scimtarget_test

import (
	"context"
	"net/http"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lightrun.com/scim-operator/internal/kernel/portalapi"
	"lightrun.com/scim-operator/internal/operator/portalclient/scimtarget"
	"lightrun.com/scim-operator/internal/scim"
	"lightrun.com/scim-operator/test/framework/scimtargets"
)

// world is a driver, its ledger and its target.
type world struct {
	*testing.T
	target   *scimtargets.Target
	ledger   *ledger
	profiles profiles
	client   *scimtarget.Client
	now      time.Time
}

// ledger is a ledger in memory whose writes fail on demand.
type ledger struct {
	scimtarget.MemoryLedger
	fail atomic.Pointer[error]
}

func (l *ledger) Put(ctx context.Context, leader string, entries map[string][]byte) error {
	if err := l.fail.Load(); err != nil {
		return *err
	}
	return l.MemoryLedger.Put(ctx, leader, entries)
}

// profiles are what the provider says about users, by the owner's name.
type profiles map[string]scim.Object

func (p profiles) Profile(_ context.Context, owner string) (scim.Object, error) { return p[owner], nil }

// start returns a driver that leads, with SCIM on and everything listed.
func start(t *testing.T, target *scimtargets.Target) *world {
	w := &world{T: t, target: target, ledger: &ledger{}, profiles: profiles{}, now: time.Now()}
	w.client = w.process("first")
	w.on(false)
	return w
}

// process returns the driver of another process with the same ledger, which leads from now on.
func (w *world) process(leader string) *scimtarget.Client {
	w.Helper()
	c, err := scimtarget.New(scimtarget.Options{
		URL: w.target.URL, HTTP: &http.Client{Transport: scimtarget.Bearer(nil, func() (string, error) { return scimtargets.Token, nil })},
		Ledger: w.ledger, Profiles: w.profiles, Leader: leader, Roles: true, Groups: true,
		Now: func() time.Time { return w.now }, Timeout: 10 * time.Second,
	})
	w.ok(err)
	_, err = c.Bind(w.Context(), binding())
	w.ok(err)
	return c
}

func binding() portalapi.Binding {
	return portalapi.Binding{Cluster: "c", Namespace: "company", Name: "default", UID: "i-1", ProviderType: "Okta"}
}

// on turns SSO and SCIM on, and lists the target.
func (w *world) on(existing bool) {
	w.Helper()
	_, err := w.client.PutLoginMethods(w.Context(), portalapi.LoginMethods{SSO: portalapi.SSO{Enabled: true}, SCIMEnabled: true, ProvisionExistingUsers: existing}, "Git")
	w.ok(err)
	w.list()
}

// restart replaces the driver by that of a new process.
func (w *world) restart(leader string) {
	w.Helper()
	w.client = w.process(leader)
	w.list()
}

func (w *world) list() []portalapi.Pool {
	w.Helper()
	pools, err := w.client.Pools(w.Context())
	w.ok(err)
	return pools
}

func (w *world) ok(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

func (w *world) refused(err error, code portalapi.Code) {
	w.Helper()
	if portalapi.CodeOf(err) != code {
		w.Fatalf("got %v, want the refusal %s", err, code)
	}
}

// equal compares.
func (w *world) equal(what string, got, want any) {
	w.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		w.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// calls fails unless f sends exactly these requests.
func (w *world) calls(what string, f func(), want ...string) {
	w.Helper()
	w.target.Forget()
	f()
	if got := w.target.Calls(); !slices.Equal(got, want) {
		w.Errorf("%s sends %q, want %q", what, got, want)
	}
}

// person returns the write of the user with that name at revision 1.
func person(name string, pools ...string) portalapi.AccountWrite {
	return portalapi.AccountWrite{
		Owner: portalapi.Owner{UID: "u-" + name, Name: "s-" + name, Revision: 1}, UserName: name + "@example.test", DisplayName: "Demo " + name,
		GivenName: "Demo", FamilyName: name, Email: name + "@mail.example.test", ExternalID: "x-" + name, Active: true, Pools: pools,
	}
}

func (w *world) put(write portalapi.AccountWrite) *portalapi.Account {
	w.Helper()
	a, err := w.client.PutAccount(w.Context(), write)
	if err != nil {
		w.Fatalf("put %s: %v", write.UserName, err)
	}
	return a
}

func team(name string, roles ...string) portalapi.PoolWrite {
	return portalapi.PoolWrite{Owner: portalapi.Owner{UID: "o-" + name, Name: "team-" + name, Revision: 1}, Name: name, Roles: roles}
}

func (w *world) putPool(write portalapi.PoolWrite) *portalapi.Pool {
	w.Helper()
	p, err := w.client.PutPool(w.Context(), write)
	if err != nil {
		w.Fatalf("put pool %s: %v", write.Name, err)
	}
	return p
}

// account returns the account as it is listed now.
func (w *world) account(id string) *portalapi.Account {
	w.Helper()
	for after := ""; ; {
		page, next, err := w.client.Accounts(w.Context(), after, 100)
		w.ok(err)
		for i := range page {
			if page[i].ID == id {
				return &page[i]
			}
		}
		if next == "" {
			return nil
		}
		after = next
	}
}

// user returns the target's own user.
func (w *world) user(id string) scim.Object {
	w.Helper()
	return w.target.Do("GET", "/Users/"+id, nil)
}

// members returns the ids in the target's own group, sorted.
func (w *world) members(id string) []string {
	w.Helper()
	out := []string{}
	list, _ := w.target.Do("GET", "/Groups/"+id, nil)["members"].([]any)
	for _, e := range list {
		out = append(out, e.(scim.Object)["value"].(string))
	}
	slices.Sort(out)
	return out
}

// roles returns the values of the target's own attribute roles, sorted.
func roles(user scim.Object) []string {
	out := []string{}
	list, _ := user["roles"].([]any)
	for _, e := range list {
		out = append(out, e.(scim.Object)["value"].(string))
	}
	slices.Sort(out)
	return out
}
