// SPDX-License-Identifier: Apache-2.0

package scimuser

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/kernel/conditions"
	"lightrun.com/scim-operator/internal/kernel/portalapi"
	"lightrun.com/scim-operator/internal/kernel/requestid"
	"lightrun.com/scim-operator/internal/operator/decide/access"
	"lightrun.com/scim-operator/internal/operator/pass"
	"lightrun.com/scim-operator/internal/operator/poolindex"
	"lightrun.com/scim-operator/internal/operator/userplan"
)

// unsettled returns the AgentPools whose reconciler must write a membership of the user with the
// access a: the user must join the pools in missing, and leave the pools in leaving. A nil account
// is in no pool.
func unsettled(account *portalapi.Account, a access.Access, snapshot *poolindex.Snapshot) (missing, leaving []string) {
	if account == nil {
		return nil, nil
	}
	in := snapshot.Names(userplan.Granted(account))
	for _, pool := range a.Pools {
		if pool.Source != access.Default && !slices.Contains(in, pool.Pool) {
			missing = append(missing, pool.Pool)
		}
	}
	for _, name := range in {
		wanted := slices.ContainsFunc(a.Pools, func(m access.Membership) bool { return m.Pool == name })
		if name != v1alpha1.DefaultName && !wanted {
			leaving = append(leaving, name)
		}
	}
	slices.Sort(leaving)
	return missing, leaving
}

// settleTimeout is the maximum time for which a user's status waits until an AgentPool's reconciler
// has written a membership, so that the status is written once.
const settleTimeout = 2 * time.Second

// settle requests passes over the pools whose memberships of this user are not in the desired
// state, and delays the status meanwhile: the account's change triggers the next pass.
func (p *scope) settle(ctx context.Context) pass.Outcome {
	missing, leaving := unsettled(p.have, p.access, p.snapshot)
	leaving, p.kept = split(leaving, p.snapshot.Marked)
	waits := slices.Concat(missing, leaving)
	if len(waits) == 0 || p.View.Spec.ManagementPolicy == v1alpha1.PolicyReportOnly {
		p.kept = slices.Concat(p.kept, leaving)
		p.settleWaits.end(p.user.Name)
		return pass.Next()
	}
	p.Pools.Unsettled(poolindex.Unsettled{User: p.user.Name, Pools: waits, Request: requestid.From(ctx)})
	if left := p.settleWaits.left(p.user.Name, p.Clock.Now()); left > 0 {
		return pass.Quiet(left)
	}
	return pass.Wait(settleTimeout, conditions.False(v1alpha1.ConditionRolesInherited, v1alpha1.ReasonProgressing,
		fmt.Sprintf("Waiting for AgentPool %s to add or remove the user in the portal; see its conditions", strings.Join(waits, ", "))))
}

// split divides all into the names for which is returns false, and the names for which it returns
// true.
func split(all []string, is func(string) bool) (others, those []string) {
	for _, s := range all {
		if is(s) {
			those = append(those, s)
		} else {
			others = append(others, s)
		}
	}
	return others, those
}

// settleWaits records the times at which users began to wait for their pools. It is safe for
// concurrent use.
type settleWaits struct {
	mu    sync.Mutex
	since map[string]time.Time
}

// left returns the time for which the user still waits, or 0 if the time is over. If the clock was
// set back, the wait ends.
func (w *settleWaits) left(user string, now time.Time) time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	since, ok := w.since[user]
	if !ok {
		if w.since == nil {
			w.since = map[string]time.Time{}
		}
		w.since[user] = now
		return settleTimeout
	}
	if so := now.Sub(since); so >= 0 {
		return max(0, settleTimeout-so)
	}
	return 0
}

func (w *settleWaits) end(user string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.since, user)
}
