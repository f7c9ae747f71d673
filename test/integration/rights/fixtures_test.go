// SPDX-License-Identifier: Apache-2.0

package rights

import (
	"context"
	"errors"
	"fmt"
	"strings"

	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"lightrun.com/scim-operator/api/v1alpha1"
)

// Names of the objects in every namespace. The table's operations are dry runs, so these objects do
// not change.
const (
	plainUser   = "00000000-0000-4000-8000-000000000001"
	decidedUser = "00000000-0000-4000-8000-000000000002" // another user has dropped its removal
	newUser     = "00000000-0000-4000-8000-000000000009"

	plainPool   = "plain"
	managerPool = "managers"                             // has ROLE_MANAGER in spec
	formerPool  = "former-managers"                      // has it only in status
	groupPool   = "10000000-0000-4000-8000-000000000001" // a group's own pool
	newPool     = "10000000-0000-4000-8000-000000000009"
)

var (
	plain    = map[string]any{"description": "a pool"}
	managers = map[string]any{"roles": []any{"ROLE_MANAGER"}}
)

// ofGroup returns the spec of a group's own pool.
func ofGroup(id string) map[string]any {
	return map[string]any{"groups": []any{map[string]any{"id": id}}}
}

// crud are Kubernetes' own verbs.
var crud = strings.Fields("get list watch create patch update delete deletecollection")

// roles creates the roles that only this test has, and binds every subject to its role.
func (s *fixture) roles(ctx context.Context) error {
	kinds := strings.Fields("scimusers scimgroups scimgroupslices agentpools identityconfigurations nameclaims")
	for name, verbs := range map[string][]string{"test-weak": crud, "test-patcher": {"get", "list", "watch", "patch"}} {
		role := &rbacv1.ClusterRole{
			ObjectMeta: metav1.ObjectMeta{Name: name},
			Rules:      []rbacv1.PolicyRule{{APIGroups: []string{v1alpha1.GroupVersion.Group}, Resources: kinds, Verbs: verbs}},
		}
		if err := s.cp.Client.Create(ctx, role); err != nil {
			return err
		}
	}
	for _, sub := range s.subjects {
		if sub.role == "" {
			continue
		}
		binding := &rbacv1.RoleBinding{
			ObjectMeta: metav1.ObjectMeta{Namespace: sub.namespace, Name: "test-" + sub.name},
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: sub.role},
			Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: sub.userName()}},
		}
		if err := s.cp.Client.Create(ctx, binding); err != nil {
			return err
		}
	}
	return nil
}

// fixtures creates the objects of every namespace: users and groups as the programs do, and the
// rest as an administrator.
func (s *fixture) fixtures(ctx context.Context) error {
	for _, namespace := range []string{separate, shared, open, foreign} {
		if err := s.fill(ctx, namespace); err != nil {
			return fmt.Errorf("%s: %w", namespace, err)
		}
	}
	return nil
}

func (s *fixture) fill(ctx context.Context, namespace string) error {
	webhook, manager := account(namespace, "scim-webhook"), account(namespace, "scim-manager")
	if namespace == shared {
		webhook, manager = account(namespace, "scim-operator"), account(namespace, "scim-operator")
	}
	pushes, err := s.as(webhook)
	if err != nil {
		return err
	}
	decides, err := s.as(manager)
	if err != nil {
		return err
	}
	return errors.Join(s.provider(ctx, namespace, pushes, decides), s.people(ctx, namespace))
}

func (s *fixture) provider(ctx context.Context, namespace string, pushes, decides client.Client) error {
	for _, r := range records() {
		for _, name := range []string{plainUser, decidedUser} {
			// RBAC takes a moment to reach the authorizer.
			if err := eventually(ctx, func(ctx context.Context) error {
				return pushes.Create(ctx, object(r.kind, namespace, name+r.suffix, r.spec()))
			}); err != nil {
				return err
			}
		}
		decided := object(r.kind, namespace, decidedUser+r.suffix, nil)
		patch := mergePatch(`{"metadata":{"annotations":{"%s":"1","%s":"%s"}}}`, v1alpha1.AnnotationDrop, v1alpha1.AnnotationDecidedBy, person("colleague"))
		if err := eventually(ctx, func(ctx context.Context) error { return decides.Patch(ctx, decided, patch) }); err != nil {
			return err
		}
	}
	return pushes.Create(ctx, object("NameClaim", namespace, claim(0), claimSpec()))
}

