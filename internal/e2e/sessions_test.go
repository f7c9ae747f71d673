package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/devenv"
	"lightrun.com/scim-operator/internal/testing/session"
)

// TestSessions replays what Okta and Entra ID really send, from the connection test to the clean-up, and looks at what
// became of the people.
func TestSessions(t *testing.T) {
	tests := map[string]struct {
		people []string // user names at the end, without the tag
		gone   []string // names that nobody bears any more
	}{
		"okta":  {people: []string{"okta.", "okta2."}},
		"entra": {people: []string{"new.", "mgr.", "str."}, gone: []string{"entra."}},
	}
	for idp, tt := range tests {
		t.Run(idp, func(t *testing.T) {
			w := shared(t)
			s, err := session.Load(session.Find(idp))
			if err != nil {
				t.Fatal(err)
			}
			results, err := s.Run(t.Context(), w.env.Values.SCIMURL, w.token, session.Options{Tag: w.tag})
			if err != nil {
				t.Fatal(err)
			}
			if failures := session.Failures(results); len(failures) > 0 {
				t.Errorf("%d of %d steps failed:\n%s", len(failures), len(results), strings.Join(failures, "\n"))
			}
			for _, who := range tt.people {
				w.becomes(who+w.tag+"@example.test", "left", deactivated)
			}
			for _, who := range tt.gone {
				if users, err := w.accounts(t.Context(), who+w.tag+"@example.test"); err != nil || len(users) != 0 {
					t.Errorf("%s was renamed, and the portal still has %+v %v", who, users, err)
				}
			}
			w.nothingLeft()
		})
	}
}

// nothingLeft waits until no object of this story is in Kubernetes: finalizers have done their work, claims are free.
func (w *world) nothingLeft() {
	w.t.Helper()
	in := client.InNamespace(devenv.Namespace)
	eventually(w.t, "nothing is left in Kubernetes", func(ctx context.Context) error {
		var users v1alpha1.ScimUserList
		var pools v1alpha1.AgentPoolList
		if err := w.env.Client.List(ctx, &users, in); err != nil {
			return err
		}
		for _, u := range users.Items {
			if strings.Contains(u.Spec.UserName, w.tag) {
				return fmt.Errorf("ScimUser %s (%s) is there, finalizers %v; %s", u.Name, u.Spec.UserName, u.Finalizers, w.status(ctx, u.Spec.UserName))
			}
		}
		if err := w.env.Client.List(ctx, &pools, in); err != nil {
			return err
		}
		for _, p := range pools.Items {
			if p.Spec.IDP != nil && strings.Contains(p.Spec.IDP.DisplayName, w.tag) {
				return fmt.Errorf("AgentPool %s is there, finalizers %v, conditions %+v", p.Name, p.Finalizers, p.Status.Conditions)
			}
		}
		return nil
	})
}
