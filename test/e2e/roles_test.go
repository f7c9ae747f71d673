// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	portalv1 "lightrun.com/scim-operator/api/portal/v1"
	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/test/framework/idp"
)

// TestPoolGivesRoles: a pool gets its roles by kubectl apply, the provider's group fills it, and
// its members have the roles in the portal, for as long as they are in the group.
func TestPoolGivesRoles(t *testing.T) {
	w := shared(t)
	ada := w.name("ada")
	id := w.arrive(ada)
	w.becomes(ada, "is created with the user role", holding("ROLE_USER"))

	group := "Payments " + w.tag
	pool := "payments-" + w.tag
	declare := func(roles string) {
		kubectl(t, w, fmt.Sprintf(`{apiVersion: iam.lightrun.com/v1alpha1, kind: AgentPool, metadata: {name: %s},
  spec: {displayName: Pool %s, groups: [{displayName: %s}], roles: [%s]}}`, pool, w.tag, group, roles), "apply", "--server-side", "-f", "-")
	}
	declare("ROLE_IGNORE_QUOTA")

	gid := w.group(group)
	w.must("PATCH", "/Groups/"+gid, idp.Patch(idp.AddMembers(id)), http.StatusOK, http.StatusNoContent)
	account := w.becomes(ada, "inherits the pool's role", holding("ROLE_USER", "ROLE_IGNORE_QUOTA"))
	names := make([]string, 0, len(account.Pools))
	for _, p := range account.Pools {
		names = append(names, p.Name)
	}
	if !slices.Contains(names, "Pool "+w.tag) || len(names) != 2 {
		t.Errorf("the account's pools are %v, must be the declared one and the default", names)
	}
	kubectl(t, w, "", "wait", "--for=condition=Ready", "--timeout=60s", "scimuser/"+id, "agentpool/"+pool)

	declare("ROLE_IGNORE_QUOTA, ROLE_MANAGER")
	w.becomes(ada, "follows the pool's new role", holding("ROLE_USER", "ROLE_IGNORE_QUOTA", "ROLE_MANAGER"))
	declare("")
	w.becomes(ada, "loses what the pool no longer grants", holding("ROLE_USER"))
	declare("ROLE_IGNORE_QUOTA")
	w.becomes(ada, "gets it back", holding("ROLE_USER", "ROLE_IGNORE_QUOTA"))

	w.must("PATCH", "/Groups/"+gid, idp.Patch(idp.RemoveMember(id)), http.StatusOK, http.StatusNoContent)
	w.becomes(ada, "leaves the pool and its role", holding("ROLE_USER"))
	eventually(t, "kubectl get shows her name and her roles", func(context.Context) error {
		seen := kubectl(t, w, "", "get", "scu", id)
		lines := strings.Split(strings.TrimSpace(seen), "\n")
		if fields := strings.Fields(lines[len(lines)-1]); len(fields) != 7 || !slices.Equal(fields[:6], []string{id, ada, "true", "default", "ROLE_USER", "True"}) {
			return fmt.Errorf("it shows\n%s", seen)
		}
		return nil
	})
}

// TestReadOnlyInThePortal: a SCIM account can't be changed or removed through the portal's API.
func TestReadOnlyInThePortal(t *testing.T) {
	w := shared(t)
	ada := w.name("ada")
	w.arrive(ada)
	account := w.becomes(ada, "arrives", active)
	if !strings.Contains(account.ReadOnlyReason, "Okta (development)") {
		t.Errorf("the reason %q does not name the provider", account.ReadOnlyReason)
	}
	name := "Changed"
	changed, err := w.env.API.UpdateUserWithResponse(t.Context(), account.ID, nil, portalv1.UserPatch{DisplayName: &name})
	if err != nil {
		t.Fatal(err)
	}
	removed, err := w.env.API.DeleteUserWithResponse(t.Context(), account.ID, nil)
	if err != nil {
		t.Fatal(err)
	}
	for what, got := range map[string]struct {
		status  int
		refused *portalv1.Refused
	}{"PATCH": {changed.StatusCode(), changed.JSONDefault}, "DELETE": {removed.StatusCode(), removed.JSONDefault}} {
		if got.status != http.StatusConflict || got.refused == nil || got.refused.Code != "SCIM_MANAGED_READ_ONLY" || !strings.Contains(got.refused.Message, "Okta (development)") {
			t.Errorf("the response to %s is %d %+v", what, got.status, got.refused)
		}
	}
	after := w.becomes(ada, "is as before", active)
	if after.DisplayName != account.DisplayName || after.Revision != account.Revision {
		t.Errorf("before %+v, after %+v", account, after)
	}
}

