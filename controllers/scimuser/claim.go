package scimuser

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

// claim makes sure that the user name is this person's alone. The webhook claims before it answers, so this finds the
// claim held but after a crash or a restore.
func (p *pass) claim(ctx context.Context) (bool, error) {
	name := p.user.Spec.UserName
	if err := names.Validate(name); err != nil {
		p.leaf(conditions.False(v1alpha1.ConditionNameClaimed, v1alpha1.ReasonInvalidName, err.Error()))
		return true, nil
	}
	if wait := p.webhookClaims(ctx); wait > 0 {
		p.silent, p.result.RequeueAfter = true, wait
		return true, nil
	}
	other, err := p.registry().Keep(ctx, v1alpha1.ClaimUser, name, p.user)
	if err != nil {
		return false, fmt.Errorf("claim the user name: %w", err)
	}
	if other == nil {
		p.leaf(conditions.True(v1alpha1.ConditionNameClaimed, v1alpha1.ReasonClaimed, "The user name is this person's alone"))
		return false, nil
	}
	if never, err := p.neverAnswered(ctx); never || err != nil {
		return true, err
	}
	p.leaf(conditions.False(v1alpha1.ConditionNameClaimed, v1alpha1.ReasonNameTaken, fmt.Sprintf("ScimUser %s has this user name; rename one of the two in the identity provider", other.GetName())))
	return true, nil
}

// webhookClaims says how long to leave the claim of a new user to the webhook that is creating it: both would succeed,
// one of them in vain. The claim's own event brings the user back sooner.
func (p *pass) webhookClaims(ctx context.Context) time.Duration {
	age := p.Clock.Since(p.user.CreationTimestamp.Time)
	if p.user.Status.ObservedGeneration != 0 || age >= claimGrace || age < 0 {
		return 0
	}
	key := client.ObjectKey{Namespace: p.user.Namespace, Name: claims.ObjectName(v1alpha1.ClaimUser, p.user.Spec.UserName)}
	if err := p.Get(ctx, key, &v1alpha1.NameClaim{}); !apierrors.IsNotFound(err) {
		return 0
	}
	return claimGrace - age
}

// claimGrace is longer than a creation timestamp's resolution of one second.
const claimGrace = 3 * time.Second

// neverAnswered removes an object that a webhook made and then could not claim the name for, crashing before it could
// take the object back. No client was ever told of it. The webhook that makes it may still be at work, and get the name when its
// holder leaves: that is waited for (claims.Abandoned), and the claim is read after the version on top of which the
// object is removed.
func (p *pass) neverAnswered(ctx context.Context) (bool, error) {
	if p.user.Status.UserName != "" {
		return false, nil
	}
	var live v1alpha1.ScimUser
	if err := p.Live.Get(ctx, client.ObjectKeyFromObject(p.user), &live); err != nil {
		return apierrors.IsNotFound(err), client.IgnoreNotFound(err)
	}
	if !claims.MadeByWebhook(&live) || live.Status.UserName != "" || live.UID != p.user.UID {
		return false, nil
	}
	p.silent = true
	if wait := p.unclaimed.Wait(live.UID, p.Clock.Now()); wait > 0 {
		p.result.RequeueAfter = wait
		return true, nil
	}
	other, err := p.registry().Keep(ctx, v1alpha1.ClaimUser, live.Spec.UserName, &live)
	if other == nil || err != nil {
		p.result.RequeueAfter = time.Second / 20 // it has the name by now
		return true, err
	}
	ctrl.LoggerFrom(ctx).Info("Removing a user that was never answered for: its name was taken while it was created")
	uid := live.UID
	err = p.Delete(ctx, &live, client.Preconditions{UID: &uid, ResourceVersion: &live.ResourceVersion})
	return true, client.IgnoreNotFound(err)
}

// settleName lets go of the former name once no account bears it any more, and returns the name that status shows. A person who is being renamed
// back in this moment conflicts with it.
func (p *pass) settleName(ctx context.Context) (string, error) {
	former, name := p.user.Status.UserName, p.user.Spec.UserName
	if former == "" || names.Fold(former) == names.Fold(name) {
		return name, nil
	}
	if p.have != nil && names.Fold(p.have.UserName) != names.Fold(name) {
		return former, nil
	}
	if err := p.registry().Release(ctx, v1alpha1.ClaimUser, former, p.user); err != nil {
		return former, fmt.Errorf("let go of the former user name: %w", err)
	}
	return name, nil
}

func (r *Reconciler) registry() claims.Registry {
	return claims.Registry{Client: r.Client, Live: r.Live}
}
