// SPDX-License-Identifier: Apache-2.0

// Package remote runs the contract suite on a portal that is reached by its URL alone. All
// tests use the one portal, one after another: before each test, the package deletes everything
// that the test before has left. Owners of records may never write again after they were
// released, so in each test they, clusters and leaders get other ids on the way to the portal
// and back.
package remote

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	portalv1 "lightrun.com/scim-operator/api/portal/v1"
	"lightrun.com/scim-operator/internal/kernel/portalapi"
	"lightrun.com/scim-operator/internal/kernel/provider"
	"lightrun.com/scim-operator/internal/operator/portalclient/rest"
	"lightrun.com/scim-operator/test/conformance/contract"
)

// Options are the portal to test and what the tests need.
type Options struct {
	URL          string // without /api/v1
	Manage       string // an API key with the scope manage
	Provisioning string // an API key with the scope provisioning; if it is empty, Open makes one
	Issuer       string // an OpenID Connect issuer that the portal can reach

	MetadataURL, Metadata string // of a SAML provider; empty leaves the tests of SAML out
}

// Portal is a portal for tests.
type Portal struct {
	o       Options
	keys    contract.Keys
	keyIDs  []string // of the keys that stay
	manager portalv1.User
	adopted bool // the manager needs a password
	http    *http.Client
}

// Open checks that the portal is one for tests and makes the API keys that the tests need. It
// refuses a portal with users, pools or an operator, because the tests delete everything.
func Open(ctx context.Context, o Options) (*Portal, error) {
	o.URL = strings.TrimSuffix(o.URL, "/")
	p := &Portal{o: o, keys: contract.Keys{Manage: o.Manage, Provisioning: o.Provisioning}, http: &http.Client{Timeout: time.Minute}}
	var users portalv1.UserPage
	var pools portalv1.PoolList
	var config portalv1.IdentityConfiguration
	var keys portalv1.APIKeyList
	for path, out := range map[string]any{"/users?limit=2": &users, "/pools": &pools, "/identity-configuration": &config, "/api-keys": &keys} {
		if err := p.manage(ctx, http.MethodGet, path, nil, out); err != nil {
			return nil, err
		}
	}
	switch {
	case len(users.Items) != 1 || users.Items[0].ManagedBy != portalv1.ManagedByLocal || !slices.Contains(users.Items[0].DirectRoles, portalapi.RoleManager):
		return nil, errors.New("the tests delete everything in the portal, so it must have no user but one local manager with a password and the direct role ROLE_MANAGER")
	case len(pools.Items) != 1 || config.Binding != nil:
		return nil, errors.New("the tests delete everything in the portal, so it must have no pool but the default pool, and no operator")
	}
	p.manager = users.Items[0]
	for _, k := range keys.Items {
		if k.Scope == portalv1.ScopeSCIM {
			return nil, fmt.Errorf("delete the API key %q with the scope scim first: the tests count these keys", k.Name)
		}
		p.keyIDs = append(p.keyIDs, k.ID)
	}
	return p, errors.Join(p.key(ctx, portalv1.ScopeRead, &p.keys.Read), p.key(ctx, portalv1.ScopeSCIM, &p.keys.SCIM), p.key(ctx, portalv1.ScopeProvisioning, &p.keys.Provisioning))
}

// key makes an API key with the scope unless there is one.
func (p *Portal) key(ctx context.Context, scope portalv1.Scope, secret *string) error {
	if *secret != "" {
		return nil
	}
	create := portalv1.APIKeyCreate{Name: "conformance-" + string(scope), Scope: scope}
	if scope == portalv1.ScopeSCIM {
		create.ProviderType = provider.Okta
	}
	var made portalv1.APIKeyWithSecret
	if err := p.manage(ctx, http.MethodPost, "/api-keys", create, &made); err != nil {
		return fmt.Errorf("make an API key with the scope %s: %w", scope, err)
	}
	p.keyIDs = append(p.keyIDs, made.Key.ID)
	*secret = made.Secret
	return nil
}

// Close deletes everything that the tests and Open have made.
func (p *Portal) Close(ctx context.Context) error {
	if err := p.reset(ctx); err != nil {
		return err
	}
	var keys portalv1.APIKeyList
	if err := p.manage(ctx, http.MethodGet, "/api-keys", nil, &keys); err != nil {
		return err
	}
	slices.SortFunc(keys.Items, func(a, b portalv1.APIKey) int { return cmp.Compare(a.Name, b.Name) })
	for _, k := range keys.Items {
		if strings.HasPrefix(k.Name, "conformance-") {
			if err := p.manage(ctx, http.MethodDelete, "/api-keys/"+k.ID, nil, nil); err != nil {
				return err
			}
		}
	}
	return nil
}

