// SPDX-License-Identifier: Apache-2.0

// Package preview computes what the controllers would change in the portal, with the reasons, and
// changes nothing. It reads the objects and the portal once, and calls the functions that decide
// for the controllers. It applies each plan to a copy of the portal in memory, so that later plans
// build on it.
package preview

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/kernel/conditions"
	"lightrun.com/scim-operator/internal/kernel/names"
	"lightrun.com/scim-operator/internal/kernel/portalapi"
	"lightrun.com/scim-operator/internal/operator/decide/provision"
	"lightrun.com/scim-operator/internal/operator/poolindex"
	"lightrun.com/scim-operator/internal/operator/portalclient/mirror"
	"lightrun.com/scim-operator/internal/operator/removals"
	"lightrun.com/scim-operator/internal/operator/userplan"
)

// Options are the inputs of a preview.
type Options struct {
	Objects   client.Reader    // the API server
	Portal    portalapi.Client // used only for reading
	Namespace string
	// Migrate previews with "Provision existing users with SCIM" on, whatever it is now.
	Migrate bool
}

// preview is the state of the computation of one report.
type preview struct {
	Options
	config   *v1alpha1.IdentityConfiguration
	objects  *snapshot
	portal   *mirror.Mirror                // the copy of the portal, after the steps so far
	before   map[string]*portalapi.Account // the portal's current accounts, by id
	roles    map[string][]string           // roles after the steps so far, by the account's id
	names    map[string]string             // names of pools, by portal id
	titles   map[string]string             // names of the portal's current pools, by id
	pooled   *poolindex.Snapshot
	stays    map[string]bool // portal ids of the pools whose members do not leave, because the guard would hold that or a person dropped it
	left     removals.Left
	managers int // number of local managers with a password, after the steps so far
	report   *Report
}

// Compute returns the report. It fails if it cannot read the objects or the portal.
func Compute(ctx context.Context, o Options) (*Report, error) {
	p := &preview{Options: o, config: &v1alpha1.IdentityConfiguration{}, portal: mirror.New(func(mirror.Event) {}), report: &Report{Namespace: o.Namespace, Pools: []Step{}, WithoutUser: []Leftover{}, WithoutAgentPool: []Pool{}, WithoutOwner: []Pool{}, LocalMembers: []LocalMember{}}}
	key := client.ObjectKey{Namespace: o.Namespace, Name: v1alpha1.DefaultName}
	if err := o.Objects.Get(ctx, key, p.config); err != nil {
		return nil, fmt.Errorf("get IdentityConfiguration %s: %w", key, err)
	}
	var err error
	if p.objects, err = take(ctx, o.Objects, o.Namespace); err != nil {
		return nil, err
	}
	if err := p.portal.Read(ctx, o.Portal); err != nil {
		return nil, err
	}
	if err := p.run(ctx); err != nil {
		return nil, err
	}
	return p.report, nil
}

func (p *preview) run(ctx context.Context) error {
	r := p.report
	r.Portal, r.Provider = p.config.Spec.Portal.URL, p.config.ProviderName()
	if b := p.portal.Configuration().Binding; b != nil {
		r.Provider = b.Provider().String()
	}
	r.Waits, r.Replacement = p.waits()
	p.remember()
	if c := *p.portal.Configuration(); p.Migrate && !c.ProvisionExistingUsers {
		c.ProvisionExistingUsers = true
		c.Revision++
		p.portal.PutConfiguration(&c)
	}
	r.ProvisionExistingUsers = p.portal.Configuration().ProvisionExistingUsers
	for _, a := range userplan.WithoutUser(p.portal, p.objects.users) {
		r.WithoutUser = append(r.WithoutUser, leftover(a))
	}
	managersFirst(r.WithoutUser, Leftover.Manages)
	for _, pool := range poolindex.WithoutAgentPool(p.portal, p.objects.pools) {
		r.WithoutAgentPool = append(r.WithoutAgentPool, withoutAgentPool(pool, p.portal))
	}
	managersFirst(r.WithoutAgentPool, func(p Pool) bool { return slices.Contains(p.Roles, portalapi.RoleManager) })
	for _, pool := range p.portal.Pools() {
		if found, gives := withoutOwner(pool, p.portal); gives {
			r.WithoutOwner = append(r.WithoutOwner, found)
		}
	}
	r.LocalMembers = localMembers(p.portal)
	left, err := removals.Budgets(ctx, p.Portal, p.config.Spec.DeprovisioningGuard)
	if err != nil {
		return err
	}
	p.left = left
	if err := p.pools(ctx); err != nil {
		return err
	}
	snapshot, err := poolindex.New(p.objects, p.Namespace, p.objects.groups).Snapshot(ctx, p.portal)
	if err != nil {
		return err
	}
	p.pooled = snapshot
	if err := p.members(ctx); err != nil {
		return err
	}
	if err := p.people(ctx); err != nil {
		return err
	}
	if p.Migrate {
		r.Migration = p.migration()
	}
	p.guard()
	return nil
}

