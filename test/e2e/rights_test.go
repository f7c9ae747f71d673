// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/test/framework/devenv"
)

// TestAdministratorIsNoProvider: the environment's administrator has every right in RBAC, as
// GitOps controllers often have, and still can't change the provider's data.
func TestAdministratorIsNoProvider(t *testing.T) {
	w := shared(t)
	ada := w.name("ada")
	id := w.arrive(ada)
	w.becomes(ada, "arrives", active)
	gone := `[{"apiVersion":"v1","kind":"ConfigMap","name":"gone","uid":"00000000-0000-4000-8000-0000000000ff"}]`
	for patch, says := range map[string]string{
		`{"spec":{"active":false}}`:                                               "the restore window is not open for this user",
		`{"metadata":{"ownerReferences":` + gone + `}}`:                           "the restore window is not open for this user",
		`{"metadata":{"annotations":{"` + v1alpha1.AnnotationRequest + `":"x"}}}`: "they are the operator's own",
		`{"metadata":{"annotations":{"` + v1alpha1.AnnotationRelease + `":"1"}}}`: "set the annotation " + v1alpha1.AnnotationDecidedBy + "=developer",
	} {
		u := &v1alpha1.ScimUser{ObjectMeta: metav1.ObjectMeta{Namespace: devenv.Namespace, Name: id}}
		err := w.env.Client.Patch(t.Context(), u, client.RawPatch(types.MergePatchType, []byte(patch)))
		if !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: got %v, must be refused with %q", patch, err, says)
		}
	}
	t.Log("the garbage collector deletes an object with such an owner; the user is not deleted")
	collected := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: devenv.Namespace, GenerateName: "collected-", OwnerReferences: []metav1.OwnerReference{
		{APIVersion: "v1", Kind: "ConfigMap", Name: "gone", UID: "00000000-0000-4000-8000-0000000000ff"},
	}}}
	if err := w.env.Client.Create(t.Context(), collected); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the garbage collector deletes it", func(ctx context.Context) error {
		err := w.env.Client.Get(ctx, client.ObjectKeyFromObject(collected), collected)
		if apierrors.IsNotFound(err) {
			return nil
		}
		return errors.Join(err, fmt.Errorf("%s still exists", collected.Name))
	})
	w.becomes(ada, "remains", active)
}
