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
	for name, c := range map[string]struct {
		reason  string
		own     *v1alpha1.AgentPool
		pools   []v1alpha1.AgentPool
		records []types.UID // AgentPools that have a pool in the portal
		unknown bool        // the portal's state
		want    what
	}{
		"Unnamed":      {reason: "A group that no pool names has one of its own.", want: create},
		"Named":        {reason: "A line that matches is enough: its pool resolves it in a moment.", pools: []v1alpha1.AgentPool{declared()}, want: keep},
		"There":        {reason: "It is there already.", own: own, records: []types.UID{"uid-own"}, want: keep},
		"NotYetPinned": {reason: "No pool fills its place yet.", own: own, pools: []v1alpha1.AgentPool{declared()}, records: []types.UID{"uid-own"}, want: keep},
		"Successor":    {reason: "The pool that is to take over has not yet.", own: own, pools: []v1alpha1.AgentPool{declared(pinned)}, records: []types.UID{"uid-own"}, want: keep},
		"TakenOver":    {reason: "What it had in the portal is the other pool's.", own: own, pools: []v1alpha1.AgentPool{declared(pinned)}, records: []types.UID{"uid-payments"}, want: remove},
		"NoSuccessor": {
			reason: "The pool that names the group has one in the portal already and takes nothing over.",
			own:    own, pools: []v1alpha1.AgentPool{declared(pinned)}, records: []types.UID{"uid-own", "uid-payments"}, want: remove,
		},
		"Adopting": {
			reason: "A pool that is to adopt another pool of the portal replaces nothing before it has it.",
			own:    own, pools: []v1alpha1.AgentPool{declared(pinned, func(p *v1alpha1.AgentPool) { p.Spec.Adopt = "z" })}, records: []types.UID{"uid-own"}, want: keep,
		},
		"Adopted": {
			reason: "Once it has it, the own pool goes.",
			own:    own, pools: []v1alpha1.AgentPool{declared(pinned, func(p *v1alpha1.AgentPool) { p.Spec.Adopt = "b" })}, records: []types.UID{"uid-own", "uid-payments"}, want: remove,
		},
		"Unknown":  {reason: "Nothing is removed while the portal's state is not known.", own: own, pools: []v1alpha1.AgentPool{declared(pinned)}, unknown: true, want: keep},
		"Extended": {reason: "What people made of it is theirs.", own: extended, pools: []v1alpha1.AgentPool{declared(pinned)}, records: []types.UID{"uid-payments"}, want: keep},
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
				t.Errorf("%s, want %s: %s", got, c.want, c.reason)
			}
		})
	}
}