// remember copies the portal's current state, with which the steps are compared.
func (p *preview) remember() {
	p.before, p.roles, p.titles = map[string]*portalapi.Account{}, map[string][]string{}, map[string]string{}
	for _, pool := range p.portal.Pools() {
		p.titles[pool.ID] = pool.Name
	}
	for _, a := range p.portal.Accounts() {
		p.before[a.ID], p.roles[a.ID] = a, a.Roles
		if localManager(a) {
			p.managers++
		}
	}
}

// localManager reports whether the account is a local manager who can sign in with a password.
func localManager(a *portalapi.Account) bool {
	return a.ManagedBy == portalapi.ManagedByLocal && a.Status == portalapi.StatusActive && a.PasswordSet && slices.Contains(a.Roles, portalapi.RoleManager)
}

// waits returns the reason why nothing is written to the portal now, and what a change of provider
// would do. Both can be empty.
func (p *preview) waits() (why, replacement string) {
	c := p.portal.Configuration()
	if b := c.Binding; b != nil && b.UID != string(p.config.UID) && (b.Namespace != p.config.Namespace || b.Name != p.config.Name) {
		return fmt.Sprintf("The portal follows IdentityConfiguration %s/%s of cluster %s", b.Namespace, b.Name, b.Cluster), ""
	}
	declared := provision.WantBinding(p.config, "")
	if b, want := c.Binding, declared.Provider(); b != nil && !b.Provider().IsRefined(want) {
		replacement = provision.DescribeReplacement(p.Namespace, b.Provider(), want, len(p.objects.users))
	}
	switch {
	case !c.SCIMEnabled:
		return "SCIM is off in the portal's login methods", replacement
	case conditions.IsTrue(p.config.Status.Conditions, v1alpha1.ConditionRestoreOpen):
		return "the restore window is open", replacement
	case p.config.Spec.ManagementPolicy == v1alpha1.PolicyReportOnly:
		return "managementPolicy is ReportOnly", replacement
	}
	return "", replacement
}

// guard computes what the deprovisioning guard would decide about the steps.
func (p *preview) guard() {
	g := Guard{Left: p.left.Accounts, Window: p.left.Window.String()}
	asks := 0 // removals that the budget is asked about
	for _, steps := range [][]Step{p.report.Pools, p.report.Users} {
		for _, s := range steps {
			g.Removals += s.Removals
			if s.Reason != v1alpha1.ReasonGuardHeld {
				asks += s.Removals
			}
		}
	}
	g.Held = g.Removals - min(asks, g.Left)
	p.report.Guard = g
}

