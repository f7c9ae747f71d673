// SPDX-License-Identifier: Apache-2.0

package main

import (
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/test/framework/kubefake"
)

// TestDecisionAfterAnotherWrite: another client writes the object between the command's read and
// the patch.
func TestDecisionAfterAnotherWrite(t *testing.T) {
	for name, tc := range map[string]struct {
		reason    string
		meanwhile func(client.Client, *v1alpha1.AgentPool) error
		refused   bool
		has       map[string]string
	}{
		"Written": {
			reason: "the decision names its set by id, so it is about the new state too",
			meanwhile: func(c client.Client, p *v1alpha1.AgentPool) error {
				p.Annotations = map[string]string{"team": "a", v1alpha1.AnnotationRelease: "9c", v1alpha1.AnnotationDecidedBy: "bob"}
				return c.Update(t.Context(), p)
			},
			has: map[string]string{"team": "a", v1alpha1.AnnotationDrop: "4f", v1alpha1.AnnotationDecidedBy: "ada"},
		},
		"Recreated": {
			reason: "the decision was about the former object",
			meanwhile: func(c client.Client, p *v1alpha1.AgentPool) error {
				if err := c.Delete(t.Context(), p); err != nil {
					return err
				}
				return c.Create(t.Context(), &v1alpha1.AgentPool{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "payments", UID: "second"}, Spec: v1alpha1.AgentPoolSpec{DisplayName: "Payments"}})
			},
			refused: true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			scheme := runtime.NewScheme()
			if err := v1alpha1.AddToScheme(scheme); err != nil {
				t.Fatal(err)
			}
			inner := kubefake.New(t, scheme, &v1alpha1.AgentPool{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "payments", UID: "first"}, Spec: v1alpha1.AgentPoolSpec{DisplayName: "Payments"}})
			current := func() *v1alpha1.AgentPool {
				p := &v1alpha1.AgentPool{}
				if err := inner.Get(t.Context(), client.ObjectKey{Namespace: namespace, Name: "payments"}, p); err != nil {
					t.Fatal(err)
				}
				return p
			}
			patches := 0
			c := kubefake.Around(inner, func(verb string, o client.Object, do func() error) error {
				if review, ok := o.(*authenticationv1.SelfSubjectReview); ok {
					review.Status.UserInfo.Username = "ada"
					return nil
				}
				if verb == "patch" {
					if patches++; patches == 1 {
						if err := tc.meanwhile(inner, current()); err != nil {
							t.Fatal(err)
						}
					}
				}
				return do()
			})
			err := annotate(t.Context(), c, current(), v1alpha1.AnnotationDrop, "4f")
			if (err != nil) != tc.refused {
				t.Fatalf("%s: %v", tc.reason, err)
			}
			has := current().Annotations
			if len(has) != len(tc.has) {
				t.Errorf("%s: annotations %v, want %v", tc.reason, has, tc.has)
			}
			for k, v := range tc.has {
				if has[k] != v {
					t.Errorf("%s: %s is %q, want %q", tc.reason, k, has[k], v)
				}
			}
		})
	}
}
