// SPDX-License-Identifier: Apache-2.0

package onepass

import (
	"context"
	"errors"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/kernel/groupslice"
	"lightrun.com/scim-operator/internal/kernel/portalapi"
	"lightrun.com/scim-operator/test/framework/fakeportal"
	"lightrun.com/scim-operator/test/framework/kubefake"
)

// User is a user at revision 1, who is named name@example.test.
func User(name string) *v1alpha1.ScimUser {
	return &v1alpha1.ScimUser{
		ObjectMeta: metav1.ObjectMeta{Name: kubefake.SCIMID(name)},
		Spec:       v1alpha1.ScimUserSpec{UserName: name + "@example.test", DisplayName: name, Revision: 1},
	}
}

// Group is a group at revision 1.
func Group(name string) *v1alpha1.ScimGroup {
	return &v1alpha1.ScimGroup{
		ObjectMeta: metav1.ObjectMeta{Name: kubefake.SCIMID(name)},
		Spec:       v1alpha1.ScimGroupSpec{DisplayName: name, Revision: 1},
	}
}

// Members are the members of a group, in one slice.
func Members(group string, users ...string) *v1alpha1.ScimGroupSlice {
	id := kubefake.SCIMID(group)
	s := &v1alpha1.ScimGroupSlice{
		ObjectMeta: metav1.ObjectMeta{Name: groupslice.Name(id, 0), Labels: map[string]string{v1alpha1.LabelGroup: id}},
		Spec:       v1alpha1.ScimGroupSliceSpec{Epoch: 1, Revision: 1},
	}
	var ids []string
	for _, u := range users {
		ids = append(ids, kubefake.SCIMID(u))
	}
	s.Spec.SetMembers(ids)
	return s
}

// Pool is an AgentPool that gives its members roles.
func Pool(name string, roles ...v1alpha1.Role) *v1alpha1.AgentPool {
	return &v1alpha1.AgentPool{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: v1alpha1.AgentPoolSpec{Roles: roles}}
}

// Account makes the account that the user of that name had at revision 1, in those pools of the
// portal.
func (w *World) Account(name string, pools ...string) *portalapi.Account {
	w.T.Helper()
	id := kubefake.SCIMID(name)
	a, err := w.Portal.PutAccount(w.T.Context(), portalapi.AccountWrite{
		Owner: portalapi.Owner{UID: "uid-" + id, Name: id, Revision: 1}, UserName: name + "@example.test", DisplayName: name, Active: true, Pools: pools,
	})
	w.Must(err)
	return a
}

// Record makes the portal's pool of the AgentPool of that name, and returns its id.
func (w *World) Record(name string, roles ...string) string {
	w.T.Helper()
	p, err := w.Portal.PutPool(w.T.Context(), portalapi.PoolWrite{Owner: portalapi.Owner{UID: "uid-" + name, Name: name, Revision: 1}, Name: name, Roles: roles})
	w.Must(err)
	return p.ID
}

// SCIMOff turns SCIM off in the portal.
func (w *World) SCIMOff() { w.Portal.SCIMOff(w.T) }

// Refuse fails each write to the portal.
func (w *World) Refuse(err error) {
	w.Before(func(_ context.Context, c fakeportal.Call) error {
		if c.Write {
			return err
		}
		return nil
	})
}

// Hang lets no listing of the portal's state end until the returned function is called, or the call
// is cancelled.
func (w *World) Hang() (end func()) {
	ended := make(chan struct{})
	w.Before(func(ctx context.Context, c fakeportal.Call) error {
		if c.Method != "Accounts" {
			return nil
		}
		select {
		case <-ended:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	})
	return sync.OnceFunc(func() { close(ended) })
}

// Opening opens the session with a portal that does not answer.
func (w *World) Opening() {
	w.Hang()
	w.Parts.Session.Open(w.T.Context(), "key", w.Portal, &v1alpha1.IdentityConfigurationSpec{})
}

// Ending marks the namespace as being deleted.
func (w *World) Ending() {
	w.T.Helper()
	w.Must(w.Kube.Delete(w.T.Context(), namespace()))
}

// Conflict fails each write to the API server as if another client had written.
func (w *World) Conflict() {
	w.Write = func(string, client.Object) error {
		return apierrors.NewConflict(schema.GroupResource{}, "it", errors.New("written"))
	}
}

// NoBudget leaves no budget for removals.
func NoBudget(s *v1alpha1.IdentityConfigurationSpec) {
	none := int32(0)
	s.DeprovisioningGuard = v1alpha1.DeprovisioningGuard{MinUsers: &none, MaxPercent: &none}
}

// ReportOnly sets the policy.
func ReportOnly(s *v1alpha1.IdentityConfigurationSpec) {
	s.ManagementPolicy = v1alpha1.PolicyReportOnly
}

// Invalid is a refusal without a known remedy.
func Invalid() error {
	return &portalapi.Error{Status: 400, Code: portalapi.CodeInvalid, Message: "no"}
}

// Meta names an object of the company.
func Meta(name string) metav1.ObjectMeta { return metav1.ObjectMeta{Namespace: Namespace, Name: name} }
