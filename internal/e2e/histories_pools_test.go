package e2e

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/claims"
	"lightrun.com/scim-operator/internal/histories"
	"lightrun.com/scim-operator/internal/names"
	"lightrun.com/scim-operator/internal/portal/openapi"
)

// settledGroups checks the round's groups: each is one that a client could find, holds its name alone, and is one pool in the portal; and
// nobody is in a pool that is gone.
func (r *round) settledGroups(ctx context.Context, pools []v1alpha1.AgentPool, users []v1alpha1.ScimUser, holders map[string]string) error {
	got, err := r.env.API.ListPoolsWithResponse(ctx)
	if err != nil || got.JSON200 == nil {
		return errors.Join(err, errors.New("the portal's pools can't be read"))
	}
	there := map[string]bool{}
	for _, p := range pools {
		there[p.Name] = true
		if err := r.settledGroup(ctx, &p, holders, got.JSON200.Items); err != nil {
			return err
		}
	}
	for _, u := range users {
		if r.known(u.Name) == "" {
			continue // of another round
		}
		for _, pool := range u.Spec.Pools {
			if !there[pool] && !r.cutOff(r.known(pool)) {
				return fmt.Errorf("%s (%s) is in the pool %s (%s), which is gone", u.Spec.UserName, u.Name, pool, r.known(pool))
			}
		}
	}
	return nil
}

// cutOff says whether a request on the group had no answer: a webhook that is killed while somebody is put into a group that another deletes leaves them
// in a pool that is gone, which grants nothing and whose name is never given again.
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

// settledGroup checks one group. Two that bear one name can't both hold its claim.
func (r *round) settledGroup(ctx context.Context, p *v1alpha1.AgentPool, holders map[string]string, portal []openapi.Pool) error {
	name, _ := p.SCIMName()
	if !strings.HasSuffix(names.Fold(name), names.Fold(r.userName(""))) {
		return nil // of another round
	}
	if p.DeletionTimestamp != nil {
		return fmt.Errorf("group %s (%s) is still being deleted: %+v", name, p.Name, p.Status.Conditions)
	}
	if !r.findable(p.Name, func(look *pusher) bool { return look.findGroup(ctx, name) }) {
		return fmt.Errorf("group %s (%s) is there, and was never found by name: %+v", name, p.Name, p.Status.Conditions)
	}
	if holder := holders[claims.ObjectName(v1alpha1.ClaimPool, name)]; holder != string(p.UID) {
		return fmt.Errorf("group %s (%s) does not hold the claim on its name, but %q does", name, p.Name, holder)
	}
	same := slices.DeleteFunc(slices.Clone(portal), func(q openapi.Pool) bool { return names.Fold(q.Name) != names.Fold(name) })
	if len(same) != 1 || same[0].Owner == nil || same[0].Owner.UID != string(p.UID) {
		return fmt.Errorf("the portal has these pools of the name %s (%s): %+v; %+v", name, p.UID, same, p.Status.Conditions)
	}
	return nil
}
