// SPDX-License-Identifier: Apache-2.0

package contract

import (
	"bytes"
	"slices"
	"strconv"
	"strings"
	"sync"

	portalv1 "lightrun.com/scim-operator/api/portal/v1"
	"lightrun.com/scim-operator/internal/kernel/portalapi"
)

func binding(cluster string) portalapi.Binding {
	return portalapi.Binding{Cluster: cluster, Namespace: "demo", Name: "default", UID: "uid-" + cluster, ProviderType: "Okta",
		ProviderName: "Demo Okta", SCIMBaseURL: "https://scim.example.test/scim/v2"}
}

func (p *portalTest) bind(b portalapi.Binding) error { return bindBy(p, p.Client, b) }

func bindBy(p *portalTest, c portalapi.Client, b portalapi.Binding) error {
	_, err := c.Bind(p.Context(), b)
	return err
}

// declared returns login methods as a declared configuration sets them.
func (p *portalTest) declared() portalapi.LoginMethods {
	return portalapi.LoginMethods{SSO: portalapi.SSO{Enabled: true, Type: "OIDC", Issuer: p.Issuer, ClientID: "portal", ClientSecret: "swordfish"},
		SCIMEnabled: true, ProvisionGroups: true}
}

func (p *portalTest) saveRefused(m portalv1.LoginMethods, code portalapi.Code) {
	p.Helper()
	for _, path := range []string{"/identity-configuration?dryRun=true", "/identity-configuration"} {
		a := p.http(p.Keys.Manage, "PUT", path, portalv1.IdentityConfigurationPut{LoginMethods: m})
		if a.code() != code {
			p.Fatalf("%s answers %d %s, want %s", path, a.Status, a.Body, code)
		}
	}
}

