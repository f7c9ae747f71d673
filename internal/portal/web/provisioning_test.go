// SPDX-License-Identifier: Apache-2.0

package web_test

import (
	"net/http"
	"testing"

	"lightrun.com/scim-operator/internal/kernel/portalapi"
	"lightrun.com/scim-operator/internal/portal/store"
)

// TestProvisioning checks what the page shows: what arrived, errors by record with their remedy,
// what waits and what is held; and that an error goes away with the next write that succeeds.
func TestProvisioning(t *testing.T) {
	ctx := t.Context()
	empty := newSite(t)
	empty.manager().get("/provisioning").mustBe(http.StatusOK).mustSay("SCIM is off", "No errors", "Nothing is held", "Nothing waits", "Nothing has arrived yet")

	c := newCompany(t)
	boss := c.manager()
	boss.get("/provisioning").mustSay("Created the user", "Ada Demo", "1 active SCIM users", "1 pools managed by Kubernetes", "lightrun/default in cluster demo-cluster",
		"1 local user has been pushed by Okta", "/users/"+c.carol.ID, "No errors", "Nothing is held", "kubectl get idconf,scimusers,agentpools -n lightrun")

	refuse := func(w portalapi.AccountWrite, code portalapi.Code) {
		t.Helper()
		if _, err := c.store.PutAccount(ctx, operator, w); portalapi.CodeOf(err) != code {
			t.Fatalf("the write: %v, want %s", err, code)
		}
	}
	bob := portalapi.AccountWrite{Owner: portalapi.Owner{UID: "bob-uid", Name: "bob-scim", Revision: 1}, UserName: "bob@example.test", Active: true}
	refuse(bob, portalapi.CodeLocalAccount)
	refuse(bob, portalapi.CodeLocalAccount) // the operator repeats it
	ada := portalapi.AccountWrite{Owner: portalapi.Owner{UID: "ada-uid", Name: "ada-scim", Revision: 2}, UserName: "ada@example.test", Active: true, Pools: []string{"gone"}}
	refuse(ada, portalapi.CodeUnknownPool)
	ada.Owner.Revision = 0
	refuse(ada, portalapi.CodeStaleRevision) // ends by itself
	if _, err := c.store.PutPool(ctx, operator, portalapi.PoolWrite{Owner: portalapi.Owner{UID: "pool-2", Name: "support", Revision: 1}, Name: "Support"}); portalapi.CodeOf(err) != portalapi.CodeDuplicatePool {
		t.Fatal(err)
	}
	page := boss.get("/provisioning").mustSay("bob@example.test", "LOCAL_ACCOUNT_EXISTS", "Hand the user over on the user's page", "ada@example.test", "UNKNOWN_POOL",
		"Support", "DUPLICATE_POOL", "Change displayName of the AgentPool").mustNotSay("STALE_REVISION")
	if n := len(page.all(`<code>LOCAL_ACCOUNT_EXISTS</code>`)); n != 1 {
		t.Errorf("a repeated refusal is listed %d times", n)
	}

	ada.Owner.Revision, ada.Pools = 3, []string{c.payments.ID}
	ada.DisplayName = "Ada Corrected"
	if _, err := c.store.PutAccount(ctx, operator, ada); err != nil {
		t.Fatal(err)
	}
	handed := true
	if _, err := c.store.UpdateAccount(ctx, manager, c.bob.ID, nil, store.AccountPatch{HandedOver: &handed}); err != nil {
		t.Fatal(err)
	}
	bob.Adopt = &portalapi.Adopt{ID: c.bob.ID}
	if _, err := c.store.PutAccount(ctx, operator, bob); err != nil {
		t.Fatal(err)
	}
	if _, err := c.store.UpdatePool(ctx, manager, c.support.ID, nil, store.PoolPatch{HandedOver: &handed}); err != nil {
		t.Fatal(err)
	}
	boss.get("/provisioning").mustNotSay("UNKNOWN_POOL", "LOCAL_ACCOUNT_EXISTS").mustSay("DUPLICATE_POOL", "is handed over and waits for the AgentPool with its name")

	userMark, poolMark := marked(portalapi.RemovalDeactivation, "ada-scim"), marked(portalapi.RemovalMembers, "payments")
	userMark.Decision, poolMark.Decision = "d-user", "d-pool"
	if err := c.store.MarkAccount(ctx, operator, portalapi.Owner{UID: "ada-uid", Name: "ada-scim", Revision: 3}, userMark); err != nil {
		t.Fatal(err)
	}
	if err := c.store.MarkPool(ctx, operator, portalapi.Owner{UID: "pool-1", Revision: 1}, poolMark); err != nil {
		t.Fatal(err)
	}
	boss.get("/provisioning").mustSay("Ada Corrected</bdi></a>: deactivation", "kubectl scim release scimuser/ada-scim --id d-user -n lightrun", "kubectl scim drop scimuser/ada-scim --id d-user -n lightrun",
		"Payments</bdi></a>: loss of members", "kubectl scim release agentpool/payments --id d-pool -n lightrun")
	boss.get("/users/" + c.ada.ID).mustSay("kubectl scim drop scimuser/ada-scim --id d-user -n lightrun")

	if config, err := c.store.Configuration(ctx); err != nil || config.Binding == nil {
		t.Fatal(err)
	} else if err := c.store.Unbind(ctx, operator, config.Binding.UID); err != nil {
		t.Fatal(err)
	}
	boss.get("/provisioning").mustSay("No operator is connected")
}
