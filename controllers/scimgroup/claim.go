package scimgroup

import (
	"context"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/claims"
	"lightrun.com/scim-operator/internal/conditions"
	"lightrun.com/scim-operator/internal/names"
)

// claimGrace is how long the claim of a new group is left to the webhook that is creating it: longer than a creation
// timestamp's resolution of one second.
const claimGrace = 3 * time.Second

// claim makes sure that the display name is this group's alone. The webhook claims before it answers, so this finds the claim
// taken but after a crash or a restore.
func (p *pass) claim(ctx context.Context) (bool, error) {
	name := p.group.Spec.DisplayName
	if err := names.Validate(name); err != nil {
		p.leaf(conditions.False(v1alpha1.ConditionNameClaimed, v1alpha1.ReasonInvalidName, err.Error()))
		return true, nil
	}
	if wait := p.webhookClaims(ctx); wait > 0 {
		p.silent, p.result.RequeueAfter = true, wait
		return true, nil
	}
	other, err := p.registry().Keep(ctx, v1alpha1.ClaimGroup, name, p.group)
	if err != nil {
		return false, fmt.Errorf("claim the group's name: %w", err)
	}
	if other == nil {
		p.claimed = true
		p.leaf(conditions.True(v1alpha1.ConditionNameClaimed, v1alpha1.ReasonClaimed, "The name is this group's alone"))
		return false, nil
	}
	if never, err := p.neverAnswered(ctx); never || err != nil {
		return true, err
	}
	p.leaf(conditions.False(v1alpha1.ConditionNameClaimed, v1alpha1.ReasonNameTaken, fmt.Sprintf("ScimGroup %s has this name; rename one of the two in the identity provider", other.GetName())))
	return true, nil
}

// webhookClaims says how long to leave the claim of a new group to the webhook that is creating it: both would succeed, one
// of them in vain. The claim's own event brings the group back sooner.
func (p *pass) webhookClaims(ctx context.Context) time.Duration {
	age := p.Clock.Since(p.group.CreationTimestamp.Time)
	if p.group.Status.DisplayName != "" || age >= claimGrace || age < 0 {
		return 0
	}
	key := client.ObjectKey{Namespace: p.group.Namespace, Name: claims.ObjectName(v1alpha1.ClaimGroup, p.group.Spec.DisplayName)}
	if err := p.Get(ctx, key, &v1alpha1.NameClaim{}); !apierrors.IsNotFound(err) {
		return 0
	}
	return claimGrace - age
}

// neverAnswered removes an object that a webhook made and then could not claim the name for, crashing before it could take
// the object back. No client was ever told of it. The webhook that makes it may still be at work, and get the name when its
// holder leaves: that is waited for (claims.Abandoned), and the claim is read after the version on top of which the object is
// removed. Its slices go with the next sweep.
func (p *pass) neverAnswered(ctx context.Context) (bool, error) {
	if p.group.Status.DisplayName != "" {
		return false, nil
	}
	var live v1alpha1.ScimGroup
	if err := p.Live.Get(ctx, client.ObjectKeyFromObject(p.group), &live); err != nil {
		return apierrors.IsNotFound(err), client.IgnoreNotFound(err)
	}
	if !claims.MadeByWebhook(&live) || live.Status.DisplayName != "" || live.UID != p.group.UID {
		return false, nil
	}
	p.silent = true
	if wait := p.unclaimed.Wait(live.UID, p.Clock.Now()); wait > 0 {
		p.result.RequeueAfter = wait
		return true, nil
	}
	other, err := p.registry().Keep(ctx, v1alpha1.ClaimGroup, live.Spec.DisplayName, &live)
	if other == nil || err != nil {
		p.result.RequeueAfter = conflictPause // it has the name by now
		return true, err
	}
	ctrl.LoggerFrom(ctx).Info("Removing a group that was never answered for: its name was taken while it was created")
	uid := live.UID
	err = p.Delete(ctx, &live, client.Preconditions{UID: &uid, ResourceVersion: &live.ResourceVersion})
	return true, client.IgnoreNotFound(err)
}

func (r *Reconciler) registry() claims.Registry {
	return claims.Registry{Client: r.Client, Live: r.Live}
}
