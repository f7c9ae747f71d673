// SPDX-License-Identifier: Apache-2.0

package poolplan_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/kernel/claims"
	"lightrun.com/scim-operator/internal/kernel/portalapi"
	"lightrun.com/scim-operator/internal/operator/groupindex"
	"lightrun.com/scim-operator/internal/operator/poolindex"
	"lightrun.com/scim-operator/internal/operator/poolplan"
	"lightrun.com/scim-operator/internal/operator/portalclient/mirror"
	"lightrun.com/scim-operator/test/framework/kubefake"
)

// TestMemberChangesAfterARestore has one account in a pool that nothing puts it in. What becomes of
// it follows from whose it is.
func TestMemberChangesAfterARestore(t *testing.T) {
	const namespace = "company"
	id := kubefake.SCIMID("ada")
	for name, tc := range map[string]struct {
		reason string
		owner  portalapi.Owner
		edit   func(*v1alpha1.ScimUserSpec)
		leaves bool
		later  int
	}{
		"Owned":         {"A user who is not wanted in the pool leaves it.", portalapi.Owner{UID: "uid", Name: id, Binding: "b", Revision: 2}, nil, true, 0},
		"Restored":      {"A user who has not adopted the account yet leaves the pool too: otherwise a decision about the user would be lost.", portalapi.Owner{UID: "before", Name: id, Binding: "b", Revision: 2}, nil, true, 0},
		"OlderBackup":   {"A user from an older backup neither joins nor leaves.", portalapi.Owner{UID: "before", Name: id, Binding: "b", Revision: 3}, nil, false, 0},
		"OtherOperator": {"The account of another operator's user does not leave the pool.", portalapi.Owner{UID: "before", Name: id, Binding: "other", Revision: 2}, nil, false, 0},
		"Suspended": {"The account of a suspended user is not written, but the user still counts as leaving.",
			portalapi.Owner{UID: "uid", Name: id, Binding: "b", Revision: 2}, func(s *v1alpha1.ScimUserSpec) { s.Suspend = true }, false, 1},
		"PushedAgain": {"The account of a lost user does not leave if the provider pushed the user again under another id: that one adopts it.",
			portalapi.Owner{UID: "before", Name: "another id", Binding: "b", Revision: 2}, nil, false, 1},
	} {
		t.Run(name, func(t *testing.T) {
			u := &v1alpha1.ScimUser{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: id, UID: "uid"}, Spec: v1alpha1.ScimUserSpec{UserName: "ada@example.test", Revision: 2}}
			if tc.edit != nil {
				tc.edit(&u.Spec)
			}
			pool := &v1alpha1.AgentPool{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "ops", UID: types.UID("pool")}}
			scheme := runtime.NewScheme()
			if err := v1alpha1.AddToScheme(scheme); err != nil {
				t.Fatal(err)
			}
			claim := &v1alpha1.NameClaim{
				ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: claims.ObjectName(v1alpha1.ClaimUser, u.Spec.UserName)},
				Spec:       v1alpha1.NameClaimSpec{Type: v1alpha1.ClaimUser, Holder: v1alpha1.ClaimHolder{Name: u.Name, UID: string(u.UID)}},
			}
			var c client.Client = kubefake.New(t, scheme, u, pool, claim)
			m := mirror.New(func(mirror.Event) {})
			m.PutConfiguration(&portalapi.Configuration{Binding: &portalapi.Binding{ID: "b"}})
			own := &portalapi.Pool{ID: "1", Name: "ops", Owner: portalapi.Owner{UID: "pool", Name: "ops", Binding: "b"}, Revision: 1}
			m.PutPool(own)
			m.PutAccount(&portalapi.Account{ID: "a", UserName: "ada@example.test", Status: portalapi.StatusActive, Owner: tc.owner, Pools: []string{"1"}, Revision: 1})
			groups := groupindex.New()
			snapshot, err := poolindex.New(c, namespace, groups).Snapshot(t.Context(), m)
			if err != nil {
				t.Fatal(err)
			}
			got, ok, err := poolplan.MemberChanges(t.Context(), pool, own, poolplan.MemberFacts{
				Users: c, Groups: groups, Mirror: m, Snapshot: snapshot,
			})
			if err != nil || !ok {
				t.Fatal(ok, err)
			}
			want := poolplan.Changes{Later: tc.later}
			if tc.leaves {
				want.Leave = []*portalapi.Account{m.NamedAccount("ada@example.test")}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.reason, diff)
			}
		})
	}
}
