// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/controller-runtime/pkg/client"

	portalv1 "lightrun.com/scim-operator/api/portal/v1"
	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/test/framework/devenv"
	"lightrun.com/scim-operator/test/framework/session"
)

// TestSessions replays recorded provider sessions, from the connection test to the clean-up, and
// checks the users in the portal: each has an account before the deletion, which is
// deactivated after it.
func TestSessions(t *testing.T) {
	tests := map[string]struct {
		people []string // final user names of the deleted users, without the tag
		gone   []string // names that no user has at the end
	}{
		"okta":      {people: []string{"okta.", "okta2."}},
		"entra":     {people: []string{"new.", "mgr.", "str."}, gone: []string{"entra."}},
		"onelogin":  {people: []string{"onelogin."}},
		"jumpcloud": {people: []string{"jumpcloud-test.", "jumpcloud."}},
		"ping":      {people: []string{"ping."}},
		"google":    {people: []string{"google."}},
		"authentik": {people: []string{"authentik.", "authentik2."}},
	}
	for idp, tt := range tests {
		t.Run(idp, func(t *testing.T) {
			w := shared(t)
			var deleted []string
			for _, who := range w.replay(idp) {
				deleted = append(deleted, strings.TrimSuffix(who, w.tag+"@example.test"))
				w.becomes(who, "left", deactivated)
			}
			slices.Sort(deleted)
			if want := slices.Sorted(slices.Values(tt.people)); !slices.Equal(deleted, want) {
				t.Errorf("deleted were %v, must be %v", deleted, want)
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

// replay replays a provider's session and returns the user names of the users that it deletes, each
// of which the portal must have before.
func (w *world) replay(idp string) (deleted []string) {
	w.t.Helper()
	s, err := session.Load(session.Find(idp))
	if err != nil {
		w.t.Fatal(err)
	}
	vars := map[string]string{}
	results, err := s.Run(w.t.Context(), w.env.Values.SCIMURL, w.token, session.Options{Tag: w.tag, Vars: vars, Before: func(_ int, step session.Step) {
		name, ok := strings.CutPrefix(step.Path, "/Users/${")
		if step.Method != http.MethodDelete || !ok {
			return
		}
		var u v1alpha1.ScimUser
		key := client.ObjectKey{Namespace: devenv.Namespace, Name: vars[strings.TrimSuffix(name, "}")]}
		if err := w.env.Client.Get(w.t.Context(), key, &u); err != nil || u.Spec.Deleted || u.DeletionTimestamp != nil {
			return // a repetition
		}
		w.becomes(u.Spec.UserName, "exists before the deletion", func(portalv1.User) bool { return true })
		deleted = append(deleted, u.Spec.UserName)
	}})
	if err != nil {
		w.t.Fatal(err)
	}
	if failures := session.Failures(results); len(failures) > 0 {
		w.t.Errorf("%d of %d steps failed:\n%s", len(failures), len(results), strings.Join(failures, "\n"))
	}
	return deleted
}

// nothingLeft waits until Kubernetes contains no object of this story: the manager has finished
// the deleted users and groups.
func (w *world) nothingLeft() {
	w.t.Helper()
	in := client.InNamespace(devenv.Namespace)
	eventually(w.t, "no object remains in Kubernetes", func(ctx context.Context) error {
		var users v1alpha1.ScimUserList
		var groups v1alpha1.ScimGroupList
		var parts v1alpha1.ScimGroupSliceList
		var pools v1alpha1.AgentPoolList
		if err := w.env.Client.List(ctx, &users, in); err != nil {
			return err
		}
		for _, u := range users.Items {
			if strings.Contains(u.Spec.UserName, w.tag) {
				return fmt.Errorf("ScimUser %s (%s) still exists, finalizers %v; %s", u.Name, u.Spec.UserName, u.Finalizers, w.status(ctx, u.Spec.UserName))
			}
		}
		if err := errors.Join(w.env.Client.List(ctx, &groups, in), w.env.Client.List(ctx, &parts, in), w.env.Client.List(ctx, &pools, in)); err != nil {
			return err
		}
		there := map[string]bool{}
		for _, g := range groups.Items {
			if there[g.Name] = true; strings.Contains(g.Spec.DisplayName, w.tag) {
				return fmt.Errorf("ScimGroup %s (%s) still exists: %+v", g.Name, g.Spec.DisplayName, g.Status.Conditions)
			}
		}
		for _, s := range parts.Items {
			if !there[s.Labels[v1alpha1.LabelGroup]] {
				return fmt.Errorf("ScimGroupSlice %s remains of a group that is gone", s.Name)
			}
		}
		for _, p := range pools.Items {
			if own := p.OwnPoolOf(); own != "" && !there[own] {
				return fmt.Errorf("AgentPool %s remains of a group that is gone, finalizers %v, conditions %+v", p.Name, p.Finalizers, p.Status.Conditions)
			}
		}
		return nil
	})
}
