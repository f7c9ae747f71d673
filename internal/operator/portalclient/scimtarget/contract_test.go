// SPDX-License-Identifier: Apache-2.0

package scimtarget_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"lightrun.com/scim-operator/internal/kernel/portalapi"
	"lightrun.com/scim-operator/internal/operator/portalclient/scimtarget"
	"lightrun.com/scim-operator/internal/scim"
	"lightrun.com/scim-operator/test/conformance/contract"
	"lightrun.com/scim-operator/test/framework/scimtargets"

	portalv1 "lightrun.com/scim-operator/api/portal/v1"
)

// TestContract runs the contract suite of the port on the driver, with this project's webhook as
// the target.
func TestContract(t *testing.T) {
	contract.Run(t, func(t *testing.T) contract.Fixture {
		target := scimtargets.Gateway(t)
		target.Do("POST", "/Users", scim.Object{"schemas": []any{scim.SchemaUser}, "userName": "boss@example.test", "displayName": "Boss", "roles": []any{scim.Object{"value": portalapi.RoleManager}}})
		clock := &testClock{now: time.Now()}
		store := &scimtarget.MemoryLedger{}
		process := func(leader string) portalapi.Client {
			c, err := scimtarget.New(scimtarget.Options{
				URL: target.URL, HTTP: &http.Client{Transport: scimtarget.Bearer(nil, func() (string, error) { return scimtargets.Token, nil })},
				Ledger: store, Leader: leader, Roles: true, Groups: true, Now: clock.Now, Timeout: time.Minute,
			})
			if err != nil {
				t.Fatal(err)
			}
			return c
		}
		c := process("suite")
		if _, err := c.Pools(t.Context()); err != nil {
			t.Fatal(err)
		}
		a := &admin{t: t, target: target, client: c}
		return contract.Fixture{
			Client: c, Process: process, URL: "http://target.example.test", HTTP: &http.Client{Transport: a},
			Keys: contract.Keys{Manage: "manage", Read: "read", Provisioning: "provisioning", SCIM: "scim"}, Advance: clock.Advance,
			NewEpoch: func() { a.loseUser(person("gone")) },
		}.OnStubs()
	}, scimtarget.Lacks()...)
}

// loseUser deletes a user of the driver at the target: the next write notices it, and every reader
// lists again.
func (a *admin) loseUser(w portalapi.AccountWrite) {
	_, err := a.client.PutLoginMethods(a.t.Context(), portalapi.LoginMethods{SSO: portalapi.SSO{Enabled: true}, SCIMEnabled: true}, "Git")
	if err != nil {
		a.t.Fatal(err)
	}
	made, err := a.client.PutAccount(a.t.Context(), w)
	if err != nil {
		a.t.Fatal(err)
	}
	a.target.Do("DELETE", "/Users/"+made.ID, nil)
	w.DisplayName = "Changed"
	if _, err := a.client.PutAccount(a.t.Context(), w); portalapi.CodeOf(err) != portalapi.CodeStaleRevision {
		a.t.Fatal(err)
	}
}

// testClock is a clock that a test advances.
type testClock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *testClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *testClock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// admin carries out the suite's requests to a portal as the administrators of the target and of the
// cluster do: users and groups are changed at the target, the login methods are declared. The
// driver lists the target afterwards. All other requests go to the target.
type admin struct {
	t      *testing.T
	target *scimtargets.Target
	client portalapi.Client
}

