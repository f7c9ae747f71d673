package directory_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/claims"
	"lightrun.com/scim-operator/internal/directory"
	"lightrun.com/scim-operator/internal/scim"
	"lightrun.com/scim-operator/internal/scim/patch"
	"lightrun.com/scim-operator/internal/scim/server"
)

// declare applies a pool as people do.
func (w world) declare(t *testing.T, d *directory.Directory, name string, spec v1alpha1.AgentPoolSpec) *v1alpha1.AgentPool {
	t.Helper()
	p := &v1alpha1.AgentPool{ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: name}, Spec: spec}
	if err := w.Client.Create(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() bool { return d.Sees(name) })
	return p
}

// claimed makes the claims of a pool, as its controller does.
func (w world) claimed(t *testing.T, p *v1alpha1.AgentPool) {
	t.Helper()
	for _, name := range p.Names() {
		if other, err := claims.Hold(t.Context(), w.Client, w.Client, v1alpha1.ClaimPool, name, p); err != nil || other != nil {
			t.Fatal(other, err)
		}
	}
}

func (w world) pool(t *testing.T, name string) *v1alpha1.AgentPool {
	t.Helper()
	var p v1alpha1.AgentPool
	if err := w.Client.Get(t.Context(), types.NamespacedName{Namespace: w.namespace, Name: name}, &p); err != nil {
		t.Fatal(err)
	}
	return &p
}

func createUser(t *testing.T, d *directory.Directory, name string) string {
	t.Helper()
	r, err := d.Users().Create(t.Context(), scim.Object{"userName": name})
	if err != nil {
		t.Fatal(err)
	}
	return r.ID
}

func createGroup(t *testing.T, d *directory.Directory, name string, members ...string) (*server.Resource, error) {
	t.Helper()
	return d.Groups().Create(t.Context(), scim.Object{"displayName": name, "externalId": "x-" + name}, members)
}

func members(t *testing.T, d *directory.Directory, id string) []string {
	t.Helper()
	r, err := d.Groups().Get(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for l := range r.Links {
		out = append(out, l.ID)
	}
	return slices.Sorted(slices.Values(out))
}

func change(d *directory.Directory, t *testing.T, id string, changes ...patch.MemberChange) error {
	_, err := d.Groups().Update(t.Context(), id, func(have scim.Object) (scim.Object, []patch.MemberChange, error) { return have, changes, nil })
	return err
}

func status(err error) int {
	var e *scim.Error
	if errors.As(err, &e) {
		return e.Status
	}
	return 0
}

// TestDeclaredPool walks the life of a pool that people declare and a group of the provider fills.
func TestDeclaredPool(t *testing.T) {
	for name, withClaims := range map[string]bool{"ControllerWasThere": true, "ControllerIsLate": false} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			d := w.replica(t)
			p := w.declare(t, d, "payments", v1alpha1.AgentPoolSpec{GroupName: "Payments Team", Roles: []v1alpha1.Role{"ROLE_MANAGER"}})
			if withClaims {
				w.claimed(t, p)
			}
			ada := createUser(t, d, "ada@example.test")
			g, err := createGroup(t, d, "payments team", ada)
			if err != nil {
				t.Fatal(err)
			}
			if g.ID != "payments" || w.pool(t, "payments").Spec.IDP == nil {
				t.Fatalf("the group must fill the declared pool, not become %s", g.ID)
			}
			if have := members(t, d, "payments"); !slices.Equal(have, []string{ada}) {
				t.Errorf("members are %v", have)
			}
			if _, err := createGroup(t, d, "Payments Team"); status(err) != 409 {
				t.Errorf("a linked name must be taken: %v", err)
			}
			if err := d.Groups().Delete(t.Context(), "payments"); err != nil {
				t.Fatal(err)
			}
			if p := w.pool(t, "payments"); !p.Spec.IDP.Unlinked || len(p.Spec.Roles) != 1 {
				t.Errorf("a declared pool must stay, unlinked: %+v", p.Spec)
			}
			if _, err := d.Groups().Get(t.Context(), "payments"); status(err) != 404 {
				t.Errorf("the group must be gone: %v", err)
			}
			if g, err = createGroup(t, d, "Payments Team"); err != nil || g.ID != "payments" || len(members(t, d, "payments")) != 0 {
				t.Errorf("the group made anew must fill the pool again, empty: %v", err)
			}
		})
	}
}

