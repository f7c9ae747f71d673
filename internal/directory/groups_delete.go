package directory

import (
	"context"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"lightrun.com/scim-operator/api/v1alpha1"
)

// Delete implements server.Groups. The members leave first, so that a repetition after a failure still finds the group and completes it; then
// the group is gone, and whoever was added in between leaves too. A pool in which people have a say stays, for them to rule, until the provider
// creates the group anew.
func (g groups) Delete(ctx context.Context, id string) error {
	have, err := g.live(ctx, id)
	if err != nil {
		return err
	}
	held, err := g.locks.exclusive(ctx, g.Directory, have)
	if err != nil {
		return err
	}
	defer held.unlock()
	if err := g.empty(ctx, have); err != nil {
		return err
	}
	if err := held.still(ctx); err != nil {
		return err
	}
	last, err := g.detach(ctx, id)
	if err != nil {
		return err
	}
	return g.empty(ctx, last)
}

// detach deletes a pool that only the provider wrote, and unlinks one that people wrote too. It returns the pool as it was last.
func (g groups) detach(ctx context.Context, id string) (*v1alpha1.AgentPool, error) {
	for attempt := range attempts {
		if err := pause(ctx, attempt); err != nil {
			return nil, err
		}
		have, err := g.live(ctx, id)
		if err != nil {
			return nil, err
		}
		if err := g.detachOnce(ctx, have); !apierrors.IsConflict(err) {
			return have, err
		}
	}
	return nil, errBusy("delete a group")
}

func (g groups) detachOnce(ctx context.Context, have *v1alpha1.AgentPool) error {
	if declared(&have.Spec) {
		idp := v1alpha1.IDPGroup{Unlinked: true}
		if have.Spec.IDP != nil {
			idp.DisplayName, idp.ExternalID = have.Spec.IDP.DisplayName, have.Spec.IDP.ExternalID
		}
		if err := g.writeIDP(ctx, have, &idp); err != nil {
			return err
		}
		r, err := g.poolRecord(have)
		if err == nil {
			g.pools.wrote(r)
		}
		return err
	}
	err := g.remove(ctx, have.DeepCopy())
	if err == nil {
		g.pools.removed(have.Name, untilDeleted)
	}
	if apierrors.IsNotFound(err) {
		return errNoGroup(have.Name)
	}
	return err
}

// declared says whether people wrote anything into the pool.
func declared(s *v1alpha1.AgentPoolSpec) bool {
	return s.GroupName != "" || s.DisplayName != "" || s.Description != "" || s.Roles != nil || len(s.Members) > 0 || s.MemberFilter != "" || s.OnDelete == v1alpha1.PoolOrphan
}