// RoundTrip implements http.RoundTripper.
func (a *admin) RoundTrip(r *http.Request) (*http.Response, error) {
	mux := http.NewServeMux()
	for pattern, f := range map[string]func(r *http.Request) (any, error){
		"PUT /api/v1/identity-configuration": a.configure,
		"POST /api/v1/users":                 a.createUser,
		"GET /api/v1/users":                  a.locals,
		"GET /api/v1/users/{id}":             a.user,
		"PATCH /api/v1/users/{id}":           a.editUser,
		"POST /api/v1/pools":                 a.createPool,
		"GET /api/v1/pools/{id}":             a.pool,
		"DELETE /api/v1/pools/{id}":          a.deletePool,
	} {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			answer, err := f(r)
			if e := new(portalapi.Error); errors.As(err, &e) {
				w.WriteHeader(e.Status)
				answer = portalv1.Error{Code: string(e.Code), Message: e.Message}
			} else if err != nil {
				a.t.Error(err)
			}
			_ = json.NewEncoder(w).Encode(answer)
		})
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		status, o := a.target.Try(r.Method, r.URL.Path, nil)
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(o)
	})
	w := httptest.NewRecorder()
	mux.ServeHTTP(w, r)
	return w.Result(), nil
}

func (a *admin) configure(r *http.Request) (any, error) {
	var put portalv1.IdentityConfigurationPut
	if err := json.NewDecoder(r.Body).Decode(&put); err != nil {
		return nil, err
	}
	m := put.LoginMethods
	return a.client.PutLoginMethods(r.Context(), portalapi.LoginMethods{
		SSO:         portalapi.SSO{Enabled: m.SSO.Enabled, Type: string(m.SSO.Type), Issuer: m.SSO.Issuer, ClientID: m.SSO.ClientID},
		SCIMEnabled: m.SCIM.Enabled, ProvisionExistingUsers: m.SCIM.ProvisionExistingUsers,
	}, "Git")
}

func (a *admin) createUser(r *http.Request) (any, error) {
	var create portalv1.UserCreate
	if err := json.NewDecoder(r.Body).Decode(&create); err != nil {
		return nil, err
	}
	o := scim.Object{"schemas": []any{scim.SchemaUser}, "userName": create.UserName, "displayName": create.DisplayName, "active": true, "roles": values(create.DirectRoles)}
	id, _ := a.target.Do("POST", "/Users", o)["id"].(string)
	for _, pool := range create.Pools {
		a.target.Do("PATCH", "/Groups/"+pool, patchOf("add", "members", values([]string{id})))
	}
	return a.userNow(r, id)
}

func values(all []string) []any {
	out := []any{}
	for _, v := range all {
		out = append(out, scim.Object{"value": v})
	}
	return out
}

func (a *admin) editUser(r *http.Request) (any, error) {
	var p portalv1.UserPatch
	if err := json.NewDecoder(r.Body).Decode(&p); err != nil {
		return nil, err
	}
	id := r.PathValue("id")
	if p.DisplayName != nil {
		a.target.Do("PATCH", "/Users/"+id, patchOf("replace", "displayName", *p.DisplayName))
	}
	if p.Status != nil {
		a.target.Do("PATCH", "/Users/"+id, patchOf("replace", "active", *p.Status == portalv1.StatusActive))
	}
	if p.Pools != nil {
		for _, pool := range *p.Pools {
			a.target.Do("PATCH", "/Groups/"+pool, patchOf("add", "members", values([]string{id})))
		}
	}
	return a.userNow(r, id)
}

func (a *admin) user(r *http.Request) (any, error) { return a.userNow(r, r.PathValue("id")) }

func (a *admin) userNow(r *http.Request, id string) (any, error) {
	all, err := a.users(r)
	if err != nil {
		return nil, err
	}
	for _, u := range all {
		if u.ID == id {
			return u, nil
		}
	}
	return nil, &portalapi.Error{Status: http.StatusNotFound, Code: portalapi.CodeNotFound, Message: "the target has no such user"}
}

// locals returns the users that the operator does not manage.
func (a *admin) locals(r *http.Request) (any, error) {
	all, err := a.users(r)
	return portalv1.UserPage{Items: slices.DeleteFunc(all, func(u portalv1.User) bool { return u.ManagedBy != portalv1.ManagedByLocal })}, err
}

