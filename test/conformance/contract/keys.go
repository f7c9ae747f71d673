// SPDX-License-Identifier: Apache-2.0

package contract

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"
	"time"

	"github.com/getkin/kin-openapi/openapi3"

	portalv1 "lightrun.com/scim-operator/api/portal/v1"
	"lightrun.com/scim-operator/internal/kernel/portalapi"
	"lightrun.com/scim-operator/internal/kernel/provider"
)

var keyTests = map[string]func(*portalTest){
	"The secret is shown once and works until the key is deleted": func(p *portalTest) {
		var made portalv1.APIKeyWithSecret
		p.manage("POST", "/api-keys", portalv1.APIKeyCreate{Name: "reader", Scope: portalv1.ScopeRead}, &made)
		if a := p.http(made.Secret, "GET", "/users", nil); a.Status != 200 {
			p.Fatalf("the new key: %d %s", a.Status, a.Body)
		}
		for _, path := range []string{"/api-keys", "/audit-events"} {
			if a := p.http(p.Keys.Manage, "GET", path, nil); bytes.Contains(a.Body, []byte(made.Secret)) {
				p.Errorf("%s shows the secret", path)
			}
		}
		var list portalv1.APIKeyList
		p.manage("GET", "/api-keys", nil, &list)
		if len(list.Items) == 0 || list.Items[0].ID != made.Key.ID || list.Items[0].LastUsedAt == nil || list.Items[0].CreatedBy == "" {
			p.Errorf("keys: %+v", list.Items)
		}
		p.manage("DELETE", "/api-keys/"+made.Key.ID, nil, nil)
		p.refusedWith(p.http(made.Secret, "GET", "/users", nil), 401, portalapi.CodeUnauthenticated)
		p.refusedWith(p.http(p.Keys.Manage, "DELETE", "/api-keys/"+made.Key.ID, nil), 404, portalapi.CodeNotFound)
	},
	"A key expires": func(p *portalTest) {
		if p.noClock() {
			return
		}
		var made portalv1.APIKeyWithSecret
		create := portalv1.APIKeyCreate{Name: "short", Scope: portalv1.ScopeSCIM, ProviderType: provider.Okta, ExpiresAt: ptr(time.Now().Add(time.Hour))}
		p.manage("POST", "/api-keys", create, &made)
		p.equal("digests", p.digests()[made.Key.ID], digestOf(made.Secret))
		p.Advance(2 * time.Hour)
		if _, still := p.digests()[made.Key.ID]; still {
			p.Errorf("the webhook still gets the expired key")
		}
		p.refusedWith(p.http(made.Secret, "GET", "/users", nil), 401, portalapi.CodeUnauthenticated)
		p.refusedWith(p.http(p.Keys.Manage, "POST", "/api-keys", create), 400, portalapi.CodeInvalid)
	},
	"A rotated key works for the overlap beside the key that replaces it": func(p *portalTest) {
		var old, made portalv1.APIKeyWithSecret
		p.manage("POST", "/api-keys", portalv1.APIKeyCreate{Name: "okta", Scope: portalv1.ScopeSCIM, ProviderType: provider.Okta}, &old)
		rotate := "/api-keys/" + old.Key.ID + "/rotate"
		p.manage("POST", rotate, portalv1.APIKeyRotate{OverlapSeconds: 3600}, &made)
		if made.Key.Name != "okta" || made.Key.ProviderType != provider.Okta || made.Secret == old.Secret {
			p.Errorf("the new key: %+v", made.Key)
		}
		p.equal("digests", p.digests()[old.Key.ID], digestOf(old.Secret))
		p.equal("digests", p.digests()[made.Key.ID], digestOf(made.Secret))
		p.refusedWith(p.http(p.Keys.Manage, "POST", rotate, portalv1.APIKeyRotate{OverlapSeconds: 3600}), 400, portalapi.CodeInvalid)
		p.refusedWith(p.http(p.Keys.Manage, "POST", "/api-keys/none/rotate", portalv1.APIKeyRotate{}), 404, portalapi.CodeNotFound)
		if p.noClock() {
			return
		}
		p.Advance(2 * time.Hour)
		if _, still := p.digests()[old.Key.ID]; still {
			p.Errorf("the webhook still gets the old key")
		}
		p.equal("digests", p.digests()[made.Key.ID], digestOf(made.Secret))
	},
	"A key makes no mightier and no longer-lived key": func(p *portalTest) {
		var made, second portalv1.APIKeyWithSecret
		p.refusedWith(p.http(p.Keys.Manage, "POST", "/api-keys", portalv1.APIKeyCreate{Name: "operator", Scope: portalv1.ScopeProvisioning}), 403, portalapi.CodeForbidden)
		p.manage("POST", "/api-keys", portalv1.APIKeyCreate{Name: "terraform", Scope: portalv1.ScopeManage, ExpiresAt: ptr(time.Now().Add(24 * time.Hour))}, &made)
		longer := portalv1.APIKeyCreate{Name: "longer", Scope: portalv1.ScopeRead, ExpiresAt: ptr(time.Now().Add(48 * time.Hour))}
		p.refusedWith(p.http(made.Secret, "POST", "/api-keys", longer), 400, portalapi.CodeInvalid)
		a := p.http(made.Secret, "POST", "/api-keys", portalv1.APIKeyCreate{Name: "default", Scope: portalv1.ScopeRead})
		if a.Status != 201 {
			p.Fatalf("a shorter-lived key: %d %s", a.Status, a.Body)
		}
		p.ok(json.Unmarshal(a.Body, &second))
		if second.Key.ExpiresAt == nil || made.Key.ExpiresAt == nil || second.Key.ExpiresAt.After(*made.Key.ExpiresAt) {
			p.Errorf("it expires %v, after the key that made it: %v", second.Key.ExpiresAt, made.Key.ExpiresAt)
		}
	},
	"The webhook gets only the digests of keys with the scope scim": func(p *portalTest) {
		got := map[string]bool{}
		for _, sum := range p.digests() {
			got[sum] = true
		}
		p.equal("digests", got, map[string]bool{digestOf(p.Keys.SCIM): true})
	},
	"A key with the scope scim names one identity provider; other keys name none": func(p *portalTest) {
		scim := portalv1.APIKeyCreate{Name: "acme", Scope: portalv1.ScopeSCIM}
		refused := func(why string, edit func(*portalv1.APIKeyCreate)) {
			p.Helper()
			k := scim
			edit(&k)
			a := p.http(p.Keys.Manage, "POST", "/api-keys", k)
			p.refusedWith(a, 400, portalapi.CodeInvalid)
			if !bytes.Contains(a.Body, []byte("Okta, EntraID or Other")) && k.Scope == portalv1.ScopeSCIM {
				p.Errorf("%s: the error does not name the values: %s", why, a.Body)
			}
		}
		refused("no provider", func(*portalv1.APIKeyCreate) {})
		refused("only a name", func(k *portalv1.APIKeyCreate) { k.ProviderName = "acme" })
		refused("an unknown type", func(k *portalv1.APIKeyCreate) { k.ProviderType = "Acme" })
		refused("another scope", func(k *portalv1.APIKeyCreate) { k.Scope, k.ProviderType = portalv1.ScopeRead, provider.Okta })
		scim.ProviderType, scim.ProviderName = provider.Okta, "acme"
		var made portalv1.APIKeyWithSecret
		p.manage("POST", "/api-keys", scim, &made)
		var list portalv1.APIKeyList
		p.manage("GET", "/api-keys", nil, &list)
		if made.Key.ProviderType != provider.Okta || made.Key.ProviderName != "acme" || list.Items[0].ProviderName != "acme" {
			p.Errorf("made %+v, listed %+v", made.Key, list.Items[0])
		}
		keys, err := p.Client.SCIMKeys(p.Context())
		p.ok(err)
		i := slices.IndexFunc(keys, func(k portalapi.KeyDigest) bool { return k.ID == made.Key.ID })
		if i < 0 || keys[i].Provider != (provider.ID{Type: provider.Okta, Name: "acme"}) {
			p.Errorf("the webhook gets %+v", keys)
		}
	},
	"Each scope allows exactly the operations in the document": func(p *portalTest) {
		document, err := openapi3.NewLoader().LoadFromData(portalv1.Document)
		p.ok(err)
		keys := map[string]string{"manage": p.Keys.Manage, "read": p.Keys.Read, "provisioning": p.Keys.Provisioning, "scim": p.Keys.SCIM}
		tried := 0
		for path, item := range document.Paths.Map() {
			for method, operation := range item.Operations() {
				open := map[string]bool{}
				for _, scope := range operation.Extensions["x-scopes"].([]any) {
					open[scope.(string)] = true
				}
				for scope, key := range keys {
					tried++
					a := p.http(key, method, fill(path), "{")
					if forbidden := a.Status == 403 && a.code() == portalapi.CodeForbidden; forbidden == open[scope] {
						p.Errorf("%s %s with the scope %s answers %d %s", method, path, scope, a.Status, a.Body)
					}
				}
				p.refusedWith(p.http("", method, fill(path), "{"), 401, portalapi.CodeUnauthenticated)
			}
		}
		if tried < 100 {
			p.Errorf("only %d combinations tried", tried)
		}
	},
	"A change without the scope is audited": func(p *portalTest) {
		p.audited("a forbidden change", 1, func() {
			p.refusedWith(p.http(p.Keys.Read, "POST", "/users", portalv1.UserCreate{UserName: "ada@example.test"}), 403, portalapi.CodeForbidden)
		})
		p.audited("a forbidden read", 0, func() { p.refusedWith(p.http(p.Keys.SCIM, "GET", "/users", nil), 403, portalapi.CodeForbidden) })
	},
}

// digests returns the digests of the SCIM keys by id.
func (p *portalTest) digests() map[string]string {
	p.Helper()
	keys, err := p.Client.SCIMKeys(p.Context())
	p.ok(err)
	all := map[string]string{}
	for _, k := range keys {
		all[k.ID] = k.SHA256
	}
	return all
}

func digestOf(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}
