package apitest

import (
	"context"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/rest"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/testing/controlplane"
)

// everything is what RBAC lets both people do: the policy alone tells them apart.
const everything = "get list watch create patch update delete deletecollection"

// TestRestorePolicy shows who may change what of a ScimUser.
func TestRestorePolicy(t *testing.T) {
	cp := controlplane.Get(t)
	kubectl(t, cp, "apply", "--server-side", "-k", filepath.Join(controlplane.Root(), "config", "policy"))
	namespace := cp.Namespace(t)
	editor := person(t, cp, namespace, "editor@example.test", everything)
	restorer := person(t, cp, namespace, "restorer@example.test", everything+" restore")
	collector := person(t, cp, namespace, "system:serviceaccount:kube-system:generic-garbage-collector", everything)
	ending := person(t, cp, namespace, "system:serviceaccount:kube-system:namespace-controller", everything)
	waitForPolicy(t, cp, editor, namespace)

	tests := map[string]struct {
		reason  string
		who     client.Client
		act     func(context.Context, client.Client, *v1alpha1.ScimUser) error
		refused string // what the refusal says; empty when it is let through
	}{
		"Create": {
			reason: "People come through SCIM; kubectl can't make one up.",
			who:    editor, act: create, refused: "editor@example.test may not create a ScimUser",
		},
		"CreateToRestore": {
			reason: "An export is brought back by someone who was given the verb.",
			who:    restorer, act: create,
		},
		"ChangeActive": {
			reason: "A self-healing GitOps tool must not undo a deactivation.",
			who:    editor, act: change(func(u *v1alpha1.ScimUser) { u.Spec.Active = ptr.To(true) }),
			refused: "may not change the provider's fields of a ScimUser",
		},
		"ChangePools": {
			reason: "Membership grants roles, so only the provider asserts it.",
			who:    editor, act: change(func(u *v1alpha1.ScimUser) { u.Spec.Pools = append(u.Spec.Pools, "managers") }),
			refused: "may not change the provider's fields",
		},
		"RemoveField": {
			reason: "Taking a field away is a change too.",
			who:    editor, act: change(func(u *v1alpha1.ScimUser) { u.Spec.DisplayName = "" }),
			refused: "may not change the provider's fields",
		},
		"AddField": {
			reason: "So is adding one.",
			who:    editor, act: change(func(u *v1alpha1.ScimUser) { u.Spec.Title = "boss" }),
			refused: "may not change the provider's fields",
		},
		"ChangeNestedField": {
			reason: "Deep inside counts.",
			who:    editor, act: change(func(u *v1alpha1.ScimUser) { u.Spec.Emails[0].Value = "b@example.test" }),
			refused: "may not change the provider's fields",
		},
		"SuspendAndChange": {
			reason: "A permitted change is no disguise for another.",
			who:    editor, act: change(func(u *v1alpha1.ScimUser) { u.Spec.Suspend, u.Spec.UserName = true, "eve" }),
			refused: "may not change the provider's fields",
		},
		"ChangeToRestore": {
			reason: "Restoring may correct what is there.",
			who:    restorer, act: change(func(u *v1alpha1.ScimUser) { u.Spec.DisplayName = "Ada B" }),
		},
		"Suspend": {
			reason: "Suspending a person is for people.",
			who:    editor, act: change(func(u *v1alpha1.ScimUser) { u.Spec.Suspend = true }),
		},
		"Resume": {
			reason: "And so is letting them go on: the field disappears.",
			who:    editor, act: both(change(func(u *v1alpha1.ScimUser) { u.Spec.Suspend = true }), change(func(u *v1alpha1.ScimUser) { u.Spec.Suspend = false })),
		},
		"LabelsAndAnnotations": {
			reason: "Releasing a held removal is an annotation; labels are everyone's.",
			who:    editor,
			act: change(func(u *v1alpha1.ScimUser) {
				u.Labels = map[string]string{"team": "a"}
				u.Annotations = map[string]string{v1alpha1.AnnotationRelease: string(u.UID)}
			}),
		},
		"Finalizers": {
			reason: "A stuck object must be freeable without the verb.",
			who:    editor, act: change(func(u *v1alpha1.ScimUser) { u.Finalizers = []string{"example.com/kept"} }),
		},
		"Status": {
			reason: "Status says what became of a person; it asserts nothing.",
			who:    restorer,
			act: func(ctx context.Context, c client.Client, u *v1alpha1.ScimUser) error {
				u.Status.Account = "1"
				return c.Status().Update(ctx, u)
			},
		},
		"Delete": {
			reason: "People go through SCIM.",
			who:    editor, act: remove, refused: "editor@example.test may not delete a ScimUser",
		},
		"DeleteCollection": {
			reason: "kubectl delete --all is many deletions.",
			who:    editor, refused: "may not delete a ScimUser",
			act: func(ctx context.Context, c client.Client, u *v1alpha1.ScimUser) error {
				return c.DeleteAllOf(ctx, u, client.InNamespace(u.Namespace), client.MatchingFields{"metadata.name": u.Name})
			},
		},
		"DeleteToRestore": {
			reason: "Who brings an export back may clear the place first.",
			who:    restorer, act: remove,
		},
		"GarbageCollector": {
			reason: "The API server's own clean-up must never stall.",
			who:    collector, act: remove,
		},
		"NamespaceEnds": {
			reason: "A namespace that ends takes its people along.",
			who:    ending, act: remove,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			user := newUser(namespace)
			if err := cp.Client.Create(t.Context(), user); err != nil {
				t.Fatal(err)
			}
			err := tt.act(t.Context(), tt.who, user)
			switch {
			case tt.refused == "" && err != nil:
				t.Errorf("refused: %v\n%s", err, tt.reason)
			case tt.refused != "" && !apierrors.IsForbidden(err):
				t.Errorf("got %v, must be forbidden\n%s", err, tt.reason)
			case tt.refused != "" && !strings.Contains(err.Error(), tt.refused):
				t.Errorf("refused with\n  %v\nmust say\n  %s", err, tt.refused)
			case tt.refused != "" && !strings.Contains(err.Error(), "scim-operator-restore"):
				t.Errorf("the refusal names no way out: %v", err)
			}
		})
	}
}