// migration sorts the current local accounts by what would happen to them.
func (p *preview) migration() *Migration {
	m := &Migration{Adopted: []Account{}, LosingManager: []Account{}, LastManager: []Account{}, Unmatched: []Account{}, Ambiguous: []Ambiguous{}}
	steps := map[string]Step{} // the last step about each account that a ScimUser would adopt, by id
	for _, s := range p.report.Users {
		a := p.before[s.Record]
		if a == nil || a.ManagedBy != portalapi.ManagedByLocal {
			continue
		}
		one := Account{ID: a.ID, UserName: a.UserName, ScimUser: s.Name}
		switch {
		case s.Reason == v1alpha1.ReasonLastManager:
			m.LastManager = append(m.LastManager, one)
		case s.Writes():
			m.Adopted = append(m.Adopted, one)
			if slices.Contains(a.Roles, portalapi.RoleManager) && !slices.ContainsFunc(s.Roles, func(g Grant) bool { return g.Name == portalapi.RoleManager }) {
				m.LosingManager = append(m.LosingManager, one)
			}
		}
		steps[a.ID] = s
	}
	addresses := p.addresses()
	for _, a := range p.before {
		if a.ManagedBy != portalapi.ManagedByLocal {
			continue
		}
		l := portalapi.MigrationLine{AccountID: a.ID, UserName: a.UserName, Outcome: portalapi.MigrationUnmatched, Message: "No user at the identity provider has this user name"}
		if s, ok := steps[a.ID]; ok {
			l.Outcome, l.Message = portalapi.MigrationWaits, s.Message
			if s.Writes() {
				p.adopts(&l, a)
			}
		} else if who := p.perhaps(a, addresses); who != "" {
			l.Outcome, l.Message = portalapi.MigrationSameAddress, who
			m.Ambiguous = append(m.Ambiguous, Ambiguous{Account{ID: a.ID, UserName: a.UserName}, who})
		} else {
			m.Unmatched = append(m.Unmatched, Account{ID: a.ID, UserName: a.UserName})
		}
		m.Lines = append(m.Lines, l)
	}
	byName := func(a, b Account) int { return cmp.Compare(names.Fold(a.UserName), names.Fold(b.UserName)) }
	slices.SortFunc(m.Unmatched, byName)
	slices.SortFunc(m.Ambiguous, func(a, b Ambiguous) int { return byName(a.Account, b.Account) })
	slices.SortFunc(m.Lines, func(a, b portalapi.MigrationLine) int {
		return cmp.Compare(names.Fold(a.UserName), names.Fold(b.UserName))
	})
	return m
}

// adopts completes the line of an account that is adopted, from the copy of the portal after all
// steps.
func (p *preview) adopts(l *portalapi.MigrationLine, was *portalapi.Account) {
	l.Outcome = portalapi.MigrationAdopted
	will := p.portal.Account(was.ID)
	if will == nil {
		return
	}
	if will.Status != was.Status {
		l.Becomes = will.Status
	}
	pools := func(ids []string) []string {
		out := make([]string, len(ids))
		for i, id := range ids {
			if out[i] = p.titles[id]; out[i] == "" {
				if pool := p.portal.Pool(id); pool != nil {
					out[i] = pool.Name
				}
			}
		}
		return out
	}
	l.RolesLost, l.RolesGained = differ(was.Roles, will.Roles)
	l.PoolsLost, l.PoolsGained = differ(pools(was.Pools), pools(will.Pools))
}

// differ returns the sorted values that only one of the two has.
func differ(had, has []string) (lost, gained []string) {
	only := func(in, out []string) []string {
		rest := slices.DeleteFunc(slices.Clone(in), func(v string) bool { return slices.Contains(out, v) })
		slices.Sort(rest)
		return rest
	}
	return only(had, has), only(has, had)
}

// addresses returns the ScimUser of each folded user name and e-mail address.
func (p *preview) addresses() map[string]*v1alpha1.ScimUser {
	all := map[string]*v1alpha1.ScimUser{}
	for i := range p.objects.users {
		u := &p.objects.users[i]
		for _, e := range append([]v1alpha1.MultiValue{{Value: u.Spec.UserName}}, u.Spec.Emails...) {
			if address := names.Fold(e.Value); address != "" && all[address] == nil {
				all[address] = u
			}
		}
	}
	return all
}

// perhaps returns a hint if an unmatched local account may belong to a ScimUser with another user
// name. Users are matched only by user name: an equal e-mail address is a hint, but not a match.
func (p *preview) perhaps(a *portalapi.Account, addresses map[string]*v1alpha1.ScimUser) string {
	u := addresses[names.Fold(a.UserName)]
	if u == nil {
		u = addresses[names.Fold(a.Email)]
	}
	if u == nil {
		return ""
	}
	hint := fmt.Sprintf("ScimUser %s (%s) has the same address under another user name: nothing is changed. If they are one person, ", u.Name, u.Spec.UserName)
	if own := p.portal.OwnedAccount(string(u.UID)); own != nil && p.before[own.ID] != nil {
		return hint + "deactivate or delete this local account: the person has the account " + p.before[own.ID].UserName
	}
	return hint + "change the user name at the provider to " + a.UserName + ", then preview again"
}
