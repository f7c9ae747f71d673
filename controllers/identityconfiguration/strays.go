// SPDX-License-Identifier: Apache-2.0

package identityconfiguration

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/kernel/portalapi"
	"lightrun.com/scim-operator/internal/kernel/shell"
	"lightrun.com/scim-operator/internal/operator/decide/provision"
	"lightrun.com/scim-operator/internal/operator/pass"
	"lightrun.com/scim-operator/internal/operator/userplan"
)

// auditEvery is the time between two searches for strays while none are known. A search compares
// all users and accounts in memory.
const auditEvery = 5 * time.Minute

// maxNamed is the maximum number of records that an event names.
const maxNamed = 10

// strays is the state of the search for accounts without a user: accounts that this operator
// manages and whose ScimUser does not exist. The ScimUser was deleted without its tombstone, or
// while SCIM was off.
type strays struct {
	due        atomic.Bool // an event asks for a search now
	lastSearch time.Time
	firstSeen  map[string]time.Time // by the owner's UID; a restart of the manager forgets it
	settled    []*portalapi.Account // the accounts that the last search reported
	reported   []string             // their ids
}

// audit searches for strays, reports them, and releases those that a person asked to release.
// Without that request it releases none: the ScimUsers may be missing because a restore is not
// complete. While the manager finishes a deletion, the account looks like a stray for a moment.
func (p *scope) audit(ctx context.Context) pass.Outcome {
	now, s := p.Clock.Now(), &p.strays
	releaseUntil := p.decidedAt(v1alpha1.AnnotationReleaseOwnerGone)
	if !p.View.Mirror.Configuration().SCIMEnabled {
		return pass.Next()
	}
	p.searched = true
	due := s.due.Swap(false)
	if !due && releaseUntil.IsZero() && now.Sub(s.lastSearch) < s.interval() {
		return pass.Next()
	}
	all, err := p.withoutUser(ctx)
	if err != nil {
		s.due.Store(true)
		return p.Retry(err)
	}
	o := pass.Next()
	found, report := s.found(all, now)
	if len(found) < len(all) {
		s.due.Store(true)
	}
	p.Counter.Strays(len(found))
	if report {
		p.Event(corev1.EventTypeWarning, "AccountsWithoutUser", "Audit",
			"%d account(s) that this operator manages have no ScimUser: %s. To release them: %s", len(found), named(s.reported), shell.Scim(p.config.Namespace, "audit", "--release"))
	}
	o = o.And(p.Retry(p.releaseStrays(ctx, found, releaseUntil)))
	if s.due.Load() {
		o = o.Within(settling)
	}
	return o
}

// found records the result of a search, and returns the accounts that have been without a ScimUser
// for a while. report is true if there are some and the last search did not find the same ones.
func (s *strays) found(accounts []*portalapi.Account, now time.Time) (settled []*portalapi.Account, report bool) {
	firstSeen := make(map[string]time.Time, len(accounts))
	var ids []string
	for _, a := range accounts {
		firstSeen[a.Owner.UID] = now
		if first, ok := s.firstSeen[a.Owner.UID]; ok {
			firstSeen[a.Owner.UID] = first
		}
		if now.Sub(firstSeen[a.Owner.UID]) >= settling {
			settled, ids = append(settled, a), append(ids, a.ID)
		}
	}
	report = len(ids) > 0 && !slices.Equal(ids, s.reported)
	s.lastSearch, s.firstSeen, s.settled, s.reported = now, firstSeen, settled, ids
	return settled, report
}

// interval is shorter while strays are known, so that the metric soon shows that they were released
// or restored.
func (s *strays) interval() time.Duration {
	if len(s.reported) > 0 {
		return resync
	}
	return auditEvery
}

// withoutUser returns the strays, as the watch cache and the mirror show them.
func (p *scope) withoutUser(ctx context.Context) ([]*portalapi.Account, error) {
	var users v1alpha1.ScimUserList
	if err := p.List(ctx, &users, client.InNamespace(p.config.Namespace), client.UnsafeDisableDeepCopy); err != nil {
		return nil, fmt.Errorf("list users: %w", err)
	}
	return userplan.WithoutUser(p.View.Mirror, users.Items), nil
}

// releaseStrays releases the strays that this process has seen by releaseUntil, a time that a
// person gave after they had seen the list; zero releases none. The guard does not count this
// release, since a person decided about these accounts. After a restart of the manager, accounts
// count as seen at the first search: a person who gave an earlier time must repeat the request.
func (p *scope) releaseStrays(ctx context.Context, found []*portalapi.Account, releaseUntil time.Time) error {
	if releaseUntil.IsZero() || p.spec.ManagementPolicy == v1alpha1.PolicyReportOnly {
		return nil
	}
	for _, a := range found {
		if p.strays.firstSeen[a.Owner.UID].Truncate(time.Second).After(releaseUntil) {
			continue
		}
		mode := provision.ComputeRelease(a, p.config.Spec.OnDelete, false).Mode
		if err := p.View.Client.ReleaseAccount(ctx, a.Owner, mode); err != nil {
			return fmt.Errorf("release account %s, whose ScimUser does not exist: %w", a.ID, err)
		}
		p.View.Mirror.PutReleased(a.Owner)
		p.strays.due.Store(true) // the next search shows that it is released
		ctrl.LoggerFrom(ctx).Info("Released an account whose ScimUser does not exist", "account", a.ID, "mode", mode)
	}
	return nil
}

// named lists up to maxNamed of the records, and counts the others.
func named(records []string) string {
	out := slices.Clone(records[:min(len(records), maxNamed)])
	if more := len(records) - len(out); more > 0 {
		out = append(out, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(out, ", ")
}
