// SPDX-License-Identifier: Apache-2.0

package store_test

import (
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/gateway/server"
	"lightrun.com/scim-operator/internal/gateway/store"
	"lightrun.com/scim-operator/internal/kernel/claims"
	"lightrun.com/scim-operator/internal/scim"
	"lightrun.com/scim-operator/internal/scim/filter"
	"lightrun.com/scim-operator/internal/scim/schema"
)

// TestRestoredUserIsFound: a restored user whose claim does not exist yet is found by name.
func TestRestoredUserIsFound(t *testing.T) {
	w := newWorld(t)
	d := w.replica(t)
	restored := &v1alpha1.ScimUser{ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: "0e0f7a5c-0000-4000-8000-000000000000"}, Spec: v1alpha1.ScimUserSpec{UserName: "Ada"}}
	if err := w.Client.Create(t.Context(), restored); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() bool { return d.Knows(restored.Name) })
	if r, err := d.Users().Get(t.Context(), restored.Name); err != nil || !strings.Contains(string(r.JSON), `"Ada"`) {
		t.Errorf("the restored user must be readable: %v", err)
	}
	if found := findByName(t, d, "ada"); len(found) != 1 {
		t.Errorf("the restored user must be found by name: %v", found)
	}
}

// TestUserIsFoundByTheirClaim: a new user without a claim, whose name may be refused, is not found
// by that name.
func TestUserIsFoundByTheirClaim(t *testing.T) {
	w := newWorld(t)
	d := w.replica(t)
	first := createUser(t, d, "ada")
	creating := &v1alpha1.ScimUser{ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: "0e0f7a5c-0000-4000-8000-000000000000"}, Spec: v1alpha1.ScimUserSpec{UserName: "Ada"}}
	if err := w.Client.Create(t.Context(), creating, client.FieldOwner(v1alpha1.FieldManagerWebhook)); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() bool { return d.Knows(creating.Name) })
	if found := findByName(t, d, "ada"); len(found) != 1 || found[0].ID != first {
		t.Errorf("only %s must be found: %v", first, found)
	}
	if err := d.Users().Delete(t.Context(), first, nil); err != nil {
		t.Fatal(err)
	}
	if found := findByName(t, d, "ada"); len(found) != 0 {
		t.Errorf("a user whose name may be refused was found: %v", found)
	}
}

// TestGroupIsFoundByItsClaim: while several groups have one name in spec, and a cache is behind,
// only the group with the claim is found.
func TestGroupIsFoundByItsClaim(t *testing.T) {
	w := newWorld(t)
	a := w.replica(t)
	b, watches := w.replicaBehind(t)
	refused := &v1alpha1.ScimGroup{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: "0e0f7a5c-0000-4000-8000-000000000000"},
		Spec:       v1alpha1.ScimGroupSpec{DisplayName: "PAYMENTS"},
	}
	if err := w.Client.Create(t.Context(), refused, client.FieldOwner(v1alpha1.FieldManagerWebhook)); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() bool { return b.SeesGroup(refused.Name) })
	if found := findGroup(t, b, "payments"); len(found) != 0 {
		t.Errorf("a group whose name may be refused was found: %v", found)
	}
	watches.pause()
	owner, err := createGroup(t, a, "Payments")
	if err != nil {
		t.Fatal(err)
	}
	if found := findGroup(t, b, "payments"); len(found) != 1 || found[0].ID != owner.ID {
		t.Errorf("only %s must be found: %v", owner.ID, found)
	}
}

// TestDeletedGroupHasNoMember: another replica deleted the group, and the manager its slices, while
// this replica's cache still has it. A lookup of a member then finds nothing. It is no error.
func TestDeletedGroupHasNoMember(t *testing.T) {
	w := newWorld(t)
	a := w.replica(t)
	b, watches := w.replicaBehind(t)
	ada := createUser(t, a, "ada")
	g, err := createGroup(t, a, "Payments", ada)
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, func() bool { return b.SeesGroup(g.ID) && b.Knows(ada) })
	lookup := `id eq "` + g.ID + `" and members eq "` + ada + `"`
	if found := filterGroups(t, b, lookup); len(found) != 1 || found[0].ID != g.ID {
		t.Fatalf("found %v, want the group %s", found, g.ID)
	}
	watches.pause()
	if err := a.Groups().Delete(t.Context(), g.ID); err != nil {
		t.Fatal(err)
	}
	if err := w.Client.DeleteAllOf(t.Context(), &v1alpha1.ScimGroupSlice{}, client.InNamespace(w.namespace)); err != nil {
		t.Fatal(err)
	}
	if !b.SeesGroup(g.ID) {
		t.Fatal("the cache has seen the deletion, want a cache that is behind")
	}
	if found := filterGroups(t, b, lookup); len(found) != 0 {
		t.Errorf("found %v, want no group", found)
	}
}

func findGroup(t *testing.T, d *store.Directory, name string) []*server.Resource {
	t.Helper()
	return filterGroups(t, d, `displayName eq "`+name+`"`)
}

func filterGroups(t *testing.T, d *store.Directory, expression string) []*server.Resource {
	t.Helper()
	m, err := filter.Compile(expression, schema.Group())
	if err != nil {
		t.Fatal(err)
	}
	page, err := d.Groups().List(t.Context(), server.Query{Filter: m, Count: 10})
	if err != nil {
		t.Fatal(err)
	}
	return page.Resources
}

// TestRenameBackWhileOldClaimIsReleased: the controller releases the claim on a user's former name
// while a request renames the user back to it, between the writes of the claim and of the user.
func TestRenameBackWhileOldClaimIsReleased(t *testing.T) {
	w := newWorld(t)
	first := w.replica(t)
	ada := createUser(t, first, "ada")
	rename(t, first, ada, "lovelace")
	var seen v1alpha1.ScimUser // by the controller
	if err := w.Client.Get(t.Context(), types.NamespacedName{Namespace: w.namespace, Name: ada}, &seen); err != nil {
		t.Fatal(err)
	}
	second := w.replica(t, between(patches("scimusers"), func() {
		if err := registry(w.Client).Release(t.Context(), v1alpha1.ClaimUser, "ada", &seen); err != nil {
			t.Error(err)
		}
	}))
	rename(t, second, ada, "ada")
	w.oneNameEach(t)
}

func rename(t *testing.T, d *store.Directory, id, name string) {
	t.Helper()
	if _, err := d.Users().Update(t.Context(), id, nil, func(scim.Object) (scim.Object, error) { return scim.Object{"userName": name}, nil }); err != nil {
		t.Fatal(err)
	}
}

func findByName(t *testing.T, d *store.Directory, name string) []*server.Resource {
	t.Helper()
	m, err := filter.Compile(`userName eq "`+name+`"`, schema.User())
	if err != nil {
		t.Fatal(err)
	}
	page, err := d.Users().List(t.Context(), server.Query{Filter: m, Count: 10})
	if err != nil {
		t.Fatal(err)
	}
	return page.Resources
}

// registry returns the claim protocol that webhook and controllers use.
func registry(c client.Client) claims.Registry { return claims.Registry{Client: c, Live: c} }
