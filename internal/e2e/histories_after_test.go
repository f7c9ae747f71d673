package e2e

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/controllers/nameclaim"
	"lightrun.com/scim-operator/internal/claims"
	"lightrun.com/scim-operator/internal/devenv"
	"lightrun.com/scim-operator/internal/names"
)

// settles waits until Kubernetes and the portal agree on the round's people and groups: each name once, claimed by who bears it, with one
// account that is active when the person is, or one pool; who was deleted is gone, and no claim is left that nobody needs.
func (r *round) settles() {
	eventually(r.t, "everybody once, in Kubernetes and in the portal", func(ctx context.Context) error {
		var users v1alpha1.ScimUserList
		var pools v1alpha1.AgentPoolList
		var held v1alpha1.NameClaimList
		in := client.InNamespace(devenv.Namespace)
		if err := errors.Join(r.env.Client.List(ctx, &users, in), r.env.Client.List(ctx, &pools, in), r.env.Client.List(ctx, &held, in)); err != nil {
			return err
		}
		holders := map[string]string{}
		for _, c := range held.Items {
			holders[c.Name] = c.Spec.Holder.UID
		}
		for _, u := range users.Items {
			if err := r.settled(ctx, &u, holders); err != nil {
				return err
			}
		}
		return errors.Join(r.settledGroups(ctx, pools.Items, users.Items, holders), r.noStrays(held.Items, users.Items, pools.Items))
	})
}

// settled checks one user. Two who bear one name can't both hold its claim.
func (r *round) settled(ctx context.Context, u *v1alpha1.ScimUser, holders map[string]string) error {
	if !strings.HasSuffix(names.Fold(u.Spec.UserName), names.Fold(r.userName(""))) {
		return nil // of another round
	}
	if u.DeletionTimestamp != nil {
		return fmt.Errorf("%s (%s) is still being deleted: %+v", u.Spec.UserName, u.Name, u.Status.Conditions)
	}
	if !r.findable(u.Name, func(p *pusher) bool { return p.find(ctx, u.Spec.UserName) }) {
		return fmt.Errorf("%s (%s) is there, and was never found by name", u.Spec.UserName, u.Name)
	}
	if holder := holders[claims.ObjectName(v1alpha1.ClaimUser, u.Spec.UserName)]; holder != string(u.UID) {
		return fmt.Errorf("%s (%s) does not hold the claim on its name, but %q does", u.Spec.UserName, u.Name, holder)
	}
	if meta.IsStatusConditionFalse(u.Status.Conditions, v1alpha1.ConditionProvisioned) &&
		meta.FindStatusCondition(u.Status.Conditions, v1alpha1.ConditionProvisioned).Reason == v1alpha1.ReasonNameReleasePending {
		return nil // renamed to a name that the account of somebody who left still bears: the portal keeps it, and the object says so
	}
	accounts, err := r.accounts(ctx, u.Spec.UserName)
	if err != nil {
		return err
	}
	if len(accounts) != 1 {
		return fmt.Errorf("the portal has %d accounts of the name %s: %+v", len(accounts), u.Spec.UserName, u.Status.Conditions)
	}
	if wanted := u.Spec.Active == nil || *u.Spec.Active; active(accounts[0]) != wanted {
		return fmt.Errorf("the account of %s is %s: %+v", u.Spec.UserName, accounts[0].Status, u.Status.Conditions)
	}
	return nil
}

// findable says whether a client found the object by its name, or can now: it may have got its claim only after the last look.
func (r *round) findable(id string, find func(*pusher) bool) bool {
	return r.known(id) != "" || find(r.newPusher(0)) && r.known(id) != ""
}

// noStrays checks that every claim is one that its holder needs. Those that a cut-off rename left are released when they are old enough to be told
// from one under way; a short run does not wait for that.
func (r *round) noStrays(held []v1alpha1.NameClaim, users []v1alpha1.ScimUser, pools []v1alpha1.AgentPool) error {
	needed := map[string]bool{}
	for _, u := range users {
		for _, name := range []string{u.Spec.UserName, u.Status.UserName} { // the latter is what the account bears still
			needed[claims.ObjectName(v1alpha1.ClaimUser, name)+string(u.UID)] = true
		}
	}
	for _, p := range pools {
		for _, name := range append(p.Names(), p.Status.DisplayName) {
			needed[claims.ObjectName(v1alpha1.ClaimPool, name)+string(p.UID)] = true
		}
	}
	for _, c := range held {
		young := time.Since(c.CreationTimestamp.Time) < nameclaim.DefaultGrace
		if !needed[c.Name+c.Spec.Holder.UID] && (r.long || !young) {
			return fmt.Errorf("the claim %s of %s is left", c.Name, c.Spec.Holder.Name)
		}
	}
	return nil
}
