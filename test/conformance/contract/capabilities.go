// SPDX-License-Identifier: Apache-2.0

package contract

import (
	"net/http"
	"strings"
	"time"

	portalv1 "lightrun.com/scim-operator/api/portal/v1"
	"lightrun.com/scim-operator/internal/kernel/portalapi"
)

// needs has the tests that need a capability, by their names. They do not run on a driver that
// lacks it; the tests in lackTests run instead.
var needs = map[string]portalapi.Capability{
	"People": portalapi.CapabilityREST,
	"Keys":   portalapi.CapabilityREST,
	"HTTP":   portalapi.CapabilityREST,

	"The last local manager who can sign in cannot be adopted":                         portalapi.CapabilityPeople,
	"A pool that grants the last local manager the role keeps it":                      portalapi.CapabilityPeople,
	"A pool that an AgentPool manages is read-only for people":                         portalapi.CapabilityPeople,
	"The read-only reason names the provider":                                          portalapi.CapabilityPeople,
	"A local account that was handed over is adopted without the toggle":               portalapi.CapabilityHandOver,
	"A pool made in the portal can be handed over until it has an owner":               portalapi.CapabilityHandOver,
	"Ungranted memberships and roles are shown, and a write of the owner removes them": portalapi.CapabilityGrants,
	"The owner's next write grants a wanted membership or role that was ungranted":     portalapi.CapabilityGrants,
	"Removing a membership that no owner granted does not count":                       portalapi.CapabilityGrants,
	"A plan of the migration is stored in parts":                                       portalapi.CapabilityPlan,
	"Preconditions are entity tags":                                                    portalapi.CapabilityREST,
	"A long feed is read in pages":                                                     portalapi.CapabilityREST,
	"A truncated position is refused":                                                  portalapi.CapabilityTruncation,

	"The audit names the person who decided about a write":                   portalapi.CapabilityAudit,
	"The audit has one event for each request that caused some of the items": portalapi.CapabilityAudit,
	"Each change and each refusal is one event":                              portalapi.CapabilityAudit,
	"Events name actor, action and target, newest first":                     portalapi.CapabilityAudit,
	"Events have a cause, and are found by it":                               portalapi.CapabilityAudit,
	"The audit's head grows with each event, and an older head stays":        portalapi.CapabilityAudit,
	"A user who left is erased, and the events stay by id":                   portalapi.CapabilityAudit,

	"SCIM needs SSO, and provisioning existing users needs SCIM":                portalapi.CapabilitySignIn,
	"SSO with an unreachable issuer is not turned on":                           portalapi.CapabilitySignIn,
	"SAML has the provider's metadata, by URL or as a document, and attributes": portalapi.CapabilitySignIn,
	"A dry run returns the report and changes nothing":                          portalapi.CapabilitySignIn,
	"A save names its revision; a save on an old revision is refused":           portalapi.CapabilitySignIn,
	"The client secret is kept and never shown":                                 portalapi.CapabilitySignIn,
	"A declared configuration makes the page read-only until it is handed back": portalapi.CapabilitySignIn,
}

