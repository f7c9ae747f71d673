package scimgroup

import (
	"context"
	"fmt"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/controllers/gate"
	"lightrun.com/scim-operator/controllers/groupindex"
	"lightrun.com/scim-operator/controllers/scimuser"
	"lightrun.com/scim-operator/internal/claims"
	"lightrun.com/scim-operator/internal/conditions"
)

// retryFinish is the pause before it is looked again whether a deleted group's members have left its pools.
const retryFinish = time.Second

// waitFor reports what the deletion waits for.
func (p *pass) waitFor(format string, args ...any) (bool, error) {
	p.leaf(conditions.Unknown(v1alpha1.ConditionPoolsResolved, v1alpha1.ReasonDeleting, fmt.Sprintf(format, args...)))
	p.result.RequeueAfter = retryFinish
	return true, nil
}

// dropPool deletes the own pool of a group that the provider deleted; its members lose it together, if the guard lets them.
func (p *pass) dropPool(ctx context.Context) (bool, error) {
	if _, known := p.known(); !known || p.view.Unknown {
		p.silent, p.result.RequeueAfter = true, conflictPause
		return true, nil
	}
	own := p.own()
	if own == nil || own.OwnPoolOf() == "" {
		return false, nil
	}
	if own.DeletionTimestamp.IsZero() {
		if err := p.removePool(ctx, own); err != nil {
			return true, err
		}
	}
	return p.waitFor("The provider deleted the group; its own pool is being released in the portal")
}

// unpinned waits until each pool that the group fills has written down that it is deleted.
func (p *pass) unpinned(context.Context) (bool, error) {
	for i := range p.pools {
		pool := &p.pools[i]
		if pool.DeletionTimestamp.IsZero() && slices.Contains(groupindex.Filling(pool), p.group.Name) && p.settles() {
			return p.waitFor("The provider deleted the group; AgentPool %s still counts it", pool.Name)
		}
	}
	return false, nil
}

// settles says whether pools look at their groups now: the portal's state is known, and SCIM is on there.
func (p *pass) settles() bool { return !gate.Ready(p.view, false).Stop && !gate.SCIMOff(p.view) }

// left waits until the members have left the pools that the group filled. What the guard stops keeps the group as well: the
// decision may be that it stays.
func (p *pass) left(ctx context.Context) (bool, error) {
	leave, err := gate.LeaveAsIs(ctx, p.Live, p.view, p.group.Namespace)
	if leave || err != nil {
		return false, err
	}
	if a := gate.Release(p.view); a.Stop {
		p.silent, p.result.RequeueAfter = a.Silent, retryFinish
		if a.Leaf != nil {
			p.leaf(*a.Leaf)
		}
		return true, nil
	}
	picture, err := p.Book.Picture(ctx, p.view.Mirror)
	if err != nil {
		return true, err
	}
	waiting := 0
	for _, name := range p.Groups.Members(p.group.Name) {
		var u v1alpha1.ScimUser
		err := p.Get(ctx, types.NamespacedName{Namespace: p.group.Namespace, Name: name}, &u)
		if apierrors.IsNotFound(err) || err == nil && (u.Spec.Deleted || u.Spec.Suspend) {
			continue
		}
		if err != nil {
			return true, err
		}
		if a, _ := scimuser.Access(&u, picture, p.view.Mirror, p.Attributes); scimuser.Stays(&u, a, picture, p.view.Mirror, p.group.Status.Pools) {
			waiting++
		}
	}
	if waiting > 0 {
		return p.waitFor("The provider deleted the group; %d member(s) have not left its pools in the portal yet", waiting)
	}
	return false, nil
}

// finish removes the slices, releases the name and deletes the object.
func (p *pass) finish(ctx context.Context) (bool, error) {
	p.silent = true
	if err := p.Slices.Delete(ctx, p.group.Name); err != nil {
		return true, fmt.Errorf("delete the group's slices: %w", err)
	}
	if err := claims.Release(ctx, p.Client, p.Live, v1alpha1.ClaimGroup, p.group.Spec.DisplayName, p.group); err != nil {
		return true, fmt.Errorf("release the group's name: %w", err)
	}
	uid := p.group.UID
	return true, client.IgnoreNotFound(p.Delete(ctx, p.group, client.Preconditions{UID: &uid}))
}
