// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	portalv1 "lightrun.com/scim-operator/api/portal/v1"
	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/kernel/claims"
	"lightrun.com/scim-operator/internal/kernel/names"
	"lightrun.com/scim-operator/test/framework/histories"
)

// settledGroups checks the round's groups: a client could find each, each has its own name and an
// own pool, which is one pool in the portal; and nothing remains of deleted
// groups.
func (r *round) settledGroups(ctx context.Context, now *state) error {
	got, err := r.env.API.ListPoolsWithResponse(ctx)
	if err != nil || got.JSON200 == nil {
		return errors.Join(err, errors.New("the portal's pools can't be read"))
	}
	there := map[string]bool{}
	for _, g := range now.groups.Items {
		there[g.Name] = true
		if err := r.settledGroup(ctx, &g, now, got.JSON200.Items); err != nil {
			return err
		}
	}
	for _, p := range now.pools.Items {
		if own := p.OwnPoolOf(); own != "" && !there[own] {
			return fmt.Errorf("the own pool of the group %s (%s), which is gone, remains: %+v", own, r.known(own), p.Status.Conditions)
		}
	}
	for _, s := range now.slices.Items {
		if group := s.Labels[v1alpha1.LabelGroup]; !there[group] && r.known(group) != "" && !r.cutOff(r.known(group)) {
			return fmt.Errorf("the slice %s of the group %s, which is gone, remains", s.Name, r.known(group))
		}
	}
	for _, q := range got.JSON200.Items {
		if r.ofRound(q.Name) && !slices.ContainsFunc(now.groups.Items, func(g v1alpha1.ScimGroup) bool { return g.Spec.DisplayName == q.Name }) {
			return fmt.Errorf("the portal still has the pool %s: %+v", q.Name, q.Owner)
		}
	}
	return nil
}

// ofRound reports whether a name belongs to this round.
func (r *round) ofRound(name string) bool {
	return strings.HasSuffix(names.Fold(name), names.Fold(r.userName("")))
}

// cutOff reports whether a request on the group had no response: a webhook that is killed while it
// changes a group that another deletes can leave a slice, which has no effect and which the manager
// deletes when it is ten minutes old.
func (r *round) cutOff(group string) bool {
	return slices.ContainsFunc(r.history.Events(), func(e histories.Event) bool {
		if e.Answer.Outcome != histories.Unanswered {
			return false
		}
		switch q := e.Request.(type) {
		case histories.CreateGroup:
			return q.Group.Tag == group
		case histories.Change:
			return q.Group == group
		case histories.DeleteGroup:
			return q.Tag == group
		}
		return false
	})
}

// settledGroup checks one group. Of two groups with one name, only one can have the claim.
func (r *round) settledGroup(ctx context.Context, g *v1alpha1.ScimGroup, now *state, portal []portalv1.Pool) error {
	name := g.Spec.DisplayName
	if !r.ofRound(name) {
		return nil
	}
	if g.Spec.Deleted || g.DeletionTimestamp != nil {
		return fmt.Errorf("group %s (%s) is still being deleted: %+v", name, g.Name, g.Status.Conditions)
	}
	if !r.findable(g.Name, func(look *pusher) bool { return look.findGroup(ctx, name) }) {
		return fmt.Errorf("group %s (%s) exists, and was never found by name: %+v", name, g.Name, g.Status.Conditions)
	}
	if holder := now.holders[claims.ObjectName(v1alpha1.ClaimGroup, name)]; holder != string(g.UID) {
		return fmt.Errorf("group %s (%s) does not have the claim on its name, but %q does", name, g.Name, holder)
	}
	i := slices.IndexFunc(now.pools.Items, func(p v1alpha1.AgentPool) bool { return p.OwnPoolOf() == g.Name })
	if i < 0 {
		return fmt.Errorf("group %s (%s) has no pool of its own: %+v", name, g.Name, g.Status.Conditions)
	}
	own := now.pools.Items[i]
	same := slices.DeleteFunc(slices.Clone(portal), func(q portalv1.Pool) bool { return names.Fold(q.Name) != names.Fold(name) })
	if len(same) != 1 || same[0].Owner == nil || same[0].Owner.UID != string(own.UID) {
		return fmt.Errorf("the portal has these pools of the name %s (%s): %+v; %+v", name, own.UID, same, own.Status.Conditions)
	}
	return nil
}
