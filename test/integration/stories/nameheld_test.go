// SPDX-License-Identifier: Apache-2.0

package stories_test

import (
	"errors"
	"strings"
	"testing"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/kernel/conditions"
)

// While the deletion of a manager is held, the same user name is pushed again: one mark, one id,
// and no user has a role because of the name.
func TestUserNamePushedAgainWhileItsDeletionIsHeld(t *testing.T) {
	for name, tc := range map[string]struct {
		reason  string
		decided string // the annotation
	}{
		"Released": {"The new user gets an account without the roles of the old one.", v1alpha1.AnnotationRelease},
		"Dropped":  {"The old user keeps the account, and is restored once the new user is deleted.", v1alpha1.AnnotationDrop},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, noBudget)
			w.pool("leads", v1alpha1.AgentPoolSpec{Roles: []v1alpha1.Role{manager}})
			ada := w.push("ada@example.test", in("leads"))
			w.provisioned(ada, user, manager)
			w.remove(ada)
			id := w.decision(ada)
			again := w.push("ada@example.test")
			w.says(again, v1alpha1.ConditionReady, v1alpha1.ReasonNameHeld)
			c := conditions.Find(again.Status.Conditions, v1alpha1.ConditionReady)
			if !strings.Contains(c.Message, "kubectl scim release scimuser/"+ada.Name+" --id "+id) {
				t.Errorf("%s It says %q", tc.reason, c.Message)
			}
			if m := w.account("ada@example.test").Mark; m == nil || m.Decision != id || m.At != ada.Name || again.Status.Held != nil {
				t.Errorf("the mark is %+v, the new user holds %+v", m, again.Status.Held)
			}
			w.annotate(ada, tc.decided, id)
			if tc.decided == v1alpha1.AnnotationRelease {
				w.gone(ada)
				w.provisioned(again, user)
				return
			}
			w.says(ada, v1alpha1.ConditionReady, v1alpha1.ReasonRemovalDropped)
			w.eventually("the new user says that the old one keeps the name", func() error {
				w.must(w.client.Get(t.Context(), keyOf(again), again))
				if c := conditions.Find(again.Status.Conditions, v1alpha1.ConditionReady); c.Reason != v1alpha1.ReasonNameHeld || !strings.Contains(c.Message, "dropped") {
					return errors.New(describe(again.Status.Conditions))
				}
				return nil
			})
			w.hasRoles("ada@example.test", user, manager)
			w.remove(again)
			w.gone(again)
			w.provisioned(ada, user, manager)
		})
	}
}