// TestGroupPushedFirst: a group that no manifest names becomes a pool without roles; it gets roles
// when a person applies them.
func TestGroupPushedFirst(t *testing.T) {
	w := shared(t)
	ada := w.name("ada")
	id := w.arrive(ada)
	group := w.group("ROLE_MANAGER "+w.tag, id)
	w.becomes(ada, "is in the pool, which grants nothing whatever its name", func(u portalv1.User) bool {
		return holding("ROLE_USER")(u) && len(u.Pools) == 2
	})
	kubectl(t, w, "", "patch", "agentpool", group, "--type=merge", "-p", `{"spec":{"roles":["ROLE_IGNORE_QUOTA"]}}`)
	w.becomes(ada, "inherits what a person gave the pool", holding("ROLE_USER", "ROLE_IGNORE_QUOTA"))
	w.must("DELETE", "/Groups/"+group, nil, http.StatusNoContent)
	w.becomes(ada, "loses the role with the group", holding("ROLE_USER"))
}

// TestLeaveAndReturn: a deactivated user can't sign in; a returning user gets the same account.
func TestLeaveAndReturn(t *testing.T) {
	w := shared(t)
	ada := w.name("ada")
	id := w.arrive(ada)
	first := w.becomes(ada, "arrives", active)
	w.must("PATCH", "/Users/"+id, idp.Patch(idp.SetActive(false)), http.StatusOK, http.StatusNoContent)
	w.becomes(ada, "is deactivated", deactivated)
	w.must("PATCH", "/Users/"+id, idp.Patch(idp.SetActive(true)), http.StatusOK, http.StatusNoContent)
	w.becomes(ada, "is back", active)
	w.must("DELETE", "/Users/"+id, nil, http.StatusNoContent)
	w.must("GET", "/Users/"+id, nil, http.StatusNotFound)
	w.becomes(ada, "is deactivated by the deletion", deactivated)
	again := w.arrive(ada)
	if again == id {
		t.Errorf("the id %s was given twice", id)
	}
	if second := w.becomes(ada, "returns", active); second.ID != first.ID {
		t.Errorf("the account was %s and is now %s: history is lost", first.ID, second.ID)
	}
}

// TestRename: a rename keeps the account, and another user can take the old name.
func TestRename(t *testing.T) {
	w := shared(t)
	before, after := w.name("maiden"), w.name("married")
	id := w.arrive(before)
	account := w.becomes(before, "arrives", active)
	w.must("PATCH", "/Users/"+id, idp.Patch(map[string]any{"op": "Replace", "path": "userName", "value": after}), http.StatusOK, http.StatusNoContent)
	if renamed := w.becomes(after, "has the new name", active); renamed.ID != account.ID {
		t.Errorf("the account was %s and is now %s", account.ID, renamed.ID)
	}
	w.condition(id, v1alpha1.ConditionReady, metav1.ConditionTrue, "")
	var other string
	eventually(t, "the old name is free", func(ctx context.Context) error {
		a, err := w.scim(ctx, "POST", "/Users", idp.User(before))
		if err != nil || a.Status != http.StatusCreated {
			return errors.Join(err, fmt.Errorf("answered %d %s", a.Status, a.Detail()))
		}
		other = a.ID()
		return nil
	})
	if next := w.becomes(before, "is another user", active); next.ID == account.ID || other == id {
		t.Errorf("the new user got the account %s of the renamed user", next.ID)
	}
}
