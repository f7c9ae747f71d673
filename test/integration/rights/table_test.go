// SPDX-License-Identifier: Apache-2.0

package rights

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"lightrun.com/scim-operator/api/v1alpha1"
)

// operation is one line of the table.
type operation struct {
	name, reason string
	do           func(context.Context, client.Client, subject) error
	may          []string // the subjects that may do it; all others are refused
	says         string   // matches a policy's refusal after RBAC permits the request; empty if only RBAC refuses
}

// Groups of subjects, for the column may.
const (
	wildcards = "wildcard wildcard-in-foreign-window wildcard-in-window"
	programs  = "webhook manager operator"
	restoring = "restorer wildcard-in-window"
	clean     = "collector namespace-controller" // Kubernetes' own controllers, which the policies exempt
)

// who splits lists of subjects into their names.
func who(names ...string) []string { return strings.Fields(strings.Join(names, " ")) }

func TestRights(t *testing.T) {
	s := sharedFixture(t)
	for _, r := range records() {
		s.run(t, r.kind, r.operations())
	}
	s.run(t, "NameClaim", claims())
	s.run(t, "AgentPool", pools())
	s.run(t, "IdentityConfiguration", configurations())
}

func (s *fixture) run(t *testing.T, kind string, table []operation) {
	t.Helper()
	for _, op := range table {
		t.Run(kind+"/"+op.name, func(t *testing.T) {
			t.Parallel()
			for _, name := range op.may {
				if _, known := s.clients[name]; !known {
					t.Errorf("the table names %q, which is not a subject", name)
				}
			}
			refused := false
			for _, sub := range s.subjects {
				refused = s.try(t, op, sub) || refused
			}
			if op.says != "" && !refused {
				t.Errorf("no policy refused a subject, must say %q", op.says)
			}
		})
	}
}

// try performs the operation as one subject and reports whether a policy refused it.
func (s *fixture) try(t *testing.T, op operation, sub subject) bool {
	t.Helper()
	err := op.do(t.Context(), s.clients[sub.name], sub)
	may := slices.Contains(op.may, sub.name)
	switch {
	case may && err != nil:
		t.Errorf("%s is refused: %v\n%s", sub.name, err, op.reason)
	case !may && !isRefused(err):
		t.Errorf("%s gets %v, must be forbidden\n%s", sub.name, err, op.reason)
	case !may && strings.Contains(err.Error(), "ValidatingAdmissionPolicy"):
		if op.says == "" || !regexp.MustCompile(op.says).MatchString(err.Error()) {
			t.Errorf("%s is refused with\n  %v\nmust say\n  %s", sub.name, err, op.says)
		}
		return true
	}
	return false
}

func mergePatch(format string, args ...any) client.Patch {
	return client.RawPatch(types.MergePatchType, fmt.Appendf(nil, format, args...))
}

type do = func(context.Context, client.Client, subject) error

func create(kind, name string, spec map[string]any, annotations map[string]string) do {
	return func(ctx context.Context, c client.Client, sub subject) error {
		u := object(kind, sub.namespace, name, spec)
		u.SetAnnotations(annotations)
		return c.Create(ctx, u.DeepCopy(), client.DryRunAll)
	}
}

// change sends a merge patch. It replaces USER in the patch by the subject's user name.
func change(kind, name, patch string) do {
	return func(ctx context.Context, c client.Client, sub subject) error {
		return c.Patch(ctx, object(kind, sub.namespace, name, nil), mergePatch("%s", strings.ReplaceAll(patch, "USER", sub.userName())), client.DryRunAll)
	}
}

// replace sends a PUT, as kubectl replace does.
func replace(kind, name string, spec map[string]any) do {
	return func(ctx context.Context, c client.Client, sub subject) error {
		u := object(kind, sub.namespace, name, nil)
		if err := c.Get(ctx, client.ObjectKeyFromObject(u), u); err != nil {
			return err
		}
		u.Object["spec"] = spec
		return c.Update(ctx, u, client.DryRunAll)
	}
}

func remove(kind, name string) do {
	return func(ctx context.Context, c client.Client, sub subject) error {
		return c.Delete(ctx, object(kind, sub.namespace, name, nil), client.DryRunAll)
	}
}

func removeAll(kind string) do {
	return func(ctx context.Context, c client.Client, sub subject) error {
		return c.DeleteAllOf(ctx, object(kind, "", "", nil), client.InNamespace(sub.namespace), client.DryRunAll)
	}
}

func status(kind, name, patch string) do {
	return func(ctx context.Context, c client.Client, sub subject) error {
		return c.Status().Patch(ctx, object(kind, sub.namespace, name, nil), mergePatch("%s", patch), client.DryRunAll)
	}
}

func read(kind, name string) do {
	return func(ctx context.Context, c client.Client, sub subject) error {
		return c.Get(ctx, client.ObjectKey{Namespace: sub.namespace, Name: name}, object(kind, sub.namespace, name, nil))
	}
}

// Patches that every kind takes.
const (
	labels          = `{"metadata":{"labels":{"team":"a"}}}`
	finalizers      = `{"metadata":{"finalizers":["example.com/kept"]}}`
	ownerReferences = `{"metadata":{"ownerReferences":[{"apiVersion":"v1","kind":"ConfigMap","name":"gone","uid":"00000000-0000-4000-8000-0000000000ff"}]}}`
	otherAnnotation = `{"metadata":{"annotations":{"example.com/note":"x"}}}`
	requestID       = `{"metadata":{"annotations":{"` + v1alpha1.AnnotationRequest + `":"1/x"}}}`
	unknownOfOurs   = `{"metadata":{"annotations":{"iam.lightrun.com/last-modified":"2026-01-01T00:00:00Z"}}}`

	ownDecision      = `{"metadata":{"annotations":{"` + v1alpha1.AnnotationRelease + `":"1","` + v1alpha1.AnnotationDecidedBy + `":"USER"}}}`
	foreignDecision  = `{"metadata":{"annotations":{"` + v1alpha1.AnnotationRelease + `":"1","` + v1alpha1.AnnotationDecidedBy + `":"boss@example.test"}}}`
	unsignedDecision = `{"metadata":{"annotations":{"` + v1alpha1.AnnotationRelease + `":"1"}}}`
	otherWay         = `{"metadata":{"annotations":{"` + v1alpha1.AnnotationRelease + `":"1","` + v1alpha1.AnnotationDrop + `":null,"` + v1alpha1.AnnotationDecidedBy + `":"USER"}}}`
	takenBack        = `{"metadata":{"annotations":{"` + v1alpha1.AnnotationDrop + `":null,"` + v1alpha1.AnnotationDecidedBy + `":null}}}`
	usurped          = `{"metadata":{"annotations":{"` + v1alpha1.AnnotationDecidedBy + `":"USER"}}}`
)
