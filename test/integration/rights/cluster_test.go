// SPDX-License-Identifier: Apache-2.0

package rights

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"lightrun.com/scim-operator/api/v1alpha1"
)

// TestGarbageCollector: Kubernetes deletes an object whose owner does not exist, and the policies
// do not prevent it, because they exempt the garbage collector. So they refuse the reference.
func TestGarbageCollector(t *testing.T) {
	s := sharedFixture(t)
	for _, name := range []string{"weak", "wildcard", "edit", "admin", "webhook"} {
		target := object("ScimUser", separate, plainUser, nil)
		if err := s.clients[name].Patch(t.Context(), target, mergePatch("%s", ownerReferences)); !isRefused(err) {
			t.Errorf("%s gets %v, must be forbidden", name, err)
		}
	}
	// A restorer may write the reference. This shows its effect.
	owners := []metav1.OwnerReference{{APIVersion: "v1", Kind: "ConfigMap", Name: "gone", UID: "00000000-0000-4000-8000-0000000000ff"}}
	lost := object("ScimUser", open, newUser, records()[0].spec())
	lost.SetOwnerReferences(owners)
	if err := s.clients["restorer"].Create(t.Context(), lost); err != nil {
		t.Fatal(err)
	}
	gone(t, s, lost)
	var kept v1alpha1.ScimUser
	if err := s.cp.Client.Get(t.Context(), client.ObjectKey{Namespace: separate, Name: plainUser}, &kept); err != nil || kept.DeletionTimestamp != nil {
		t.Errorf("the user is %v, %v", kept.DeletionTimestamp, err)
	}
}

// TestNamespaceEnds: a namespace with objects of every kind terminates; no policy prevents it.
func TestNamespaceEnds(t *testing.T) {
	s := sharedFixture(t)
	const namespace = "ending"
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}
	if err := s.cp.Client.Create(t.Context(), ns); err != nil {
		t.Fatal(err)
	}
	if err := install(t, s.cp, namespace, "rbac/separate"); err != nil {
		t.Fatal(err)
	}
	if err := s.fill(t.Context(), namespace); err != nil {
		t.Fatal(err)
	}
	if err := s.cp.Client.Delete(t.Context(), ns); err != nil {
		t.Fatal(err)
	}
	gone(t, s, ns)
}

func gone(t *testing.T, s *fixture, o client.Object) {
	t.Helper()
	err := eventually(t.Context(), func(ctx context.Context) error {
		err := s.cp.Client.Get(ctx, client.ObjectKeyFromObject(o), o)
		if apierrors.IsNotFound(err) {
			return nil
		}
		return errors.Join(err, fmt.Errorf("%s is there", o.GetName()))
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestNothingIsAggregated: after role aggregation, Kubernetes' own roles have no right to our
// kinds.
func TestNothingIsAggregated(t *testing.T) {
	s := sharedFixture(t)
	for _, name := range []string{"view", "edit", "admin"} {
		var role rbacv1.ClusterRole
		if err := s.cp.Client.Get(t.Context(), client.ObjectKey{Name: name}, &role); err != nil {
			t.Fatal(err)
		}
		if len(role.Rules) == 0 {
			t.Errorf("%s is empty: role aggregation did not run", name)
		}
		for _, rule := range role.Rules {
			if slices.Contains(rule.APIGroups, v1alpha1.GroupVersion.Group) || slices.Contains(rule.APIGroups, "*") {
				t.Errorf("%s has %v", name, rule)
			}
		}
	}
}

// TestTwoCompanies: two companies in one cluster apply the same objects outside their namespaces,
// so neither overwrites the other's, and both managers can identify the cluster.
func TestTwoCompanies(t *testing.T) {
	s := sharedFixture(t)
	for _, user := range []string{account(separate, "scim-manager"), account(shared, "scim-operator")} {
		c, err := s.as(user)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Get(t.Context(), client.ObjectKey{Name: "kube-system"}, &corev1.Namespace{}); err != nil {
			t.Errorf("%s: %v", user, err)
		}
		if err := c.Get(t.Context(), client.ObjectKey{Name: open}, &corev1.Namespace{}); !isRefused(err) {
			t.Errorf("%s reads another company's namespace: %v", user, err)
		}
	}
	for _, folder := range []string{"default", "overlays/separate"} {
		one, other := outside(t, s, "one", folder), outside(t, s, "other", folder)
		if diff := cmp.Diff(one, other); diff != "" || len(one) < 10 {
			t.Errorf("%s: %d objects outside the namespace, which differ (-one +other):\n%s", folder, len(one), diff)
		}
	}
}

// outside returns the objects of an installation that have no namespace, by kind and name.
func outside(t *testing.T, s *fixture, namespace, folder string) map[string]map[string]any {
	t.Helper()
	dir, err := kustomization(t, namespace, folder)
	if err != nil {
		t.Fatal(err)
	}
	text, err := kubectl(t, s.cp, "kustomize", dir)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]map[string]any{}
	for _, part := range strings.Split(string(text), "\n---\n") {
		u := unstructured.Unstructured{}
		if err := yaml.Unmarshal([]byte(part), &u.Object); err != nil {
			t.Fatal(err)
		}
		if u.GetNamespace() == "" && u.GetKind() != "Namespace" {
			out[u.GetKind()+" "+u.GetName()] = u.Object
		}
	}
	return out
}