// TestDeclaredPoolIsNotGuessed: no group name ever grants a role by accident.
func TestDeclaredPoolIsNotGuessed(t *testing.T) {
	w := newWorld(t)
	d := w.replica(t)
	w.claimed(t, w.declare(t, d, "admins", v1alpha1.AgentPoolSpec{DisplayName: "Admins", Roles: []v1alpha1.Role{"ROLE_MANAGER"}}))
	_, err := createGroup(t, d, "admins")
	if status(err) != 409 || !strings.Contains(err.Error(), "spec.groupName") || !strings.Contains(err.Error(), `"admins"`) {
		t.Errorf("the refusal must name the pool and what to do: %v", err)
	}
	if _, err := d.Groups().Get(t.Context(), "admins"); status(err) != 404 {
		t.Errorf("a declared pool without groupName is not seen over SCIM: %v", err)
	}
	if all := list(t, w, &v1alpha1.AgentPoolList{}).Items; len(all) != 1 {
		t.Errorf("a refused group must leave no pool behind: %d", len(all))
	}
}

// TestPushedPoolWithRoles: what people wrote into a pushed pool outlives the provider's group.
func TestPushedPoolWithRoles(t *testing.T) {
	w := newWorld(t)
	d := w.replica(t)
	ada := createUser(t, d, "ada@example.test")
	g, err := createGroup(t, d, "Pushed", ada)
	if err != nil {
		t.Fatal(err)
	}
	p := w.pool(t, g.ID)
	if p.Finalizers[0] != v1alpha1.FinalizerPool || p.Spec.IDP.DisplayName != "Pushed" || p.Spec.IDP.ExternalID != "x-Pushed" {
		t.Errorf("the pushed pool is %+v", p)
	}
	p.Spec.Roles = []v1alpha1.Role{"ROLE_IGNORE_QUOTA"}
	if err := w.Client.Update(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	if err := d.Groups().Delete(t.Context(), g.ID); err != nil {
		t.Fatal(err)
	}
	if p := w.pool(t, g.ID); p.DeletionTimestamp != nil || !p.Spec.IDP.Unlinked {
		t.Errorf("the pool that people gave roles must stay: %+v", p.Spec)
	}
	again, err := createGroup(t, d, "pushed")
	if err != nil || again.ID != g.ID {
		t.Errorf("the group made anew must be the same pool: %v", err)
	}
}

func TestOfferedPoolCanBeFilledWithoutPOST(t *testing.T) {
	w := newWorld(t)
	d := w.replica(t)
	w.declare(t, d, "payments", v1alpha1.AgentPoolSpec{GroupName: "Payments"})
	ada := createUser(t, d, "ada@example.test")
	if err := change(d, t, "payments", patch.MemberChange{Op: patch.AddMembers, IDs: []string{ada}}); err != nil {
		t.Fatal(err)
	}
	if have := members(t, d, "payments"); !slices.Equal(have, []string{ada}) {
		t.Errorf("members are %v", have)
	}
	if w.pool(t, "payments").Spec.IDP != nil {
		t.Error("a change of members must not link the pool")
	}
}

func TestDefaultPoolIsHidden(t *testing.T) {
	w := newWorld(t)
	d := w.replica(t)
	w.declare(t, d, "default", v1alpha1.AgentPoolSpec{DisplayName: "Default"})
	if _, err := d.Groups().Get(t.Context(), "default"); status(err) != 404 {
		t.Errorf("the default pool is not seen over SCIM: %v", err)
	}
	if page, err := d.Groups().List(t.Context(), server.Query{Count: 10}); err != nil || page.Total != 0 {
		t.Errorf("the default pool must not be listed: %v", err)
	}
}

// TestIndirectGroups: pools that other rules put a person in are groups of type indirect; the portal's and undeclared ones are not shown.
func TestIndirectGroups(t *testing.T) {
	w := newWorld(t)
	d := w.replica(t)
	w.declare(t, d, "visible", v1alpha1.AgentPoolSpec{GroupName: "Visible"})
	w.declare(t, d, "hidden", v1alpha1.AgentPoolSpec{DisplayName: "Hidden"})
	id := createUser(t, d, "ada@example.test")
	var u v1alpha1.ScimUser
	if err := w.Client.Get(t.Context(), types.NamespacedName{Namespace: w.namespace, Name: id}, &u); err != nil {
		t.Fatal(err)
	}
	before, err := d.Users().Get(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	u.Status.Pools = []v1alpha1.PoolMembership{
		{Name: "default", Source: v1alpha1.PoolSourceDefault}, {Name: "visible", Source: v1alpha1.PoolSourceFilter}, {Name: "hidden", Source: v1alpha1.PoolSourceDeclared},
	}
	if err := w.Client.Status().Update(t.Context(), &u); err != nil {
		t.Fatal(err)
	}
	after, err := d.Users().Get(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	if before.Version != after.Version {
		t.Errorf("a status write must not change the version: %s, %s", before.Version, after.Version)
	}
	var links []server.Link
	for l := range after.Links {
		links = append(links, l)
	}
	if len(links) != 1 || links[0] != (server.Link{ID: "visible", Display: "Visible", Type: "indirect"}) {
		t.Errorf("groups are %+v", links)
	}
}

// TestPeoplesFields: suspend and what else people set is never touched by the provider.
func TestPeoplesFields(t *testing.T) {
	w := newWorld(t)
	d := w.replica(t)
	id := createUser(t, d, "ada@example.test")
	if _, err := createGroup(t, d, "Payments", id); err != nil {
		t.Fatal(err)
	}
	key := types.NamespacedName{Namespace: w.namespace, Name: id}
	var u v1alpha1.ScimUser
	if err := w.Client.Get(t.Context(), key, &u); err != nil {
		t.Fatal(err)
	}
	if err := w.Client.Patch(t.Context(), &u, client.RawPatch(types.MergePatchType, []byte(`{"spec":{"suspend":true}}`))); err != nil {
		t.Fatal(err)
	}
	_, err := d.Users().Update(t.Context(), id, nil, func(have scim.Object) (scim.Object, error) {
		return scim.Object{"userName": have["userName"], "title": "x"}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Client.Get(t.Context(), key, &u); err != nil {
		t.Fatal(err)
	}
	if !u.Spec.Suspend || len(u.Spec.Pools) != 1 || u.Spec.Title != "x" {
		t.Errorf("a PUT must leave suspend and pools: %+v", u.Spec)
	}
}

func TestLimits(t *testing.T) {
	w := newWorld(t)
	d := w.replica(t)
	certificates := []any{}
	for range 5 {
		certificates = append(certificates, scim.Object{"value": strings.Repeat("QUJD", 2000)})
	}
	_, err := d.Users().Create(t.Context(), scim.Object{"userName": "ada@example.test", "x509Certificates": certificates})
	if status(err) != 413 {
		t.Errorf("a person of more than 32 KiB must be refused: %v", err)
	}
	id := createUser(t, d, "ada@example.test")
	var pools []string
	for i := range 512 {
		pools = append(pools, "pool-"+string(rune('a'+i%26))+strings.Repeat("x", i/26))
	}
	body, _ := scimPatch(pools)
	u := &v1alpha1.ScimUser{ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: id}}
	if err := w.Client.Patch(t.Context(), u, client.RawPatch(types.MergePatchType, body)); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Users().Get(t.Context(), id); err != nil { // the cache learns it too
		t.Fatal(err)
	}
	if _, err = createGroup(t, d, "One more", id); status(err) != 400 || !strings.Contains(err.Error(), "512") {
		t.Errorf("a person in 512 groups must not get into another: %v", err)
	}
}

// TestRestoredPool: what a pool from a backup says about another etcd's versions keeps nobody waiting.
func TestRestoredPool(t *testing.T) {
	w := newWorld(t)
	d := w.replica(t)
	ada := createUser(t, d, "ada")
	p := &v1alpha1.AgentPool{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: w.namespace, Name: "restored", Annotations: map[string]string{"iam.lightrun.com/members-as-of": "another-uid/99999999999"},
		},
		Spec: v1alpha1.AgentPoolSpec{GroupName: "Restored"},
	}
	if err := w.Client.Create(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	if err := change(d, t, "restored", patch.MemberChange{Op: patch.AddMembers, IDs: []string{ada}}); err != nil {
		t.Fatal(err)
	}
	if stored := w.stored(t, "restored"); !slices.Equal(stored, []string{ada}) {
		t.Errorf("members are %v", stored)
	}
}
