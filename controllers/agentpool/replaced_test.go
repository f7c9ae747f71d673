// SPDX-License-Identifier: Apache-2.0

package agentpool_test

import (
	"testing"
	"time"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/kernel/portalapi"
	"lightrun.com/scim-operator/test/framework/kubefake"
	"lightrun.com/scim-operator/test/framework/onepass"
)

// TestHeldReplacedPool: what the guard holds of a replaced pool is released without a decision once
// nothing is lost any more.
func TestHeldReplacedPool(t *testing.T) {
	group := kubefake.SCIMID("group")
	w := onepass.New(t)
	own := w.Record(group)
	w.Record("leads")
	w.Put(onepass.Group("group"), onepass.Members("group", "ada"), onepass.User("ada"))
	w.Account("ada", own)
	declared := with(onepass.Pool("leads"), func(p *v1alpha1.AgentPool) {
		p.Spec.Groups = []v1alpha1.GroupReference{{ID: group}}
	})
	w.Put(declared, with(onepass.Pool(group), func(p *v1alpha1.AgentPool) {
		p.Spec.Groups = []v1alpha1.GroupReference{{ID: group}}
	}))
	w.Open(onepass.NoBudget)
	pool := &v1alpha1.AgentPool{ObjectMeta: onepass.Meta(group)}
	w.Must(w.Kube.Delete(t.Context(), pool.DeepCopy()))
	w.Check("A member who is in no pool that replaces it would lose it.", w.Parts.Pools.Reconcile, pool, &pool.Status.Conditions,
		onepass.Want{Calls: "MarkPool", Ready: "False GuardHeld", Says: "1 user(s) would lose", Also: "DeprovisioningHeld", Events: "GuardHeld", Again: 10 * time.Second})
	w.Settle(w.Parts.Pools.Reconcile, declared) // ada joins
	w.Check("Once the member is in that pool, nothing is lost.", w.Parts.Pools.Reconcile, pool, &pool.Status.Conditions, onepass.Want{Calls: "ReleasePool", Gone: true})
}

func account(name string, pools ...string) *portalapi.Account {
	return &portalapi.Account{ID: name, UserName: name, Status: portalapi.StatusActive, Owner: portalapi.Owner{UID: "uid-" + name, Name: name}, Pools: pools, Revision: 1}
}