func (s *fixture) people(ctx context.Context, namespace string) error {
	for name, spec := range map[string]map[string]any{
		plainPool: plain, managerPool: managers, formerPool: plain, groupPool: ofGroup(groupPool),
	} {
		if err := s.cp.Client.Create(ctx, object("AgentPool", namespace, name, spec)); err != nil {
			return err
		}
	}
	if err := s.cp.Client.Status().Patch(ctx, object("AgentPool", namespace, formerPool, nil), mergePatch(`{"status":{"roles":["ROLE_MANAGER"],"memberCount":1}}`)); err != nil {
		return err
	}
	return s.cp.Client.Create(ctx, object("IdentityConfiguration", namespace, v1alpha1.DefaultName, map[string]any{
		"portal":           map[string]any{"url": "https://portal.example.test", "credentialsSecretRef": map[string]any{"name": "portal-credentials"}},
		"identityProvider": map[string]any{"type": "Okta"},
	}))
}

// ready waits until the API server knows every role binding and enforces every policy. That takes
// about a second.
func (s *fixture) ready(ctx context.Context) error {
	for _, sub := range s.subjects {
		if err := eventually(ctx, func(ctx context.Context) error { return s.granted(ctx, sub) }); err != nil {
			return fmt.Errorf("the role of %s: %w", sub.name, err)
		}
	}
	weak, webhook := s.clients["weak"], s.clients["webhook"]
	annotated := object("AgentPool", separate, newPool, plain)
	annotated.SetAnnotations(map[string]string{v1alpha1.AnnotationRequest: "x"})
	for policy, try := range map[string]func(context.Context) error{
		"directory": func(ctx context.Context) error {
			return weak.Create(ctx, object("ScimUser", separate, newUser, records()[0].spec()), client.DryRunAll)
		},
		"annotations": func(ctx context.Context) error { return weak.Create(ctx, annotated.DeepCopy(), client.DryRunAll) },
		"configuration": func(ctx context.Context) error {
			return weak.Create(ctx, object("AgentPool", separate, newPool, managers), client.DryRunAll)
		},
		"programs": func(ctx context.Context) error {
			return webhook.Create(ctx, object("AgentPool", separate, newPool, plain), client.DryRunAll)
		},
	} {
		err := eventually(ctx, func(ctx context.Context) error {
			err := try(ctx)
			if err != nil && strings.Contains(err.Error(), policy+".iam.lightrun.com") {
				return nil
			}
			return errors.Join(errors.New("not in force"), err)
		})
		if err != nil {
			return fmt.Errorf("policy %s: %w", policy, err)
		}
	}
	return nil
}

// granted checks one right that the subject's role has. Kubernetes' own view, edit and admin have
// no rights before role aggregation.
func (s *fixture) granted(ctx context.Context, sub subject) error {
	verb, resource := "get", "pods"
	switch {
	case sub.name == "webhook":
		verb, resource = "create", "scimusers"
	case sub.name == "collector" || sub.role == "cluster-admin":
		verb, resource = "patch", "scimusers"
	case sub.name == "namespace-controller":
		verb, resource = "delete", "scimusers"
	case sub.name == "manager" || sub.name == "operator" || strings.HasPrefix(sub.role, "scim-") || strings.HasPrefix(sub.role, "test-"):
		verb, resource = "get", "identityconfigurations"
	}
	group := v1alpha1.GroupVersion.Group
	if resource == "pods" {
		group = corev1.GroupName
	}
	review := &authorizationv1.SelfSubjectAccessReview{Spec: authorizationv1.SelfSubjectAccessReviewSpec{
		ResourceAttributes: &authorizationv1.ResourceAttributes{Namespace: sub.namespace, Verb: verb, Group: group, Resource: resource},
	}}
	if err := s.clients[sub.name].Create(ctx, review); err != nil {
		return err
	}
	if !review.Status.Allowed {
		return fmt.Errorf("may not %s %s: %s", verb, resource, review.Status.Reason)
	}
	return nil
}
