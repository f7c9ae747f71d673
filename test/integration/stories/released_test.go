// SPDX-License-Identifier: Apache-2.0

package stories_test

import (
	"strconv"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/kernel/portalapi"
	"lightrun.com/scim-operator/internal/operator/decide/provision"
)

// restoreWindow opens or closes the restore window.
func (w *world) restoreWindow(open bool) {
	w.t.Helper()
	value := `null`
	if open {
		value = `"restorer"`
	}
	patch := []byte(`{"metadata":{"annotations":{"` + v1alpha1.AnnotationRestore + `":` + value + `}}}`)
	ns := &corev1.Namespace{ObjectMeta: metav1Name("", w.namespace)}
	w.must(w.client.Patch(w.t.Context(), ns, client.RawPatch(types.MergePatchType, patch)))
}

// TestOlderBackupOfADeletedUser: the provider deletes ada after the backup. She is a manager by a
// line in spec.members and by a group.
func TestOlderBackupOfADeletedUser(t *testing.T) {
	for name, tc := range map[string]struct {
		reason   string
		onDelete v1alpha1.UserDeletion
		push     bool // the provider pushes the user again, instead of a person who accepts the backup
		left     portalapi.Status
	}{
		"Deactivate":       {"The deactivated account is not adopted.", v1alpha1.UserDeactivate, false, portalapi.StatusDeactivated},
		"DeactivatePushed": {"The deactivated account is not adopted until the provider pushes the user again.", v1alpha1.UserDeactivate, true, portalapi.StatusDeactivated},
		"Delete":           {"No new account is created.", v1alpha1.UserDelete, false, ""},
		"Orphan":           {"The local account is not adopted, also while local accounts are.", v1alpha1.UserOrphan, false, portalapi.StatusActive},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, wideGuard,
				withConfig(func(s *v1alpha1.IdentityConfigurationSpec) { s.OnDelete = tc.onDelete }),
				withLogin(func(m *portalapi.LoginMethods) { m.ProvisionExistingUsers = tc.onDelete == v1alpha1.UserOrphan }))
			w.pool("leads", v1alpha1.AgentPoolSpec{Roles: []v1alpha1.Role{manager}, Members: []v1alpha1.PoolMember{{UserName: "ada@example.test"}}})
			ada := w.push("ada@example.test", in("ops"))
			w.provisioned(ada, user, manager)
			backup := &v1alpha1.ScimUser{ObjectMeta: metav1Name(w.namespace, ada.Name), Spec: *ada.Spec.DeepCopy()}
			w.remove(ada)
			w.gone(ada)
			w.eventually("the account was released", func() error { return w.free("ada@example.test") })

			w.restoreWindow(true)
			w.create(backup)
			w.says(backup, v1alpha1.ConditionReady, v1alpha1.ReasonBackupOlder)
			if s := step(w.preview(false), "ada@example.test"); s.Action != string(provision.Wait) || s.Reason != v1alpha1.ReasonBackupOlder {
				t.Errorf("the plan has %+v", s)
			}
			w.restoreWindow(false)
			t.Log("a restart of the manager changes nothing: the portal lists who was released")
			w.stop()
			w.startManager()
			bob := w.push("bob@example.test")
			w.provisioned(bob, user) // then the restarted manager has done its first passes
			w.says(backup, v1alpha1.ConditionOwned, v1alpha1.ReasonBackupOlder)
			switch a := w.account("ada@example.test"); {
			case tc.left == "" && a != nil, tc.left != "" && (a == nil || a.Status != tc.left || a.Owner.UID != ""):
				t.Errorf("%s The account is %+v", tc.reason, a)
			}
			if roles := roleNames(backup); len(roles) > 0 {
				t.Errorf("the status has the roles %v", roles)
			}

			if tc.push {
				w.change(backup, func(*v1alpha1.ScimUserSpec) {}) // the same attributes
			} else {
				released := w.releasedAt(backup.Name)
				w.annotate(backup, v1alpha1.AnnotationAcceptBackup, strconv.FormatInt(released, 10))
			}
			w.says(backup, v1alpha1.ConditionReady, v1alpha1.ReasonReady)
			w.is("ada@example.test", portalapi.StatusActive)
			if released := w.releasedAt(backup.Name); released != 0 {
				t.Errorf("the portal still lists the user as released at %d", released)
			}
		})
	}
}

// releasedAt returns the revision at which the portal says that the user was released, or 0.
func (w *world) releasedAt(id string) int64 {
	w.t.Helper()
	all, _, err := w.store.Released(w.t.Context(), "", 1000)
	w.must(err)
	for _, o := range all {
		if o.Name == id {
			return o.Revision
		}
	}
	return 0
}