// users lists the target and returns its users as the driver sees them.
func (a *admin) users(r *http.Request) ([]portalv1.User, error) {
	if _, err := a.client.Pools(r.Context()); err != nil {
		return nil, err
	}
	page, _, err := a.client.Accounts(r.Context(), "", 1000)
	out := []portalv1.User{}
	for _, one := range page {
		u := portalv1.User{
			ID: one.ID, UserName: one.UserName, DisplayName: one.DisplayName, Status: portalv1.Status(one.Status), ManagedBy: portalv1.ManagedBy(one.ManagedBy),
			DeactivatedBy: portalv1.ManagedBy(one.DeactivatedBy), Roles: one.Roles, DirectRoles: one.DirectRoles, Revision: one.Revision,
		}
		for _, id := range one.Pools {
			u.Pools = append(u.Pools, portalv1.PoolRef{ID: id})
		}
		if one.Owner.UID != "" {
			u.Owner = &portalv1.Owner{UID: one.Owner.UID, Name: one.Owner.Name, Revision: one.Owner.Revision}
		}
		if one.WaitingFor.UID != "" {
			u.WaitingFor = &portalv1.WaitingFor{UID: one.WaitingFor.UID, Name: one.WaitingFor.Name}
		}
		if one.Mark != nil {
			u.Mark = &portalv1.Mark{What: portalv1.Removal(one.Mark.What)}
		}
		out = append(out, u)
	}
	return out, err
}

// createPool leaves a pool that no AgentPool manages. A target's own group gives no roles, so with
// roles it is the pool of an AgentPool that was released.
func (a *admin) createPool(r *http.Request) (any, error) {
	var create portalv1.PoolCreate
	if err := json.NewDecoder(r.Body).Decode(&create); err != nil {
		return nil, err
	}
	if len(create.Roles) == 0 {
		id, _ := a.target.Do("POST", "/Groups", scim.Object{"schemas": []any{scim.SchemaGroup}, "displayName": create.Name})["id"].(string)
		return a.poolNow(r, id)
	}
	config, err := a.client.Configuration(r.Context())
	if err != nil {
		return nil, err
	}
	on := config.LoginMethods
	on.SSO.Enabled, on.SCIMEnabled = true, true
	if _, err := a.client.PutLoginMethods(r.Context(), on, "Git"); err != nil {
		return nil, err
	}
	owner := portalapi.Owner{UID: "former-" + create.Name, Name: "former-" + create.Name, Revision: 1}
	p, err := a.client.PutPool(r.Context(), portalapi.PoolWrite{Owner: owner, Name: create.Name, Roles: create.Roles})
	if err != nil {
		return nil, err
	}
	if err := a.client.ReleasePool(r.Context(), owner.UID, false); err != nil {
		return nil, err
	}
	return a.poolNow(r, p.ID)
}

func (a *admin) pool(r *http.Request) (any, error) { return a.poolNow(r, r.PathValue("id")) }

func (a *admin) deletePool(r *http.Request) (any, error) {
	a.target.Do("DELETE", "/Groups/"+r.PathValue("id"), nil)
	_, err := a.client.Pools(r.Context())
	return nil, err
}

func (a *admin) poolNow(r *http.Request, id string) (any, error) {
	all, err := a.client.Pools(r.Context())
	if err != nil {
		return nil, err
	}
	for _, one := range all {
		if one.ID == id {
			p := portalv1.Pool{ID: one.ID, Name: one.Name, Description: one.Description, Roles: one.Roles, Default: one.Default, Created: one.Created, MemberCount: one.Members, Revision: one.Revision}
			if one.Owner.UID != "" {
				p.Owner = &portalv1.Owner{UID: one.Owner.UID, Name: one.Owner.Name, Revision: one.Owner.Revision}
			}
			return p, nil
		}
	}
	return nil, &portalapi.Error{Status: http.StatusNotFound, Code: portalapi.CodeNotFound, Message: "the target has no such group"}
}
