package agentpool

import (
	"context"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/controllers/groupindex"
	"lightrun.com/scim-operator/internal/claims"
	"lightrun.com/scim-operator/internal/conditions"
	"lightrun.com/scim-operator/internal/names"
)

// claim makes sure that each of the pool's names is its alone.
func (p *pass) claim(ctx context.Context) (bool, error) {
	for _, name := range []string{p.titled.PortalName()} {
		if err := names.Validate(name); err != nil {
			p.leaf(conditions.False(v1alpha1.ConditionNameClaimed, v1alpha1.ReasonInvalidName, fmt.Sprintf("%q: %v", name, err)))
			return true, nil
		}
		other, err := claims.Hold(ctx, p.Client, p.Live, v1alpha1.ClaimPool, name, p.pool)
		if err != nil {
			return false, fmt.Errorf("claim the pool's name: %w", err)
		}
		if other != nil && Succeeds(p.pool, other.Name, p.Groups) {
			if other, err = claims.Succeed(ctx, p.Client, p.Live, v1alpha1.ClaimPool, name, *other, p.pool); err != nil {
				return false, fmt.Errorf("take the name over from a group's own pool: %w", err)
			}
		}
		if other != nil {
			if never, err := p.neverAnswered(ctx, name); never || err != nil {
				return true, err
			}
			p.leaf(conditions.False(v1alpha1.ConditionNameClaimed, v1alpha1.ReasonNameTaken, fmt.Sprintf("AgentPool %s has the name %q; rename one of the two, or name the group in spec.groups there to have it fill that pool", other.Name, name)))
			return true, nil
		}
	}
	p.leaf(conditions.True(v1alpha1.ConditionNameClaimed, v1alpha1.ReasonClaimed, "The pool's names are its alone"))
	return false, nil
}

// Succeeds says whether the AgentPool of that name is a group's own pool, and pool names the group.
func Succeeds(pool *v1alpha1.AgentPool, other string, groups groupindex.Lookup) bool {
	g, found := groups.Group(other)
	if !found {
		return false
	}
	declares, _ := groupindex.Declares(pool, g, groups)
	return declares
}

// neverAnswered removes a pool that a webhook made for a group of the provider and then could not claim the name for, crashing before it could
// take the pool back. No client was ever told of it. The webhook that makes it may still be at work, and get the name when its
// holder leaves: that is waited for (claims.Abandoned), and the claim is read after the version on top of which the
// pool is removed. A pool that was ever in the portal had its name, and stays.
func (p *pass) neverAnswered(ctx context.Context, name string) (bool, error) {
	if p.pool.Status.Pool != "" {
		return false, nil
	}
	var live v1alpha1.AgentPool
	if err := p.Live.Get(ctx, client.ObjectKeyFromObject(p.pool), &live); err != nil {
		return apierrors.IsNotFound(err), client.IgnoreNotFound(err)
	}
	if !claims.MadeByWebhook(&live) || live.OwnPoolOf() == "" || live.Status.Pool != "" || live.UID != p.pool.UID {
		return false, nil
	}
	p.silent = true
	if wait := p.unclaimed.Wait(live.UID, p.Clock.Now()); wait > 0 {
		p.result.RequeueAfter = wait
		return true, nil
	}
	other, err := claims.Hold(ctx, p.Client, p.Live, v1alpha1.ClaimPool, name, &live)
	if other == nil || err != nil {
		p.result.RequeueAfter = time.Second / 20 // it has the name by now
		return true, err
	}
	ctrl.LoggerFrom(ctx).Info("Removing a pool that was never answered for: its name was taken while it was created")
	uid := live.UID
	err = p.Delete(ctx, &live, client.Preconditions{UID: &uid, ResourceVersion: &live.ResourceVersion})
	return true, client.IgnoreNotFound(err)
}