func newUser(namespace string) *v1alpha1.ScimUser {
	return &v1alpha1.ScimUser{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: uuid.NewString()},
		Spec: v1alpha1.ScimUserSpec{
			UserName: "ada", DisplayName: "Ada", Active: ptr.To(false), Pools: []string{"payments"},
			Emails: []v1alpha1.MultiValue{{Value: "a@example.test", Primary: ptr.To(true)}},
		},
	}
}

func create(ctx context.Context, c client.Client, u *v1alpha1.ScimUser) error {
	return c.Create(ctx, newUser(u.Namespace))
}

func remove(ctx context.Context, c client.Client, u *v1alpha1.ScimUser) error {
	return c.Delete(ctx, u)
}

func change(edit func(*v1alpha1.ScimUser)) func(context.Context, client.Client, *v1alpha1.ScimUser) error {
	return func(ctx context.Context, c client.Client, u *v1alpha1.ScimUser) error {
		edit(u)
		return c.Update(ctx, u)
	}
}

func both(first, second func(context.Context, client.Client, *v1alpha1.ScimUser) error) func(context.Context, client.Client, *v1alpha1.ScimUser) error {
	return func(ctx context.Context, c client.Client, u *v1alpha1.ScimUser) error {
		if err := first(ctx, c, u); err != nil {
			return err
		}
		return second(ctx, c, u)
	}
}

// person returns a client of somebody who may do verbs with ScimUsers in the namespace, as far as RBAC is concerned.
func person(t *testing.T, cp *controlplane.ControlPlane, namespace, name, verbs string) client.Client {
	t.Helper()
	role := &rbacv1.Role{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, GenerateName: "person-"},
		Rules:      []rbacv1.PolicyRule{{APIGroups: []string{"iam.lightrun.com"}, Resources: []string{"scimusers", "scimusers/status"}, Verbs: strings.Fields(verbs)}},
	}
	if err := cp.Client.Create(t.Context(), role); err != nil {
		t.Fatal(err)
	}
	binding := &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: role.Name},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: role.Name},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.UserKind, Name: name}},
	}
	if err := cp.Client.Create(t.Context(), binding); err != nil {
		t.Fatal(err)
	}
	config := rest.CopyConfig(cp.Config)
	config.Impersonate = rest.ImpersonationConfig{UserName: name}
	c, err := client.New(config, client.Options{Scheme: cp.Scheme})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// waitForPolicy waits until the API server enforces the policy, which takes it about a second.
func waitForPolicy(t *testing.T, cp *controlplane.ControlPlane, editor client.Client, namespace string) {
	t.Helper()
	var last error
	err := wait.PollUntilContextTimeout(t.Context(), 50*time.Millisecond, time.Minute, true, func(ctx context.Context) (bool, error) {
		last = editor.Create(ctx, newUser(namespace), client.DryRunAll)
		return last != nil && strings.Contains(last.Error(), "may not create a ScimUser"), nil
	})
	if err != nil {
		var policy admissionv1.ValidatingAdmissionPolicy
		_ = cp.Client.Get(t.Context(), client.ObjectKey{Name: "scimusers-restore.iam.lightrun.com"}, &policy)
		t.Fatalf("the policy is not in force: %v, last answer: %v, policy: %+v", err, last, policy.Status)
	}
}

// TestClaimKeepsItsType shows that a claim can't turn into one of the other kind.
func TestClaimKeepsItsType(t *testing.T) {
	cp := controlplane.Get(t)
	claim := &v1alpha1.NameClaim{
		ObjectMeta: metav1.ObjectMeta{Namespace: cp.Namespace(t), Name: "user-" + strings.Repeat("0", 64)},
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
