// SPDX-License-Identifier: Apache-2.0

package scimgroup

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/kernel/portalapi"
	"lightrun.com/scim-operator/internal/operator/groupindex"
	"lightrun.com/scim-operator/internal/operator/portalclient/mirror"
)

const id = "6f9619ff-8b86-4011-b42d-00c04fc964ff"

func TestDecide(t *testing.T) {
	declared := func(edit ...func(*v1alpha1.AgentPool)) v1alpha1.AgentPool {
		p := v1alpha1.AgentPool{ObjectMeta: metav1.ObjectMeta{Name: "payments", UID: "uid-payments"}}
		p.Spec.Groups = []v1alpha1.GroupReference{{DisplayName: "payments"}}
		for _, f := range edit {
			f(&p)
		}
		return p
	}
	pinned := func(p *v1alpha1.AgentPool) {
		p.Status.Groups = []v1alpha1.PinnedGroup{{GroupReference: p.Spec.Groups[0], Group: id}}
	}
	own := NewPool("company", id)
	own.UID = "uid-own"
	extended := own.DeepCopy()
	extended.Spec.Roles = []v1alpha1.Role{portalapi.RoleIgnoreQuota}
	recorded := own.DeepCopy()
	recorded.Status.Pool = "a"
	adopting := func(record string) func(*v1alpha1.AgentPool) {
		return func(p *v1alpha1.AgentPool) { p.Spec.Adopt = record }
	}
	for name, c := range map[string]struct {
		reason  string
		own     *v1alpha1.AgentPool
		pools   []v1alpha1.AgentPool
		records []types.UID // the owners of the portal's pools a, b, …
		unknown bool        // true while the portal's state is not known
		want    decision
	}{
		"Unnamed":      {reason: "A group that no pool names gets its own pool.", want: create},
		"Named":        {reason: "A group that a line of a declared pool matches gets no own pool, also before the line is resolved.", pools: []v1alpha1.AgentPool{declared()}, want: keep},
		"Exists":       {reason: "An own pool that exists stays while no declared pool names the group.", own: own, records: []types.UID{"uid-own"}, want: keep},
		"NotYetPinned": {reason: "A declared pool whose line is not resolved does not replace the own pool.", own: own, pools: []v1alpha1.AgentPool{declared()}, records: []types.UID{"uid-own"}, want: keep},
		"WillTakeOver": {reason: "A declared pool that has not yet taken over the record of the own pool does not replace it.", own: own, pools: []v1alpha1.AgentPool{declared(pinned)}, records: []types.UID{"uid-own"}, want: keep},
		"TakenOver":    {reason: "A declared pool that has taken over the record of the own pool replaces it.", own: own, pools: []v1alpha1.AgentPool{declared(pinned)}, records: []types.UID{"uid-payments"}, want: remove},
		"OtherRecord": {
			reason: "A declared pool that has another record takes nothing over: it replaces the own pool.",
			own:    own, pools: []v1alpha1.AgentPool{declared(pinned)}, records: []types.UID{"uid-own", "uid-payments"}, want: remove,
		},
		"Adopting": {
			reason: "A declared pool that is to adopt another record does not replace the own pool before it has that record.",
			own:    own, pools: []v1alpha1.AgentPool{declared(pinned, adopting("z"))}, records: []types.UID{"uid-own"}, want: keep,
		},
		"Adopted": {
			reason: "A declared pool that has adopted another record replaces the own pool.",
			own:    own, pools: []v1alpha1.AgentPool{declared(pinned, adopting("b"))}, records: []types.UID{"uid-own", "uid-payments"}, want: remove,
		},
		"Unknown":  {reason: "An own pool is not removed while the portal's state is not known.", own: own, pools: []v1alpha1.AgentPool{declared(pinned)}, unknown: true, want: keep},
		"Extended": {reason: "An own pool that an administrator has edited is a declared pool and stays.", own: extended, pools: []v1alpha1.AgentPool{declared(pinned)}, records: []types.UID{"uid-payments"}, want: keep},
		"RecordOfAnother": {
			reason: "An own pool whose record belongs to another AgentPool is removed, also if no declared pool names the group.",
			own:    recorded, records: []types.UID{"uid-other"}, want: remove,
		},
		"NewWithoutRecord": {
			reason: "The own pool that is created after that has no record yet. It stays, although the former record belongs to another AgentPool.",
			own:    own, records: []types.UID{"uid-other"}, want: keep,
		},
	} {
		t.Run(name, func(t *testing.T) {
			x := groupindex.New()
			x.Put(&v1alpha1.ScimGroup{ObjectMeta: metav1.ObjectMeta{Name: id}, Spec: v1alpha1.ScimGroupSpec{DisplayName: "Payments"}})
			g, _ := x.Group(id)
			m := mirror.New(func(mirror.Event) {})
			for i, uid := range c.records {
				m.PutPool(&portalapi.Pool{ID: string(rune('a' + i)), Name: string(uid), Owner: portalapi.Owner{UID: string(uid)}})
			}
			if c.unknown {
				m = nil
			}
			pools := c.pools
			if c.own != nil {
				pools = append(pools, *c.own)
			}
			if got, _ := decide(g, c.own, pools, x, m); got != c.want {
				t.Errorf("got %s, want %s: %s", got, c.want, c.reason)
			}
		})
	}
}
