// SPDX-License-Identifier: Apache-2.0

package stories_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/kernel/claims"
	"lightrun.com/scim-operator/internal/kernel/groupslice"
)

// creating creates a user whose name the webhook has not claimed yet.
func (w *world) creating(userName string) *v1alpha1.ScimUser {
	w.t.Helper()
	u := &v1alpha1.ScimUser{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: uuid.NewString()},
		Spec:       v1alpha1.ScimUserSpec{UserName: userName},
	}
	w.must(w.client.Create(w.t.Context(), u, client.FieldOwner(v1alpha1.FieldManagerWebhook)))
	return u
}

// TestCreatedWhileHolderLeaves: while a webhook creates a user, the holder of the name is deleted,
// so that the webhook gets the name and succeeds. The user must stay, although a controller saw it
// without its name.
func TestCreatedWhileHolderLeaves(t *testing.T) {
	w := newWorld(t, wideGuard)
	first := w.push("ada@example.test")
	w.provisioned(first, user)
	second := w.creating("ada@example.test")
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for seen := time.Now(); time.Since(seen) < claims.ResponseDeadline/2; <-tick.C { // time for a pass of the controller
		w.must(w.client.Get(t.Context(), client.ObjectKeyFromObject(second), second))
	}
	w.remove(first)
	other, err := registry(w.client).Keep(t.Context(), v1alpha1.ClaimUser, second.Spec.UserName, second)
	w.must(err)
	if other != nil {
		t.Fatalf("%s still has the name", other.GetName())
	}
	w.provisioned(second, user)
	if second.DeletionTimestamp != nil {
		t.Error("the user is being deleted, although the webhook's response was a success")
	}
}

// TestCreationCutOff: a webhook is killed while it creates a user whose name another user has. The
// object that remains is deleted automatically.
func TestCreationCutOff(t *testing.T) {
	w := newWorld(t, wideGuard)
	first := w.push("ada@example.test")
	w.provisioned(first, user)
	left := w.creating("ada@example.test")
	w.gone(left)
	w.must(w.client.Get(t.Context(), client.ObjectKeyFromObject(first), first))
	if first.DeletionTimestamp != nil {
		t.Error("the wrong user is deleted")
	}
	var found v1alpha1.ScimUserList
	w.must(w.client.List(t.Context(), &found, client.InNamespace(w.namespace)))
	if len(found.Items) != 1 {
		w.must(errors.New("one user must remain"))
	}
}

// TestGroupCreationCutOff: a webhook is killed while it creates a group whose name another group
// has. The object that remains is deleted automatically.
func TestGroupCreationCutOff(t *testing.T) {
	w := newWorld(t)
	first := w.group("Payments")
	own := &v1alpha1.AgentPool{ObjectMeta: metav1Name(w.namespace, first.Name)}
	w.says(own, v1alpha1.ConditionReady, v1alpha1.ReasonReady)
	left := &v1alpha1.ScimGroup{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: uuid.NewString()},
		Spec:       v1alpha1.ScimGroupSpec{DisplayName: "PAYMENTS", Revision: revision(0)},
	}
	w.must(groupslice.NewStore(w.client, w.namespace, groupslice.Options{FieldOwner: v1alpha1.FieldManagerWebhook}).Create(t.Context(), left.Name, nil))
	w.must(w.client.Create(t.Context(), left, client.FieldOwner(v1alpha1.FieldManagerWebhook)))
	// A pass that fails, for example while the API server restarts, reports before the name is
	// claimed.
	failed := left.DeepCopy()
	failed.Status.ObservedGeneration = left.Generation
	w.must(w.client.Status().Patch(t.Context(), failed, client.MergeFrom(left)))
	w.gone(left)
	w.says(first, v1alpha1.ConditionReady, v1alpha1.ReasonReady)
	w.says(own, v1alpha1.ConditionReady, v1alpha1.ReasonReady)
}

// TestOwnPoolWithoutItsGroup: an own pool that a SCIM request creates after the deletion of the
// group is deleted. An own pool that is restored before its group stays.
func TestOwnPoolWithoutItsGroup(t *testing.T) {
	w := newWorld(t)
	own := func(writer string) *v1alpha1.AgentPool {
		id := uuid.NewString()
		p := &v1alpha1.AgentPool{ObjectMeta: metav1Name(w.namespace, id), Spec: v1alpha1.AgentPoolSpec{Groups: []v1alpha1.GroupReference{{ID: id}}}}
		w.must(w.client.Create(t.Context(), p, client.FieldOwner(writer)))
		return p
	}
	restored, late := own("kubectl"), own(v1alpha1.FieldManagerWebhook)
	w.gone(late)
	w.must(w.client.Get(t.Context(), client.ObjectKeyFromObject(restored), restored))
	if restored.DeletionTimestamp != nil {
		t.Error("the restored pool is being deleted")
	}
}