// lackTests are what a driver does that lacks the capability.
var lackTests = map[portalapi.Capability]func(*portalTest){
	portalapi.CapabilityAudit: func(p *portalTest) {
		_, err := p.Client.AuditHead(p.Context(), 0)
		p.saysNo(err, portalapi.CodeNotFound, "no audit")
	},
	portalapi.CapabilityKeys: func(p *portalTest) {
		_, err := p.Client.SCIMKeys(p.Context())
		p.saysNo(err, portalapi.CodeUnsupported, "no keys")
	},
	portalapi.CapabilityPlan: func(p *portalTest) {
		err := p.Client.PutMigrationPlan(p.Context(), portalapi.MigrationPlan{ID: "p"})
		p.saysNo(err, portalapi.CodeUnsupported, "kubectl scim plan")
	},
	portalapi.CapabilityHandOver: func(p *portalTest) {
		p.scimOn()
		_, err := p.Client.PutAccount(p.Context(), adopting("ada", p.local("ada").ID, ""))
		p.saysNo(err, portalapi.CodeLocalAccount, "provisionExistingUsers")
	},
	portalapi.CapabilityGrants: func(p *portalTest) {
		p.scimOn()
		leads, ada := p.putPool(team("Leads", portalapi.RoleManager)), p.put(person("ada"))
		p.manage("PATCH", "/users/"+ada.ID, portalv1.UserPatch{Pools: &[]string{leads.ID}}, nil)
		now := p.accountNow(ada.ID)
		if now.Ungranted != nil {
			p.Errorf("it says who granted: %+v", now)
		}
		p.members("o-Leads", []portalapi.MembershipWrite{{AccountID: ada.ID, IfRevision: now.Revision}}, portalapi.MembershipDone)
		p.equal("the guard counts it", p.removals(time.Hour).Removed, 1)
	},
	portalapi.CapabilityPeople: func(p *portalTest) {
		p.scimOn()
		ada := p.put(person("ada"))
		p.manage("PATCH", "/users/"+ada.ID, portalv1.UserPatch{Status: ptr(portalv1.StatusDeactivated)}, nil)
		if got := p.accountNow(ada.ID); got.Status != portalapi.StatusDeactivated || got.DeactivatedBy != portalapi.ManagedBySCIM {
			p.Errorf("it says who deactivated: %+v", got)
		}
		p.equal("the next write", p.put(person("ada")).Status, portalapi.StatusActive)
		p.equal("removals", p.removals(time.Hour).Removed, 0)
	},
	portalapi.CapabilitySignIn: func(p *portalTest) {
		put := func(m portalapi.LoginMethods) error {
			_, err := p.Client.PutLoginMethods(p.Context(), m, "Git")
			return err
		}
		p.refused(put(portalapi.LoginMethods{SCIMEnabled: true}), portalapi.CodeSSORequired)
		p.refused(put(portalapi.LoginMethods{SSO: portalapi.SSO{Enabled: true}, ProvisionExistingUsers: true}), portalapi.CodeSCIMRequired)
		m := p.declared()
		m.SSO.Issuer = Unreachable
		p.ok(put(m)) // no user signs in by it
		got, err := p.Client.Configuration(p.Context())
		p.ok(err)
		m.SSO.ClientSecret = ""
		p.equal("what is kept", got.LoginMethods, m)
	},
	portalapi.CapabilityFeed: func(p *portalTest) {
		start := p.end()
		p.ok(p.bind(binding("one")))
		_, _, err := p.Client.Changes(p.Context(), start, 0)
		p.saysNo(err, portalapi.CodeFeedTruncated, "list again")
		again := p.end()
		p.ok(p.bind(binding("one")))
		p.equal("after a repeated binding", p.end(), again)
	},
	portalapi.CapabilityTruncation: func(p *portalTest) {
		p.scimOn()
		start := p.end()
		for i := range 50 {
			owner := p.put(person(number(i))).Owner
			p.ok(p.Client.ReleaseAccount(p.Context(), owner, portalapi.ReleaseDelete))
		}
		changes, _ := p.changes(start)
		p.equal("tombstones", len(changes), 50)
	},
	portalapi.CapabilityREST: func(p *portalTest) {
		for _, path := range []string{"/openapi.json", "/audit-events", "/api-keys", "/changes"} {
			if a := p.http(p.Keys.Manage, http.MethodGet, path, nil); a.Status/100 == 2 {
				p.Errorf("GET %s answers %d %s", path, a.Status, a.Body)
			}
		}
	},
}

// lackTestsOf returns the tests of what the driver lacks, by the names of the capabilities.
func lackTestsOf(lacks []portalapi.Capability) map[string]func(*portalTest) {
	out := map[string]func(*portalTest){}
	for _, c := range lacks {
		out[string(c)] = lackTests[c]
	}
	return out
}

// saysNo fails unless err is a refusal whose message has the words.
func (p *portalTest) saysNo(err error, code portalapi.Code, words string) {
	p.Helper()
	p.refused(err, code)
	if !strings.Contains(err.Error(), words) {
		p.Errorf("the refusal does not say %q: %v", words, err)
	}
}
