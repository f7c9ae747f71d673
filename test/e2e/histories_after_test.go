// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/controllers/nameclaim"
	"lightrun.com/scim-operator/internal/kernel/claims"
	"lightrun.com/scim-operator/internal/kernel/groupslice"
	"lightrun.com/scim-operator/internal/kernel/names"
	"lightrun.com/scim-operator/test/framework/devenv"
)

// settles waits until Kubernetes and the portal agree on the round's users and groups: each name
// once, claimed by its owner, with one account that is active if the user is, or one pool. Deleted
// objects are gone, each account is in the pools of its groups, and no claim remains.
func (r *round) settles() {
	eventually(r.t, "each user once, in Kubernetes and in the portal", func(ctx context.Context) error {
		now, err := r.observe(ctx)
		if err != nil {
			return err
		}
		for _, u := range now.users.Items {
			if err := r.settled(ctx, &u, now); err != nil {
				return err
			}
		}
		return errors.Join(r.settledGroups(ctx, now), r.noStrays(now))
	})
}

// state is the state of Kubernetes.
type state struct {
	users   v1alpha1.ScimUserList
	groups  v1alpha1.ScimGroupList
	slices  v1alpha1.ScimGroupSliceList
	pools   v1alpha1.AgentPoolList
	claims  v1alpha1.NameClaimList
	holders map[string]string // UIDs by the names of claims
}

func (r *round) observe(ctx context.Context) (*state, error) {
	s := &state{holders: map[string]string{}}
	for _, list := range []client.ObjectList{&s.users, &s.groups, &s.slices, &s.pools, &s.claims} {
		if err := r.env.Client.List(ctx, list, client.InNamespace(devenv.Namespace)); err != nil {
			return nil, err
		}
	}
	for _, c := range s.claims.Items {
		s.holders[c.Name] = c.Spec.Holder.UID
	}
	return s, nil
}

// poolsOf lists the names of the portal's pools of a user's groups, sorted.
func (s *state) poolsOf(user string) []string {
	names := []string{}
	for _, g := range s.groups.Items {
		if slices.Contains(s.members(g.Name), user) {
			names = append(names, g.Spec.DisplayName)
		}
	}
	slices.Sort(names)
	return names
}

func (s *state) members(group string) []string {
	var parts []v1alpha1.ScimGroupSlice
	for _, part := range s.slices.Items {
		if part.Labels[v1alpha1.LabelGroup] == group {
			parts = append(parts, part)
		}
	}
	return groupslice.MembersIn(parts)
}

// settled checks one user. Of two users with one name, only one can have the claim.
func (r *round) settled(ctx context.Context, u *v1alpha1.ScimUser, now *state) error {
	if !strings.HasSuffix(names.Fold(u.Spec.UserName), names.Fold(r.userName(""))) {
		return nil // of another round
	}
	if u.Spec.Deleted || u.DeletionTimestamp != nil {
		return fmt.Errorf("%s (%s) is still being deleted: %+v", u.Spec.UserName, u.Name, u.Status.Conditions)
	}
	if !r.findable(u.Name, func(p *pusher) bool { return p.find(ctx, u.Spec.UserName) }) {
		return fmt.Errorf("%s (%s) exists, and was never found by name", u.Spec.UserName, u.Name)
	}
	if holder := now.holders[claims.ObjectName(v1alpha1.ClaimUser, u.Spec.UserName)]; holder != string(u.UID) {
		return fmt.Errorf("%s (%s) does not have the claim on its name, but %q does", u.Spec.UserName, u.Name, holder)
	}
	if meta.IsStatusConditionFalse(u.Status.Conditions, v1alpha1.ConditionProvisioned) &&
		meta.FindStatusCondition(u.Status.Conditions, v1alpha1.ConditionProvisioned).Reason == v1alpha1.ReasonNameReleasePending {
		return nil // renamed to a name that a former user's account has: the portal keeps that account, and the object says so
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
	in := []string{}
	for _, p := range accounts[0].Pools {
		if p.Name != "Default" {
			in = append(in, p.Name)
		}
	}
	slices.Sort(in)
	if want := now.poolsOf(u.Name); !slices.Equal(in, want) {
		return fmt.Errorf("the account of %s is in the pools %v, must be in those of its groups %v: %+v", u.Spec.UserName, in, want, u.Status.Conditions)
	}
	return nil
}

// findable reports whether a client found the object by its name, or can find it now: it may have
// got its claim after the last check.
func (r *round) findable(id string, find func(*pusher) bool) bool {
	return r.known(id) != "" || find(r.newPusher(0)) && r.known(id) != ""
}

// noStrays checks that every claim's holder needs it. A claim of an interrupted rename is released
// when it is too old to belong to a rename in progress; a short run does not wait
// for that.
func (r *round) noStrays(now *state) error {
	needed := map[string]bool{}
	for _, u := range now.users.Items {
		for _, name := range []string{u.Spec.UserName, u.Status.UserName} { // the latter is what the account still has
			needed[claims.ObjectName(v1alpha1.ClaimUser, name)+string(u.UID)] = true
		}
	}
	groups := map[string]string{}
	for _, g := range now.groups.Items {
		needed[claims.ObjectName(v1alpha1.ClaimGroup, g.Spec.DisplayName)+string(g.UID)] = true
		groups[g.Name] = g.Spec.DisplayName
	}
	for _, p := range now.pools.Items {
		for _, name := range []string{cmp.Or(groups[p.OwnPoolOf()], p.PortalName()), p.Status.DisplayName} {
			needed[claims.ObjectName(v1alpha1.ClaimPool, name)+string(p.UID)] = true
		}
	}
	for _, c := range now.claims.Items {
		young := time.Since(c.CreationTimestamp.Time) < nameclaim.DefaultGrace
		if !needed[c.Name+c.Spec.Holder.UID] && (r.long || !young) {
			return fmt.Errorf("the claim %s of %s remains", c.Name, c.Spec.Holder.Name)
		}
	}
	return nil
}