var identityTests = map[string]func(*portalTest){
	"SCIM needs SSO, and provisioning existing users needs SCIM": func(p *portalTest) {
		p.saveRefused(portalv1.LoginMethods{SCIM: portalv1.SCIM{Enabled: true}}, portalapi.CodeSSORequired)
		m := p.loginMethods()
		m.SCIM = portalv1.SCIM{ProvisionExistingUsers: true}
		p.saveRefused(m, portalapi.CodeSCIMRequired)
		m = p.loginMethods()
		m.SSO.ClientID = ""
		p.saveRefused(m, portalapi.CodeInvalid)
		_, err := p.Client.PutLoginMethods(p.Context(), portalapi.LoginMethods{SCIMEnabled: true}, "Git")
		p.refused(err, portalapi.CodeSSORequired)
		p.scimOn()
		config, err := p.Client.Configuration(p.Context())
		p.ok(err)
		if !config.SSO.Enabled || !config.SCIMEnabled || config.ProvisionExistingUsers || config.ManagedElsewhere != "" || config.Binding != nil {
			p.Errorf("in force: %+v", config)
		}
		m = p.loginMethods()
		m.SSO.Enabled = false
		p.saveRefused(m, portalapi.CodeSSORequired)
	},
	"SSO with an unreachable issuer is not turned on": func(p *portalTest) {
		m := p.loginMethods()
		m.SSO.Issuer = Unreachable
		p.saveRefused(m, portalapi.CodeSSONotReachable)
		d := p.declared()
		d.SSO.Issuer = Unreachable
		_, err := p.Client.PutLoginMethods(p.Context(), d, "Git")
		p.refused(err, portalapi.CodeSSONotReachable)
	},
	"SAML has the provider's metadata, by URL or as a document, and attributes": func(p *portalTest) {
		if p.lacks("a SAML provider", p.MetadataURL != "") {
			return
		}
		d := portalapi.LoginMethods{SSO: portalapi.SSO{Enabled: true, Type: "SAML", MetadataURL: p.MetadataURL, IDAttribute: "id", UserNameAttribute: "mail"}}
		for range 2 {
			_, err := p.Client.PutLoginMethods(p.Context(), d, "Git")
			p.ok(err)
			config, err := p.Client.Configuration(p.Context())
			p.ok(err)
			p.equal("login methods", config.LoginMethods, d)
			d.SSO.MetadataURL, d.SSO.Metadata = "", p.Metadata
		}
		d.SSO.MetadataURL = p.MetadataURL
		_, err := p.Client.PutLoginMethods(p.Context(), d, "Git")
		p.refused(err, portalapi.CodeInvalid)
		d.SSO.MetadataURL, d.SSO.Metadata = "", ""
		_, err = p.Client.PutLoginMethods(p.Context(), d, "Git")
		p.refused(err, portalapi.CodeInvalid)
	},
	"A dry run returns the report and changes nothing": func(p *portalTest) {
		p.scimOn()
		boss := p.manager()
		ada := p.local("ada", func(c *portalv1.UserCreate) { c.DirectRoles = []string{portalapi.RoleManager} })
		bob := p.local("bob")
		p.ok(p.Client.MarkWaiting(p.Context(), ada.ID, portalapi.Owner{UID: "u-ada", Name: "s-ada"}))
		before, err := p.Client.Configuration(p.Context())
		p.ok(err)
		m := p.loginMethods()
		m.SCIM.ProvisionExistingUsers = true
		var tried portalv1.IdentityConfiguration
		p.audited("a dry run", 0, func() {
			p.manage("PUT", "/identity-configuration?dryRun=true", portalv1.IdentityConfigurationPut{LoginMethods: m}, &tried)
		})
		if !tried.LoginMethods.SCIM.ProvisionExistingUsers || tried.Report == nil {
			p.Fatalf("dry run: %+v", tried)
		}
		r := tried.Report
		p.equal("waiting", userIDs(r.Waiting), []string{ada.ID})
		p.equal("losing the manager role", userIDs(r.LosingManager), []string{ada.ID})
		p.equal("unmatched", userIDs(r.Unmatched), sorted(boss.ID, bob.ID))
		if r.WaitingCount != 1 || r.LosingManagerCount != 1 || r.UnmatchedCount != 2 || r.Migrated != 0 {
			p.Errorf("counts: %+v", r)
		}
		after, err := p.Client.Configuration(p.Context())
		p.ok(err)
		p.equal("configuration", after, before)
	},
	"A save names its revision; a save on an old revision is refused": func(p *portalTest) {
		read := p.http(p.Keys.Manage, "GET", "/identity-configuration", nil)
		body := portalv1.IdentityConfigurationPut{LoginMethods: p.loginMethods()}
		saved := p.http(p.Keys.Manage, "PUT", "/identity-configuration", body, "If-Match", read.Header.Get("ETag"))
		if saved.Status != 200 || saved.Header.Get("ETag") == read.Header.Get("ETag") {
			p.Fatalf("saved: %d %s %s", saved.Status, saved.Header.Get("ETag"), saved.Body)
		}
		body.LoginMethods.SCIM.ProvisionGroups = true
		p.refusedWith(p.http(p.Keys.Manage, "PUT", "/identity-configuration", body, "If-Match", read.Header.Get("ETag")), 412, portalapi.CodeStaleRevision)
		p.audited("an unchanged save", 0, func() { p.saveLoginMethods(p.loginMethods()) })
	},
	"A plan of the migration is stored in parts": func(p *portalTest) {
		p.scimOn()
		plan := portalapi.MigrationPlan{ID: "plan", Lines: make([]portalapi.MigrationLine, portalapi.MaxPlanPart+1)}
		for i := range plan.Lines {
			plan.Lines[i] = portalapi.MigrationLine{AccountID: strconv.Itoa(i), UserName: strconv.Itoa(i), Outcome: portalapi.MigrationUnmatched}
		}
		for range 2 { // it may be repeated
			if err := p.Client.PutMigrationPlan(p.Context(), plan); err != nil {
				p.Fatal(err)
			}
		}
	},
	"The client secret is kept and never shown": func(p *portalTest) {
		m := p.loginMethods()
		m.SSO.ClientSecret = "swordfish"
		p.saveLoginMethods(m)
		p.scimOn() // without a secret
		for _, path := range []string{"/identity-configuration", "/audit-events"} {
			if a := p.http(p.Keys.Manage, "GET", path, nil); bytes.Contains(a.Body, []byte("swordfish")) {
				p.Errorf("%s shows the secret", path)
			}
		}
		var config portalv1.IdentityConfiguration
		p.manage("GET", "/identity-configuration", nil, &config)
		if !config.LoginMethods.SSO.ClientSecretSet {
			p.Errorf("the secret was not kept")
		}
	},
	"A declared configuration makes the page read-only until it is handed back": func(p *portalTest) {
		got, err := p.Client.PutLoginMethods(p.Context(), p.declared(), "IdentityConfiguration demo/default")
		p.ok(err)
		want := p.declared()
		want.SSO.ClientSecret = ""
		p.equal("login methods", got.LoginMethods, want)
		p.equal("ruler", got.ManagedElsewhere, "IdentityConfiguration demo/default")
		p.audited("the same again", 0, func() {
			again, err := p.Client.PutLoginMethods(p.Context(), p.declared(), "IdentityConfiguration demo/default")
			p.ok(err)
			p.equal("again", again, got)
		})
		p.saveRefused(p.loginMethods(), portalapi.CodeManagedElsewhere)
		back, err := p.Client.PutLoginMethods(p.Context(), portalapi.LoginMethods{}, "")
		p.ok(err)
		p.equal("handed back", back.LoginMethods, got.LoginMethods)
		p.equal("ruler", back.ManagedElsewhere, "")
		p.saveLoginMethods(p.loginMethods())
	},
	"One operator binds the portal; the refusal of a second names the first": func(p *portalTest) {
		first := binding("one")
		p.ok(p.bind(first))
		p.audited("binding again", 0, func() { p.ok(p.bind(first)) })
		err := p.bind(binding("two"))
		p.refused(err, portalapi.CodeOperatorBound)
		other := binding("two")
		other.ProviderType, other.ProviderName = "EntraID", "Demo Entra"
		err = p.bind(other)
		p.refused(err, portalapi.CodeOperatorBound)
		if !strings.Contains(err.Error(), first.Cluster) || !strings.Contains(err.Error(), "Okta") {
			p.Errorf("it does not name the operator and the provider that are bound: %v", err)
		}
		own := first
		own.ProviderType = "EntraID"
		p.refused(p.bind(own), portalapi.CodeIDPConfigured)
		own = first
		own.ProviderName = "Another Okta"
		p.refused(p.bind(own), portalapi.CodeIDPConfigured)
		own.ProviderName = ""
		p.refused(p.bind(own), portalapi.CodeIDPConfigured)
		own = first
		own.UID = "recreated"
		p.ok(p.bind(own))
		config, err := p.Client.Configuration(p.Context())
		p.ok(err)
		own.ID = config.Binding.ID
		p.equal("binding", config.Binding, &own)
		p.ok(p.Client.Unbind(p.Context(), first.UID)) // is no longer bound
		p.refused(p.bind(other), portalapi.CodeOperatorBound)
		p.ok(p.Client.Unbind(p.Context(), own.UID))
		p.ok(p.bind(other))
	},
	"An operator in the same place and one that replaces it keep the binding's id": func(p *portalTest) {
		p.scimOn()
		bind := func(b portalapi.Binding) string {
			p.Helper()
			id, err := p.Client.Bind(p.Context(), b)
			p.ok(err)
			return id
		}
		first := bind(binding("one"))
		if first == "" {
			p.Fatal("the binding has no id")
		}
		p.equal("bound again", bind(binding("one")), first)
		ada, pool := p.put(person("ada")), p.putPool(team("Payments"))
		p.equal("the bindings of records", []string{ada.Owner.Binding, pool.Owner.Binding}, []string{first, first})

		again := binding("one")
		again.UID = "made-again"
		p.ok(p.Client.Unbind(p.Context(), binding("one").UID))
		p.equal("bound again in the same place", bind(again), first)

		lost := binding("two")
		p.refused(p.bind(lost), portalapi.CodeOperatorBound)
		lost.Replaces = "another-id"
		p.refused(p.bind(lost), portalapi.CodeStaleRevision)
		lost.Replaces, lost.ProviderType = first, "EntraID"
		p.refused(p.bind(lost), portalapi.CodeIDPConfigured)
		lost.ProviderType = "Okta"
		p.audited("the replacement", 1, func() { p.equal("replaced", bind(lost), first) })
		p.refused(p.bind(again), portalapi.CodeOperatorBound)
		config, err := p.Client.Configuration(p.Context())
		p.ok(err)
		if b := config.Binding; b.ID != first || b.Cluster != "two" || b.Replaces != "" {
			p.Errorf("bound: %+v", b)
		}
		var trail portalv1.AuditEventPage
		if p.has(portalapi.CapabilityAudit) {
			p.manage("GET", "/audit-events?limit=1000", nil, &trail)
		}
		if p.has(portalapi.CapabilityAudit) && !slices.ContainsFunc(trail.Items, func(e portalv1.AuditEvent) bool { return e.Action == "binding.replace" && e.Outcome == "Done" }) {
			p.Error("the audit has no event for the replacement")
		}

		p.ok(p.Client.Unbind(p.Context(), lost.UID))
		if other := bind(binding("three")); other == first {
			p.Error("another operator got the id of the first")
		}
		p.ok(p.Client.Unbind(p.Context(), binding("three").UID))
		lost.Replaces = ""
		p.equal("the replacing operator binds again", bind(lost), first)
	},
	"A provider without a name can get one, and keeps it": func(p *portalTest) {
		b := binding("one")
		b.ProviderName = ""
		p.ok(p.bind(b))
		b.ProviderName = "acme"
		p.ok(p.bind(b))
		config, err := p.Client.Configuration(p.Context())
		p.ok(err)
		b.ID = config.Binding.ID
		p.equal("binding", config.Binding, &b)
		b.ProviderName = "globex"
		err = p.bind(b)
		p.refused(err, portalapi.CodeIDPConfigured)
		if !strings.Contains(err.Error(), "Okta/acme") || !strings.Contains(err.Error(), "Okta/globex") {
			p.Errorf("it does not name both: %v", err)
		}
	},
	"One of many racing operators binds": func(p *portalTest) {
		const n = 12
		errs := make([]error, n)
		var wait sync.WaitGroup
		for i := range n {
			wait.Go(func() { errs[i] = p.bind(binding("c" + strconv.Itoa(i))) })
		}
		wait.Wait()
		won := -1
		for i, err := range errs {
			if err != nil {
				p.refused(err, portalapi.CodeOperatorBound)
				continue
			}
			if won >= 0 {
				p.Errorf("both %d and %d won", won, i)
			}
			won = i
		}
		config, err := p.Client.Configuration(p.Context())
		p.ok(err)
		if won < 0 || config.Binding == nil || config.Binding.UID != "uid-c"+strconv.Itoa(won) {
			p.Errorf("%d won and the portal has %+v", won, config.Binding)
		}
	},
	"The read-only reason names the provider": func(p *portalTest) {
		p.scimOn()
		p.ok(p.bind(binding("one")))
		ada := p.put(person("ada"))
		got := p.user(ada.ID)
		if !got.ReadOnly || !bytes.Contains([]byte(got.ReadOnlyReason), []byte("Demo Okta")) {
			p.Errorf("read-only %v: %q", got.ReadOnly, got.ReadOnlyReason)
		}
		var config portalv1.IdentityConfiguration
		p.manage("GET", "/identity-configuration", nil, &config)
		p.equal("SCIM base URL", config.SCIMBaseURL, "https://scim.example.test/scim/v2")
	},
}

func userIDs(users []portalv1.User) []string {
	ids := make([]string, len(users))
	for i, u := range users {
		ids[i] = u.ID
	}
	return sorted(ids...)
}