// Fixture makes the portal empty and returns it for one test.
func (p *Portal) Fixture(t *testing.T) contract.Fixture {
	if err := p.reset(t.Context()); err != nil {
		t.Fatalf("make the portal empty: %v", err)
	}
	var past portalv1.Removals
	if err := p.manage(t.Context(), http.MethodGet, "/provisioning/removals?windowSeconds=3600", nil, &past); err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &salted{salt: "." + strings.ToLower(rand.Text()[:8])}}
	process := func(leader string) portalapi.Client {
		c, err := rest.New(rest.Options{URL: p.o.URL, HTTP: client, Leader: leader, Key: func(context.Context) (string, error) { return p.keys.Provisioning, nil }})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	return contract.Fixture{Remote: true, Client: process(""), Process: process, URL: p.o.URL, Keys: p.keys, HTTP: client, Past: portalapi.Removals{Removed: past.Removed},
		Issuer: p.o.Issuer, MetadataURL: p.o.MetadataURL, Metadata: p.o.Metadata}
}

// reset brings the portal to the state at the beginning of a test.
func (p *Portal) reset(ctx context.Context) error {
	for _, step := range []func(context.Context) error{p.unbind, p.releaseAll, p.restore, p.deleteAll} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// unbind releases the operator and its leader, and hands the login methods back to the page.
func (p *Portal) unbind(ctx context.Context) error {
	var config portalv1.IdentityConfiguration
	if err := p.manage(ctx, http.MethodGet, "/identity-configuration", nil, &config); err != nil {
		return err
	}
	release := func(uid string) error {
		return p.provision(ctx, http.MethodDelete, "/provisioning/binding?uid="+url.QueryEscape(uid), nil)
	}
	if config.Binding != nil {
		if err := release(config.Binding.UID); err != nil {
			return err
		}
	}
	own := portalv1.Binding{Cluster: "conformance", Namespace: "conformance", Name: "default", UID: "conformance", ProviderType: provider.Okta}
	if err := p.provision(ctx, http.MethodPut, "/provisioning/binding", own); err != nil { // without a leader
		return err
	}
	if err := release(own.UID); err != nil {
		return err
	}
	return p.provision(ctx, http.MethodPut, "/provisioning/login-methods", portalv1.LoginMethodsProvision{})
}

// releaseAll releases every user and pool from its owner. That needs SCIM.
func (p *Portal) releaseAll(ctx context.Context) error {
	users, pools, err := p.records(ctx)
	if err != nil {
		return err
	}
	owned := func(u portalv1.User) bool { return u.Owner != nil }
	if !slices.ContainsFunc(users, owned) && !slices.ContainsFunc(pools, func(x portalv1.Pool) bool { return x.Owner != nil }) {
		return nil
	}
	if err := p.login(ctx, true); err != nil {
		return err
	}
	for _, u := range users {
		if u.Owner == nil {
			continue
		}
		body := portalv1.UserRelease{Mode: portalv1.ReleaseModeDelete, Revision: u.Owner.Revision}
		if u.ID == p.manager.ID { // a test handed the manager over, and the password ended
			body.Mode, p.adopted = portalv1.ReleaseModeOrphan, true
		}
		if err := p.provision(ctx, http.MethodPost, "/provisioning/users/"+url.PathEscape(u.Owner.UID)+"/release", body); err != nil {
			return err
		}
	}
	for _, x := range pools {
		if x.Owner == nil {
			continue
		}
		if err := p.provision(ctx, http.MethodPost, "/provisioning/pools/"+url.PathEscape(x.Owner.UID)+"/release", portalv1.PoolRelease{Remove: !x.Default}); err != nil {
			return err
		}
	}
	return nil
}

// deleteAll deletes what no operator owns: users, pools and API keys.
func (p *Portal) deleteAll(ctx context.Context) error {
	users, pools, err := p.records(ctx)
	if err != nil {
		return err
	}
	var keys portalv1.APIKeyList
	if err := p.manage(ctx, http.MethodGet, "/api-keys", nil, &keys); err != nil {
		return err
	}
	var paths []string
	for _, u := range users {
		if u.ID != p.manager.ID {
			paths = append(paths, "/users/"+u.ID)
		}
	}
	for _, x := range pools {
		if !x.Default {
			paths = append(paths, "/pools/"+x.ID)
		}
	}
	for _, k := range keys.Items {
		if !slices.Contains(p.keyIDs, k.ID) {
			paths = append(paths, "/api-keys/"+k.ID)
		}
	}
	for _, path := range paths {
		if err := p.manage(ctx, http.MethodDelete, path, nil, nil); err != nil {
			return err
		}
	}
	return nil
}

// restore turns SSO and SCIM off, and makes the manager and the default pool as they were. A
// manager must remain before others are deleted.
func (p *Portal) restore(ctx context.Context) error {
	if err := p.login(ctx, false); err != nil {
		return err
	}
	users, pools, err := p.records(ctx)
	if err != nil {
		return err
	}
	no, active, none, roles := false, portalv1.StatusActive, []string{}, []string{portalapi.RoleManager}
	manager := portalv1.UserPatch{Status: &active, DirectRoles: &roles, HandedOver: &no, Pools: &none, UserName: &p.manager.UserName, DisplayName: &p.manager.DisplayName,
		GivenName: &p.manager.GivenName, FamilyName: &p.manager.FamilyName, Email: &p.manager.Email}
	if password := rand.Text(); p.adopted {
		manager.Password, p.adopted = &password, false
	}
	if !slices.ContainsFunc(users, func(u portalv1.User) bool { return u.ID == p.manager.ID }) { // a test deleted the manager
		again := portalv1.UserCreate{UserName: p.manager.UserName, DisplayName: p.manager.DisplayName, Password: rand.Text(), DirectRoles: roles}
		if err := p.manage(ctx, http.MethodPost, "/users", again, &p.manager); err != nil {
			return err
		}
	}
	if err := p.manage(ctx, http.MethodPatch, "/users/"+p.manager.ID, manager, nil); err != nil {
		return err
	}
	empty, at := "", slices.IndexFunc(pools, func(x portalv1.Pool) bool { return x.Default })
	if at < 0 {
		return errors.New("the portal has no default pool")
	}
	return p.manage(ctx, http.MethodPatch, "/pools/"+pools[at].ID, portalv1.PoolPatch{Description: &empty, Roles: &none}, nil)
}

func (p *Portal) login(ctx context.Context, on bool) error {
	m := portalv1.LoginMethods{SSO: portalv1.SSO{Type: portalv1.SSOTypeOIDC}}
	if on {
		m.SSO, m.SCIM = portalv1.SSO{Enabled: true, Type: portalv1.SSOTypeOIDC, Issuer: p.o.Issuer, ClientID: "portal"}, portalv1.SCIM{Enabled: true}
	}
	return p.manage(ctx, http.MethodPut, "/identity-configuration", portalv1.IdentityConfigurationPut{LoginMethods: m}, nil)
}

// records lists all users and pools.
func (p *Portal) records(ctx context.Context) (users []portalv1.User, pools []portalv1.Pool, err error) {
	for after := ""; ; {
		var page portalv1.UserPage
		if err := p.manage(ctx, http.MethodGet, "/users?limit=1000"+after, nil, &page); err != nil {
			return nil, nil, err
		}
		users = append(users, page.Items...)
		if page.Next == "" {
			break
		}
		after = "&after=" + url.QueryEscape(page.Next)
	}
	var list portalv1.PoolList
	err = p.manage(ctx, http.MethodGet, "/pools", nil, &list)
	return users, list.Items, err
}

func (p *Portal) manage(ctx context.Context, method, path string, body, out any) error {
	return p.call(ctx, p.keys.Manage, method, path, body, out)
}

func (p *Portal) provision(ctx context.Context, method, path string, body any) error {
	return p.call(ctx, p.keys.Provisioning, method, path, body, nil)
}

// call sends one request and decodes its answer. Every status but success is an error.
func (p *Portal) call(ctx context.Context, key, method, path string, body, out any) error {
	var sent io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return err
		}
		sent = bytes.NewReader(text)
	}
	r, err := http.NewRequestWithContext(ctx, method, p.o.URL+"/api/v1"+path, sent)
	if err != nil {
		return err
	}
	r.Header.Set("Authorization", "Bearer "+key)
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	got, err := p.http.Do(r)
	if err != nil {
		return err
	}
	defer got.Body.Close()
	text, err := io.ReadAll(got.Body)
	switch {
	case err != nil:
		return fmt.Errorf("%s %s: %w", method, path, err)
	case got.StatusCode/100 != 2:
		return fmt.Errorf("%s %s answers %d %s", method, path, got.StatusCode, bytes.TrimSpace(text))
	case out == nil:
		return nil
	}
	if err := json.Unmarshal(text, out); err != nil {
		return fmt.Errorf("%s %s: the response is not JSON as the contract has it; is this URL a portal? %w", method, path, err)
	}
	return nil
}
