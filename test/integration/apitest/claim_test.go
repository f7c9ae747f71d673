// SPDX-License-Identifier: Apache-2.0

package apitest

import (
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/test/framework/controlplane"
)

// TestClaimKeepsItsType shows that the type of a claim cannot change and its holder can.
func TestClaimKeepsItsType(t *testing.T) {
	cp := controlplane.Get(t)
	claim := &v1alpha1.NameClaim{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespaceOf(t, cp), Name: "user-" + strings.Repeat("0", 64)},
		Spec:       v1alpha1.NameClaimSpec{Type: v1alpha1.ClaimUser, Holder: v1alpha1.ClaimHolder{Name: "a", UID: "u"}},
	}
	if err := cp.Client.Create(t.Context(), claim); err != nil {
		t.Fatal(err)
	}
	claim.Spec.Type = v1alpha1.ClaimPool
	if err := cp.Client.Update(t.Context(), claim); err == nil || !strings.Contains(err.Error(), "the type of a claim never changes") {
		t.Errorf("got %v", err)
	}
	claim.Spec = v1alpha1.NameClaimSpec{Type: v1alpha1.ClaimUser, Holder: v1alpha1.ClaimHolder{Name: "b", UID: "v"}}
	if err := cp.Client.Update(t.Context(), claim); err != nil {
		t.Errorf("a claim may be taken over: %v", err)
	}
}
