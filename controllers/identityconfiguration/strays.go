// SPDX-License-Identifier: Apache-2.0

package identityconfiguration

import (
	"context"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/kernel/portalapi"
	"lightrun.com/scim-operator/internal/operator/decide/provision"
	"lightrun.com/scim-operator/internal/operator/pass"
	"lightrun.com/scim-operator/internal/operator/portalclient/mirror"
	"lightrun.com/scim-operator/internal/operator/removals"
)

// auditEvery is how often accounts of ours are looked for whose user is gone. It costs one walk
// over both in memory.
const auditEvery = 5 * time.Minute

// named is how many of them an event names.
const named = 10

// strays are accounts of ours whose ScimUser is gone: their object was removed by force, or while
// SCIM was off.
type strays struct {
	looked   time.Time
	since    map[string]time.Time // owner's UID → when first seen
	reported int
}

// audit looks for strays, reports them, and releases those that a person asked to release. Nothing
// is released unasked: the objects may be missing because a restore is not complete.
func (p *scope) audit(ctx context.Context) pass.Outcome {
	now, s := p.Clock.Now(), &p.strays
	asked, _ := removals.By(p.config.Annotations[v1alpha1.AnnotationReleaseStrays], now)
	if !p.View.Mirror.Configuration().SCIMEnabled || (asked.IsZero() && now.Sub(s.looked) < p.every()) {
		return pass.Next()
	}
	found, err := p.withoutUser(ctx)
	if err != nil {
		return p.Retry(err)
	}
	s.looked = now
	since := make(map[string]time.Time, len(found))
	for _, a := range found {
		since[a.Owner.UID] = now
		if first, ok := s.since[a.Owner.UID]; ok {
			since[a.Owner.UID] = first
		}
	}
	s.since = since
	p.Counter.Strays(len(found))
	if len(found) != s.reported && len(found) > 0 {
		p.Event(corev1.EventTypeWarning, "AccountsWithoutUser", "Audit",
			"%d account(s) of ours have no ScimUser any more: %s. They stay as they are; to release them: kubectl scim audit --release", len(found), ids(found))
	}
	s.reported = len(found)
	return p.Retry(p.releaseStrays(ctx, found, asked))
}

// every is shorter while there are strays, to see them go.
func (p *scope) every() time.Duration {
	if p.strays.reported > 0 {
		return resync
	}
	return auditEvery
}

// withoutUser are the strays, by the cache and the mirror.
func (p *scope) withoutUser(ctx context.Context) ([]*portalapi.Account, error) {
	var users v1alpha1.ScimUserList
	if err := p.List(ctx, &users, client.InNamespace(p.config.Namespace), client.UnsafeDisableDeepCopy); err != nil {
		return nil, fmt.Errorf("list users: %w", err)
	}
	return WithoutUser(p.View.Mirror, users.Items), nil
}

// WithoutUser returns the accounts of ours that none of the users owns, in order of id. A user who
// was restored owns the account that the same SCIM id had under this binding, also while nothing
// may be written about them.
func WithoutUser(m *mirror.Mirror, users []v1alpha1.ScimUser) []*portalapi.Account {
	uids, names := make(map[string]bool, len(users)), make(map[string]bool, len(users))
	for i := range users {
		uids[string(users[i].UID)], names[users[i].Name] = true, true
	}
	binding := m.Binding()
	return m.Without(func(o portalapi.Owner) bool { return uids[o.UID] || names[o.Name] && o.Binding == binding })
}

// releaseStrays releases those that were found by the time that a person gave. They named them, so
// the guard is not asked.
func (p *scope) releaseStrays(ctx context.Context, found []*portalapi.Account, asked time.Time) error {
	if asked.IsZero() || p.spec.ManagementPolicy == v1alpha1.PolicyReportOnly {
		return nil
	}
	for _, a := range found {
		if p.strays.since[a.Owner.UID].Truncate(time.Second).After(asked) {
			continue
		}
		mode := provision.ComputeRelease(a, p.config.Spec.OnDelete, false).Mode
		if err := p.View.Client.ReleaseAccount(ctx, a.Owner, mode); err != nil {
			return fmt.Errorf("release account %s, whose user is gone: %w", a.ID, err)
		}
		ctrl.LoggerFrom(ctx).Info("Released an account whose user is gone", "account", a.ID, "mode", mode)
	}
	return nil
}

func ids(accounts []*portalapi.Account) string {
	var out []string
	for _, a := range accounts[:min(len(accounts), named)] {
		out = append(out, a.ID)
	}
	if more := len(accounts) - len(out); more > 0 {
		out = append(out, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(out, ", ")
}
