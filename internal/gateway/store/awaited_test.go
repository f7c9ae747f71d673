// SPDX-License-Identifier: Apache-2.0

package store_test

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/scim"
)

// TestAwaitedPush: some conditions tell people to push the user again from the identity provider,
// which then sends what it sent before. That push must have an effect.
func TestAwaitedPush(t *testing.T) {
	w := newWorld(t)
	d := w.replica(t)
	for name, tc := range map[string]struct {
		reason    string
		condition string // of Provisioned
		counts    bool
	}{
		"Ready":       {"A push that changes nothing writes nothing.", v1alpha1.ReasonProvisioned, false},
		"Deactivated": {"The account stays deactivated until the provider pushes the user.", v1alpha1.ReasonDeactivatedLocally, true},
		"Backup":      {"The object waits until the provider pushes the user.", v1alpha1.ReasonBackupOlder, true},
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
				Type: v1alpha1.ConditionProvisioned, Status: metav1.ConditionFalse, Reason: tc.condition, LastTransitionTime: metav1.Now(),
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
