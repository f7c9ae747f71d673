// SPDX-License-Identifier: Apache-2.0

package kubefake_test

import (
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/test/framework/controlplane"
	"lightrun.com/scim-operator/test/framework/kubefake"
)

func TestMain(m *testing.M) { controlplane.Main(m) }

func pool(edit func(*v1alpha1.AgentPool)) *v1alpha1.AgentPool {
	p := &v1alpha1.AgentPool{ObjectMeta: metav1.ObjectMeta{Namespace: "company", Name: "payments"}}
	edit(p)
	return p
}

func configuration(edit func(*v1alpha1.IdentityConfiguration)) *v1alpha1.IdentityConfiguration {
	c := &v1alpha1.IdentityConfiguration{
		ObjectMeta: metav1.ObjectMeta{Namespace: "company", Name: v1alpha1.DefaultName},
		Spec: v1alpha1.IdentityConfigurationSpec{
			Portal:           v1alpha1.Portal{URL: "https://portal.example.test", CredentialsSecretRef: v1alpha1.LocalReference{Name: "portal"}},
			IdentityProvider: v1alpha1.IdentityProvider{Type: v1alpha1.ProviderOkta},
		},
	}
	edit(c)
	return c
}

func user(edit func(*v1alpha1.ScimUser)) *v1alpha1.ScimUser {
	u := &v1alpha1.ScimUser{
		ObjectMeta: metav1.ObjectMeta{Namespace: "company", Name: "c3b2a1d0-0000-4000-8000-000000000001"},
		Spec:       v1alpha1.ScimUserSpec{UserName: "ada@example.test"},
	}
	edit(u)
	return u
}

func condition(typ, reason, message string) metav1.Condition {
	return metav1.Condition{Type: typ, Status: metav1.ConditionTrue, Reason: reason, Message: message, LastTransitionTime: metav1.Now()}
}

// refusals are writes that the API server refuses, each for a different kind of reason. Both
// clients get the same writes, so that the fake is not more permissive than the API server.
var refusals = map[string]struct {
	object client.Object
	status bool // write object's status, to an object without one
	says   string
}{
	"Enum":    {configuration(func(c *v1alpha1.IdentityConfiguration) { c.Spec.IdentityProvider.Type = "Ping" }), false, "Unsupported value"},
	"Pattern": {configuration(func(c *v1alpha1.IdentityConfiguration) { c.Spec.Portal.URL = "portal" }), false, "spec.portal.url"},
	"Rule":    {configuration(func(c *v1alpha1.IdentityConfiguration) { c.Name = "other" }), false, "default"},
	"TooLong": {user(func(u *v1alpha1.ScimUser) { u.Spec.UserName = strings.Repeat("x", 10_000) }), false, "spec.userName"},
	"ListMapKey": {user(func(u *v1alpha1.ScimUser) {
		u.Status.Conditions = []metav1.Condition{condition("A", "B", ""), condition("A", "C", "")}
	}), true, "Duplicate value"},
	"StatusReason": {user(func(u *v1alpha1.ScimUser) { u.Status.Conditions = []metav1.Condition{condition("A", "no reason", "")} }), true, "reason"},
	"StatusLength": {pool(func(p *v1alpha1.AgentPool) {
		p.Status.Conditions = []metav1.Condition{condition("A", "B", strings.Repeat("x", 40_000))}
	}), true, "message"},
	"Name": {pool(func(p *v1alpha1.AgentPool) { p.Name = "Not A Name" }), false, "metadata.name"},
}

func TestRefusals(t *testing.T) {
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	t.Run("fake", func(t *testing.T) {
		check(t, func(*testing.T) (client.Client, string) { return kubefake.New(t, scheme), "company" })
	})
	t.Run("real", func(t *testing.T) {
		cp := controlplane.Get(t)
		check(t, func(t *testing.T) (client.Client, string) { return cp.Client, cp.Namespace(t) })
	})
}

func check(t *testing.T, fresh func(*testing.T) (client.Client, string)) {
	for name, r := range refusals {
		t.Run(name, func(t *testing.T) {
			c, namespace := fresh(t)
			o := r.object.DeepCopyObject().(client.Object)
			o.SetNamespace(namespace)
			var err error
			if r.status {
				err = writeStatus(t, c, o)
			} else {
				err = c.Create(t.Context(), o)
			}
			if !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), r.says) {
				t.Errorf("got %v, want Invalid with %q", err, r.says)
			}
		})
	}
}

// writeStatus creates o without its status and then patches the status.
func writeStatus(t *testing.T, c client.Client, o client.Object) error {
	t.Helper()
	before := o.DeepCopyObject().(client.Object)
	switch b := before.(type) {
	case *v1alpha1.ScimUser:
		b.Status = v1alpha1.ScimUserStatus{}
	case *v1alpha1.AgentPool:
		b.Status = v1alpha1.AgentPoolStatus{}
	}
	if err := c.Create(t.Context(), before); err != nil {
		t.Fatal(err)
	}
	o.SetResourceVersion(before.GetResourceVersion())
	o.SetUID(before.GetUID())
	return c.Status().Patch(t.Context(), o, client.MergeFrom(before))
}

func TestUpdates(t *testing.T) {
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	c := kubefake.New(t, scheme)
	u := user(func(*v1alpha1.ScimUser) {})
	if err := c.Create(t.Context(), u); err != nil {
		t.Fatalf("a valid user is refused: %v", err)
	}
	u.Spec.DisplayName = strings.Repeat("x", 10_000)
	if err := c.Update(t.Context(), u); !apierrors.IsInvalid(err) {
		t.Errorf("update: got %v, want Invalid", err)
	}
	var now v1alpha1.ScimUser
	if err := c.Get(t.Context(), client.ObjectKeyFromObject(u), &now); err != nil || now.Spec.DisplayName != "" {
		t.Errorf("a refused write changed the object: %q, %v", now.Spec.DisplayName, err)
	}
	patch := client.RawPatch("application/merge-patch+json", []byte(`{"spec":{"userName":""}}`))
	if err := c.Patch(t.Context(), &now, patch); !apierrors.IsInvalid(err) {
		t.Errorf("patch: got %v, want Invalid", err)
	}
	claim := &v1alpha1.NameClaim{ObjectMeta: metav1.ObjectMeta{Namespace: "company", Name: "x"}}
	if err := c.Create(t.Context(), claim); !apierrors.IsInvalid(err) {
		t.Errorf("a claim without its fields: got %v, want Invalid", err)
	}
}
