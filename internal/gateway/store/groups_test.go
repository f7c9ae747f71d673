// SPDX-License-Identifier: Apache-2.0

package store_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/gateway/server"
	"lightrun.com/scim-operator/internal/gateway/store"
	"lightrun.com/scim-operator/internal/kernel/requestid"
	"lightrun.com/scim-operator/internal/scim"
	"lightrun.com/scim-operator/internal/scim/filter"
	"lightrun.com/scim-operator/internal/scim/patch"
	"lightrun.com/scim-operator/internal/scim/schema"
)

func createUser(t *testing.T, d *store.Directory, name string) string {
	t.Helper()
	r, err := d.Users().Create(t.Context(), scim.Object{"userName": name})
	if err != nil {
		t.Fatal(err)
	}
	return r.ID
}

func createGroup(t *testing.T, d *store.Directory, name string, members ...string) (*server.Resource, error) {
	t.Helper()
	return d.Groups().Create(t.Context(), scim.Object{"displayName": name, "externalId": "x-" + name}, members)
}

func renameGroup(t *testing.T, d *store.Directory, id, name string) {
	t.Helper()
	_, err := d.Groups().Update(t.Context(), id, func(scim.Object) (scim.Object, []patch.MemberChange, error) {
		return scim.Object{"displayName": name}, nil, nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// members lists a group's members as GET returns them.
func members(t *testing.T, d *store.Directory, id string) []string {
	t.Helper()
	r, err := d.Groups().Get(t.Context(), id, true)
	if err != nil {
		t.Fatal(err)
	}
	return linked(r)
}

// groupsOf lists a user's groups as GET returns them.
func groupsOf(t *testing.T, d *store.Directory, id string) []string {
	t.Helper()
	r, err := d.Users().Get(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return linked(r)
}

func linked(r *server.Resource) []string {
	var out []string
	for l := range r.Links {
		out = append(out, l.ID)
	}
	return slices.Sorted(slices.Values(out))
}

func change(d *store.Directory, t *testing.T, id string, changes ...patch.MemberChange) error {
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

// get reads one object of the test namespace.
func get[O client.Object](t *testing.T, w world, name string, into O) O {
	t.Helper()
	if err := w.Client.Get(t.Context(), types.NamespacedName{Namespace: w.namespace, Name: name}, into); err != nil {
		t.Fatal(err)
	}
	return into
}

// TestOwnPool: a group that no pool names gets one of its own, and no other.
func TestOwnPool(t *testing.T) {
	for name, tt := range map[string]struct {
		reason string
		line   v1alpha1.GroupReference
		want   bool
	}{
		"Unnamed":         {"A group that no pool names gets its own pool.", v1alpha1.GroupReference{DisplayName: "Fraud"}, true},
		"ByName":          {"A group whose displayName a pool has in other case gets no own pool.", v1alpha1.GroupReference{DisplayName: "PAYMENTS"}, false},
		"ByExternalID":    {"A group whose externalId a pool has gets no own pool.", v1alpha1.GroupReference{ExternalID: "x-Payments"}, false},
		"OtherExternalID": {"A group whose externalId a pool has in other case gets its own pool.", v1alpha1.GroupReference{ExternalID: "X-PAYMENTS"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			d := w.replica(t)
			p := &v1alpha1.AgentPool{
				ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: "declared"},
				Spec:       v1alpha1.AgentPoolSpec{Groups: []v1alpha1.GroupReference{tt.line}},
			}
			if err := w.Client.Create(t.Context(), p); err != nil {
				t.Fatal(err)
			}
			eventually(t, func() bool { return d.Sees("declared") })
			g, err := createGroup(t, d, "Payments")
			if err != nil {
				t.Fatal(err)
			}
			own := ""
			for _, p := range list(t, w, &v1alpha1.AgentPoolList{}).Items {
				if p.Name != "declared" {
					own = p.OwnPoolOf()
				}
			}
			if (own == g.ID) != tt.want {
				t.Errorf("%s The own pool is of %q", tt.reason, own)
			}
		})
	}
}

// TestGroupsWithoutPools: groups do not depend on pools.
func TestGroupsWithoutPools(t *testing.T) {
	w := newWorld(t)
	d := w.replica(t)
	ada := createUser(t, d, "ada")
	g, err := createGroup(t, d, "Payments", ada)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Client.Delete(t.Context(), get(t, w, g.ID, &v1alpha1.AgentPool{})); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() bool { return !d.Sees(g.ID) })
	if err := change(d, t, g.ID, patch.MemberChange{Op: patch.RemoveMembers, IDs: []string{ada}}); err != nil {
		t.Errorf("a member is taken out of a group whose pool is gone: %v", err)
	}
	if have := members(t, d, g.ID); len(have) != 0 {
		t.Errorf("members are %v", have)
	}
	if err := d.Groups().Delete(t.Context(), g.ID); err != nil {
		t.Errorf("a group whose pool is gone is deleted: %v", err)
	}
}

// TestTombstones: DELETE over SCIM leaves a tombstone for the manager. SCIM clients no longer see
// the object, and its name is free.
func TestTombstones(t *testing.T) {
	w := newWorld(t)
	d := w.replica(t)
	other := w.replica(t)
	ada := createUser(t, d, "ada")
	g, err := createGroup(t, d, "Payments", ada)
	if err != nil {
		t.Fatal(err)
	}
	ctx := requestid.With(t.Context(), "leaver")
	if err := d.Users().Delete(ctx, ada, nil); err != nil {
		t.Fatal(err)
	}
	u := get(t, w, ada, &v1alpha1.ScimUser{})
	if !u.Spec.Deleted || len(u.Finalizers) != 0 || u.DeletionTimestamp != nil {
		t.Errorf("the user must be a tombstone: %+v", u)
	}
	if id := requestid.Stamped(u.Annotations[v1alpha1.AnnotationRequest], u.Spec.Revision); id != "leaver" {
		t.Errorf("the tombstone's request is %q", id)
	}
	if have := members(t, d, g.ID); len(have) != 0 {
		t.Errorf("a deleted user is shown as a member: %v", have)
	}
	if stored := w.stored(t, g.ID); len(stored) != 1 {
		t.Errorf("the manager, not the webhook, must delete the slices: %v", stored)
	}
	for name, d := range map[string]*store.Directory{"the same replica": d, "another replica": other} {
		if _, err := d.Users().Get(t.Context(), ada); status(err) != 404 {
			t.Errorf("at %s a deleted user is read: %v", name, err)
		}
		if err := change(d, t, g.ID, patch.MemberChange{Op: patch.AddMembers, IDs: []string{ada}}); status(err) != 400 {
			t.Errorf("at %s a deleted user becomes a member: %v", name, err)
		}
	}
	if again := createUser(t, other, "ADA"); again == ada {
		t.Error("an id must never be reused")
	}
	w.oneNameEach(t)
	if err := d.Groups().Delete(ctx, g.ID); err != nil {
		t.Fatal(err)
	}
	have := get(t, w, g.ID, &v1alpha1.ScimGroup{})
	if !have.Spec.Deleted || len(have.Finalizers) != 0 || have.Spec.DisplayName != "Payments" {
		t.Errorf("the group must be a tombstone: %+v", have)
	}
	if id := requestid.Stamped(have.Annotations[v1alpha1.AnnotationRequest], have.Spec.Revision); id != "leaver" {
		t.Errorf("the tombstone's request is %q", id)
	}
	for name, d := range map[string]*store.Directory{"the same replica": d, "another replica": other} {
		if _, err := d.Groups().Get(t.Context(), g.ID, true); status(err) != 404 {
			t.Errorf("at %s a deleted group is read: %v", name, err)
		}
		if err := change(d, t, g.ID, patch.MemberChange{Op: patch.RemoveAll}); status(err) != 404 {
			t.Errorf("at %s a deleted group is changed: %v", name, err)
		}
		if err := d.Groups().Delete(t.Context(), g.ID); status(err) != 404 {
			t.Errorf("at %s a deleted group is deleted: %v", name, err)
		}
		if found := findGroup(t, d, "payments"); len(found) != 0 {
			t.Errorf("at %s a deleted group is found: %v", name, found)
		}
	}
	if _, err := createGroup(t, other, "PAYMENTS"); err != nil {
		t.Errorf("the name must be free at once: %v", err)
	}
}

// TestRemovedWithoutATombstone: an object that is deleted with kubectl disappears from lists soon,
// while its kind is served.
func TestRemovedWithoutATombstone(t *testing.T) {
	w := newWorld(t)
	d := w.replica(t)
	ada := createUser(t, d, "ada")
	if err := w.Client.Delete(t.Context(), get(t, w, ada, &v1alpha1.ScimUser{})); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Users().Get(t.Context(), ada); status(err) != 404 {
		t.Errorf("a missing user must be a 404: %v", err)
	}
	eventually(t, func() bool { return !d.Knows(ada) })
	if !d.Configuration().Known {
		t.Error("the kind is served")
	}
}

// TestRevisions: each write has a higher revision than the one before, whatever the clock says. A
// request that changes nothing writes nothing.
func TestRevisions(t *testing.T) {
	w := newWorld(t)
	d := w.replica(t)
	ada := createUser(t, d, "ada")
	g, err := createGroup(t, d, "Payments", ada)
	if err != nil {
		t.Fatal(err)
	}
	u, have := get(t, w, ada, &v1alpha1.ScimUser{}), get(t, w, g.ID, &v1alpha1.ScimGroup{})
	if u.Spec.Revision == 0 || have.Spec.Revision == 0 {
		t.Fatalf("a new object has a revision: %d, %d", u.Spec.Revision, have.Spec.Revision)
	}
	const ahead = 9_000_000_000_000 // as written by a replica whose clock is ahead
	for _, o := range []client.Object{u, have} {
		if err := w.Client.Patch(t.Context(), o, client.RawPatch(types.MergePatchType, []byte(`{"spec":{"revision":9000000000000}}`))); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := d.Users().Update(t.Context(), ada, nil, with("title", "x")); err != nil {
		t.Fatal(err)
	}
	renameGroup(t, d, g.ID, "Billing")
	u, have = get(t, w, ada, &v1alpha1.ScimUser{}), get(t, w, g.ID, &v1alpha1.ScimGroup{})
	if u.Spec.Revision != ahead+1 || have.Spec.Revision != ahead+1 {
		t.Errorf("a revision must grow: %d, %d", u.Spec.Revision, have.Spec.Revision)
	}
	if _, err := d.Users().Update(t.Context(), ada, nil, with("title", "x")); err != nil {
		t.Fatal(err)
	}
	if err := change(d, t, g.ID, patch.MemberChange{Op: patch.ReplaceMembers, IDs: []string{ada}}); err != nil {
		t.Fatal(err)
	}
	if now := get(t, w, ada, &v1alpha1.ScimUser{}); now.ResourceVersion != u.ResourceVersion {
		t.Error("an update that changes nothing wrote the user")
	}
	if now := get(t, w, g.ID, &v1alpha1.ScimGroup{}); now.ResourceVersion != have.ResourceVersion {
		t.Errorf("an update that changes nothing wrote the group: %+v", now.Spec)
	}
}

// TestEntraAsksForAMember: a filter with an id and a member takes one live call.
func TestEntraAsksForAMember(t *testing.T) {
	w := newWorld(t)
	d, calls := w.replicaWithFaults(t)
	other := w.replica(t)
	ada, bob := createUser(t, d, "ada"), createUser(t, d, "bob")
	g, err := createGroup(t, d, "Payments", ada)
	if err != nil {
		t.Fatal(err)
	}
	asks := func(d *store.Directory, member string) bool {
		t.Helper()
		m, err := filter.Compile(`id eq "`+g.ID+`" and members eq "`+member+`"`, schema.Group())
		if err != nil {
			t.Fatal(err)
		}
		page, err := d.Groups().List(t.Context(), server.Query{Filter: m, Count: 10})
		if err != nil {
			t.Fatal(err)
		}
		return page.Total == 1
	}
	calls.arm(0, false)
	if !asks(d, ada) {
		t.Error("ada is a member")
	}
	if n := calls.arm(0, false); n != 1 {
		t.Errorf("that took %d calls, must be 1", n)
	}
	if err := change(other, t, g.ID, patch.MemberChange{Op: patch.ReplaceMembers, IDs: []string{bob}}); err != nil {
		t.Fatal(err)
	}
	if asks(d, ada) || !asks(d, bob) {
		t.Error("the response must not come from a stale cache")
	}
	if asks(d, "unknown") || asks(d, "0e0f7a5c-0000-4000-8000-000000000000") {
		t.Error("an unknown id must not be a member")
	}
}

// TestMembersAreReadOnlyIfAskedFor: a group without its members takes one call.
func TestMembersAreReadOnlyIfAskedFor(t *testing.T) {
	w := newWorld(t)
	d, calls := w.replicaWithFaults(t)
	g, err := createGroup(t, d, "Payments", createUser(t, d, "ada"))
	if err != nil {
		t.Fatal(err)
	}
	calls.arm(0, false)
	if _, err := d.Groups().Get(t.Context(), g.ID, false); err != nil {
		t.Fatal(err)
	}
	if n := calls.arm(0, false); n != 1 {
		t.Errorf("without members it took %d calls, must be 1", n)
	}
	if _, err := d.Groups().Get(t.Context(), g.ID, true); err != nil {
		t.Fatal(err)
	}
	if n := calls.arm(0, false); n != 2 {
		t.Errorf("with a known member it took %d calls, must be 2", n)
	}
}

// TestSuspendStays: a PUT of the provider does not change suspend, which administrators set.
func TestSuspendStays(t *testing.T) {
	w := newWorld(t)
	d := w.replica(t)
	id := createUser(t, d, "ada@example.test")
	u := get(t, w, id, &v1alpha1.ScimUser{})
	if err := w.Client.Patch(t.Context(), u, client.RawPatch(types.MergePatchType, []byte(`{"spec":{"suspend":true}}`))); err != nil {
		t.Fatal(err)
	}
	_, err := d.Users().Update(t.Context(), id, nil, func(have scim.Object) (scim.Object, error) {
		return scim.Object{"userName": have["userName"], "title": "x"}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if u := get(t, w, id, &v1alpha1.ScimUser{}); !u.Spec.Suspend || u.Spec.Title != "x" {
		t.Errorf("after a PUT the spec is %+v, want suspend and the title x", u.Spec)
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
		t.Errorf("a user of more than 32 KiB must be refused: %v", err)
	}
}
