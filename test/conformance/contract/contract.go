// SPDX-License-Identifier: Apache-2.0

// Package contract is the contract suite for implementations of the portal. It tests the port's
// calls as the operator makes them, and the REST contract as other clients see it. Run it on your
// own portal to check whether the operator can work with it.
package contract

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	portalv1 "lightrun.com/scim-operator/api/portal/v1"
	"lightrun.com/scim-operator/internal/kernel/portalapi"
)

// Fixture is a portal for one test. It has one local manager (direct role ROLE_MANAGER, with a
// password), no other user, the default pool, and SSO and SCIM off. Its check of SSO accepts every
// issuer except Unreachable.
type Fixture struct {
	Client portalapi.Client // the implementation under test, acting as the operator
	// Process returns the client of one process of the operator. One process leads at a time.
	Process func(leader string) portalapi.Client
	URL     string // of the portal
	Keys    Keys
	// Issuer is an OpenID Connect issuer that the portal accepts. MetadataURL and Metadata are
	// those of a SAML provider; a remote portal may lack them.
	Issuer, MetadataURL, Metadata string
	// HTTP sends the requests to the portal's REST API; nil is http.DefaultClient.
	HTTP *http.Client
	// Past contains the removals that the portal's audit has from before this test.
	Past portalapi.Removals

	lacking []portalapi.Capability // see Run

	// Remote is true for a portal that is known by its URL only. Tests that need one of the fields
	// below, or Metadata, do not apply to it if that is nil.
	Remote bool

	// Advance advances the portal's clock.
	Advance func(time.Duration)
	// Truncate deletes all but the newest keep tombstones of the change feed.
	Truncate func(keep int)
	// NewEpoch starts a new epoch of the change feed.
	NewEpoch func()
}

// OnStubs completes the fixture of a portal that does not call identity providers.
func (f Fixture) OnStubs() Fixture {
	f.Issuer, f.MetadataURL, f.Metadata = "https://idp.example.test", "https://idp.example.test/metadata", "<EntityDescriptor/>"
	return f
}

// Unreachable is an issuer that the portal cannot reach.
const Unreachable = "https://unreachable.example.test"

// Keys contains one API key for each scope.
type Keys struct{ Manage, Read, Provisioning, SCIM string }

// Run runs the suite. create returns a new portal for each test. lacks is what the driver of the
// port declares to lack: the suite tests what it does instead.
func Run(t *testing.T, create func(t *testing.T) Fixture, lacks ...portalapi.Capability) {
	parts := []part{
		{"Accounts", accountTests},
		{"Owners", ownerTests},
		{"Pools", poolTests},
		{"Memberships", membershipTests},
		{"Preconditions", preconditionTests},
		{"Identity", identityTests},
		{"Feed", feedTests},
		{"Audit", auditTests},
		{"People", peopleTests},
		{"Keys", keyTests},
		{"HTTP", httpTests},
		{"Lacks", lackTestsOf(lacks)},
	}
	checkNeeds(t, parts)
	for _, part := range parts {
		t.Run(part.name, func(t *testing.T) {
			for name, test := range part.tests {
				if slices.Contains(lacks, needs[part.name]) || slices.Contains(lacks, needs[name]) {
					continue
				}
				t.Run(name, func(t *testing.T) {
					t.Parallel()
					f := create(t)
					f.lacking = lacks
					test(&portalTest{T: t, Fixture: f})
				})
			}
		})
	}
}

// part is a part of the suite.
type part struct {
	name  string
	tests map[string]func(*portalTest)
}

// checkNeeds reports each name in needs that is neither a part nor a test, also if the suite runs
// only some of its tests.
func checkNeeds(t *testing.T, parts []part) {
	t.Helper()
	known := map[string]bool{}
	for _, part := range parts {
		known[part.name] = true
		for name := range part.tests {
			known[name] = true
		}
	}
	for name := range needs {
		if !known[name] {
			t.Errorf("there is no test %q", name)
		}
	}
}

// portalTest is one test with its portal.
type portalTest struct {
	*testing.T
	Fixture
}

// lacks reports whether the fixture does not have what the test needs. Then the test does not apply
// to a remote portal, and fails on any other.
func (p *portalTest) lacks(what string, have bool) bool {
	p.Helper()
	if !have && !p.Remote {
		p.Fatal("the fixture lacks " + what)
	}
	if !have {
		p.Log("not applicable: the test needs " + what)
	}
	return !have
}

// has reports whether the driver has the capability.
func (p *portalTest) has(c portalapi.Capability) bool { return !slices.Contains(p.lacking, c) }

// noClock is lacks for a portal whose clock the fixture moves.
func (p *portalTest) noClock() bool {
	p.Helper()
	return p.lacks("the portal's clock", p.Advance != nil)
}

// scimOn turns SSO and SCIM on, as a manager does on the page.
func (p *portalTest) scimOn() {
	p.Helper()
	p.saveLoginMethods(p.loginMethods())
}

func (p *portalTest) loginMethods() portalv1.LoginMethods {
	return portalv1.LoginMethods{
		SSO:  portalv1.SSO{Enabled: true, Type: portalv1.SSOTypeOIDC, Issuer: p.Issuer, ClientID: "portal"},
		SCIM: portalv1.SCIM{Enabled: true},
	}
}

func (p *portalTest) saveLoginMethods(m portalv1.LoginMethods) {
	p.Helper()
	p.manage("PUT", "/identity-configuration", portalv1.IdentityConfigurationPut{LoginMethods: m}, nil)
}

