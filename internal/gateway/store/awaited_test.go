// SPDX-License-Identifier: Apache-2.0

package store_test

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/kernel/groupslice"
	"lightrun.com/scim-operator/internal/scim"
	"lightrun.com/scim-operator/internal/scim/patch"
)

// TestAwaitedPush: some conditions tell people to push the user again from the identity provider,
// which then sends what it sent before. That push must have an effect.
func TestAwaitedPush(t *testing.T) {
	w := newWorld(t)
	d := w.replica(t)
	for name, tc := range map[string]struct {
		reason    string
		typ       string
		condition string // its reason
		counts    bool
	}{
		"Ready":       {"A push that changes nothing writes nothing.", v1alpha1.ConditionProvisioned, v1alpha1.ReasonProvisioned, false},
		"Deactivated": {"A push that changes nothing is stored for a deactivated account: it activates the account.", v1alpha1.ConditionProvisioned, v1alpha1.ReasonDeactivatedLocally, true},
		"Backup":      {"A push that changes nothing is stored for a user from an older backup: it resolves BackupOlder.", v1alpha1.ConditionProvisioned, v1alpha1.ReasonBackupOlder, true},
		"Restored":    {"A push that changes nothing is stored for a user from an older backup who has no account yet.", v1alpha1.ConditionOwned, v1alpha1.ReasonBackupOlder, true},
		"RestoredOff": {"A push that changes nothing is stored for a restored user whose account an administrator deactivated.", v1alpha1.ConditionOwned, v1alpha1.ReasonDeactivatedLocally, true},
		"Local":       {"A user who waits for a local account does not wait for a push.", v1alpha1.ConditionOwned, v1alpha1.ReasonLocalAccountExists, false},
	} {
		t.Run(name, func(t *testing.T) {
			id := createUser(t, d, name+"@example.test")
			var u v1alpha1.ScimUser
			read := func() int64 {
				if err := w.Client.Get(t.Context(), types.NamespacedName{Namespace: w.namespace, Name: id}, &u); err != nil {
					t.Fatal(err)
				}
				return u.Spec.Revision
			}
			before := read()
			u.Status.Conditions = []metav1.Condition{{
				Type: tc.typ, Status: metav1.ConditionFalse, Reason: tc.condition, LastTransitionTime: metav1.Now(),
			}}
			if err := w.Client.Status().Update(t.Context(), &u); err != nil {
				t.Fatal(err)
			}
			_, err := d.Users().Update(t.Context(), id, nil, func(have scim.Object) (scim.Object, error) { return have, nil })
			if err != nil {
				t.Fatal(err)
			}
			if after := read(); (after > before) != tc.counts {
				t.Errorf("the revision was %d, is %d: %s", before, after, tc.reason)
			}
		})
	}
}

// TestAwaitedMembers: a group from an older backup waits until the provider pushes all its members,
// which may be those that it has.
func TestAwaitedMembers(t *testing.T) {
	w := newWorld(t)
	d := w.replica(t)
	ada := createUser(t, d, "ada@example.test")
	for name, tc := range map[string]struct {
		reason    string
		condition string // of PoolsResolved
		op        patch.MemberOp
		replaced  bool
	}{
		"Ready":     {"A push that changes nothing writes nothing.", v1alpha1.ReasonResolved, patch.ReplaceMembers, false},
		"Backup":    {"A push of all members that changes nothing is stored for a group from an older backup.", v1alpha1.ReasonBackupOlder, patch.ReplaceMembers, true},
		"OneMember": {"A change of one member is no push of all members: it is not stored if it changes nothing.", v1alpha1.ReasonBackupOlder, patch.AddMembers, false},
	} {
		t.Run(name, func(t *testing.T) {
			made, err := d.Groups().Create(t.Context(), scim.Object{"schemas": []any{scim.SchemaGroup}, "displayName": name}, []string{ada})
			if err != nil {
				t.Fatal(err)
			}
			var g v1alpha1.ScimGroup
			var part v1alpha1.ScimGroupSlice
			read := func() {
				if err := w.Client.Get(t.Context(), types.NamespacedName{Namespace: w.namespace, Name: made.ID}, &g); err != nil {
					t.Fatal(err)
				}
				if err := w.Client.Get(t.Context(), types.NamespacedName{Namespace: w.namespace, Name: groupslice.Name(made.ID, 0)}, &part); err != nil {
					t.Fatal(err)
				}
			}
			read()
			before := part.Spec
			g.Status.Conditions = []metav1.Condition{{
				Type: v1alpha1.ConditionPoolsResolved, Status: metav1.ConditionFalse, Reason: tc.condition, LastTransitionTime: metav1.Now(),
			}}
			if err := w.Client.Status().Update(t.Context(), &g); err != nil {
				t.Fatal(err)
			}
			_, err = d.Groups().Update(t.Context(), made.ID, func(have scim.Object) (scim.Object, []patch.MemberChange, error) {
				return have, []patch.MemberChange{{Op: tc.op, IDs: []string{ada}}}, nil
			})
			if err != nil {
				t.Fatal(err)
			}
			read()
			if replaced := part.Spec.Round > before.Round && part.Spec.Revision > before.Revision; replaced != tc.replaced {
				t.Errorf("the slice was %+v, is %+v: %s", before, part.Spec, tc.reason)
			}
		})
	}
}