// person returns a write for the owner u-<name> at revision 1.
func person(name string, pools ...string) portalapi.AccountWrite {
	return portalapi.AccountWrite{
		Owner: portalapi.Owner{UID: "u-" + name, Name: "s-" + name, Revision: 1}, UserName: name + "@example.test", DisplayName: "Demo " + name,
		GivenName: "Demo", FamilyName: name, Email: name + "@mail.example.test", ExternalID: "x-" + name, Active: true, Pools: pools,
	}
}

func (p *portalTest) put(w portalapi.AccountWrite) *portalapi.Account {
	p.Helper()
	a, err := p.Client.PutAccount(p.Context(), w)
	if err != nil {
		p.Fatalf("put %s: %v", w.UserName, err)
	}
	return a
}

func (p *portalTest) putRefused(w portalapi.AccountWrite, code portalapi.Code) {
	p.Helper()
	_, err := p.Client.PutAccount(p.Context(), w)
	p.refused(err, code)
}

// refused fails unless err is a refusal with the code and a message.
func (p *portalTest) refused(err error, code portalapi.Code) {
	p.Helper()
	if portalapi.CodeOf(err) != code {
		p.Fatalf("got %v, want the refusal %s", err, code)
	}
}

func (p *portalTest) ok(err error) {
	p.Helper()
	if err != nil {
		p.Fatal(err)
	}
}

func (p *portalTest) equal(what string, got, want any) {
	p.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		p.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// pool creates a pool in the portal with these roles.
func (p *portalTest) pool(name string, roles ...string) portalv1.Pool {
	p.Helper()
	var made portalv1.Pool
	p.manage("POST", "/pools", portalv1.PoolCreate{Name: name, Roles: roles}, &made)
	return made
}

func (p *portalTest) defaultPool() portalapi.Pool {
	p.Helper()
	pools, err := p.Client.Pools(p.Context())
	p.ok(err)
	for _, one := range pools {
		if one.Default {
			return one
		}
	}
	p.Fatal("there is no default pool")
	return portalapi.Pool{}
}

// local creates a local user.
func (p *portalTest) local(name string, change ...func(*portalv1.UserCreate)) portalv1.User {
	p.Helper()
	create := portalv1.UserCreate{UserName: name + "@example.test", DisplayName: "Local " + name}
	for _, c := range change {
		c(&create)
	}
	var made portalv1.User
	p.manage("POST", "/users", create, &made)
	return made
}

func (p *portalTest) user(id string) portalv1.User {
	p.Helper()
	var u portalv1.User
	p.manage("GET", "/users/"+id, nil, &u)
	return u
}

// manager returns the fixture's first local manager.
func (p *portalTest) manager() portalv1.User {
	p.Helper()
	var page portalv1.UserPage
	p.manage("GET", "/users?managedBy=Local&limit=1", nil, &page)
	return page.Items[0]
}

// audit returns the number of audit events.
func (p *portalTest) audit() (n int) {
	p.Helper()
	for after := ""; ; {
		var page portalv1.AuditEventPage
		p.manage("GET", "/audit-events?limit=1000"+after, nil, &page)
		n += len(page.Items)
		if page.Next == "" {
			return n
		}
		after = "&after=" + url.QueryEscape(page.Next)
	}
}

// audited fails unless f writes exactly n audit events.
func (p *portalTest) audited(what string, n int, f func()) {
	p.Helper()
	if !p.has(portalapi.CapabilityAudit) {
		f()
		return
	}
	before := p.audit()
	f()
	if got := p.audit() - before; got != n {
		p.Errorf("%s wrote %d audit events, want %d", what, got, n)
	}
}

// answer is the portal's HTTP response.
type answer struct {
	Status int
	Header http.Header
	Body   []byte
}

func (a answer) code() portalapi.Code {
	var e portalv1.Error
	_ = json.Unmarshal(a.Body, &e)
	if e.Message == "" {
		return ""
	}
	return portalapi.Code(e.Code)
}

// http sends a request with the key. body is encoded as JSON, sent unchanged if it is a string, or
// omitted if it is nil.
func (p *portalTest) http(key, method, path string, body any, headers ...string) answer {
	p.Helper()
	var reader io.Reader
	switch b := body.(type) {
	case nil:
	case string:
		reader = bytes.NewBufferString(b)
	default:
		text, err := json.Marshal(b)
		p.ok(err)
		reader = bytes.NewReader(text)
	}
	ctx, cancel := context.WithTimeout(p.Context(), time.Minute)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, p.URL+"/api/v1"+path, reader)
	p.ok(err)
	if key != "" {
		r.Header.Set("Authorization", "Bearer "+key)
	}
	if reader != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	client := p.HTTP
	if client == nil {
		client = http.DefaultClient
	}
	response, err := client.Do(r)
	p.ok(err)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	p.ok(err)
	return answer{Status: response.StatusCode, Header: response.Header, Body: text}
}

// manage sends a request as a manager and decodes the response into out. Any status except success
// ends the test.
func (p *portalTest) manage(method, path string, body, out any) {
	p.Helper()
	a := p.http(p.Keys.Manage, method, path, body)
	if a.Status/100 != 2 {
		p.Fatalf("%s %s answers %d %s", method, path, a.Status, a.Body)
	}
	if out != nil {
		if err := json.Unmarshal(a.Body, out); err != nil {
			p.Fatalf("%s %s: %v in %s", method, path, err, a.Body)
		}
	}
}

// refusedWith fails unless the response is a refusal with this status and code.
func (p *portalTest) refusedWith(a answer, status int, code portalapi.Code) {
	p.Helper()
	if a.Status != status || a.code() != code {
		p.Fatalf("answers %d %s, want %d %s with a message", a.Status, bytes.TrimSpace(a.Body), status, code)
	}
}

func number(i int) string { return fmt.Sprintf("p%05d", i) }

func ptr[T any](v T) *T { return &v }
