// SPDX-License-Identifier: Apache-2.0

package preview

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/kernel/claims"
	"lightrun.com/scim-operator/internal/kernel/names"
	"lightrun.com/scim-operator/internal/kernel/portalapi"
	sets "lightrun.com/scim-operator/internal/operator/decide/guard"
	"lightrun.com/scim-operator/internal/operator/decide/provision"
	"lightrun.com/scim-operator/internal/operator/groupindex"
	"lightrun.com/scim-operator/internal/operator/poolplan"
	guard "lightrun.com/scim-operator/internal/operator/removals"
	"lightrun.com/scim-operator/internal/operator/userplan"
)

const (
	dropped = "the record stays unchanged, and other changes of it wait with the removal"
	held    = "The deprovisioning guard holds this removal until a person releases or drops it, or the object reverts it"
)

// held makes s wait for a person: its removals are counted, but the budget does not allow them.
func (s Step) held(removals int) Step {
	s = s.waits(v1alpha1.ReasonGuardHeld, held)
	s.Removals = removals
	return s
}

func (s Step) waits(reason, message string) Step {
	s.Action, s.Reason, s.Message, s.Changes, s.Removals = string(provision.Wait), reason, message, nil, 0
	return s
}

// named returns the condition reason and message if o waits because another object has the name.
func (p *preview) named(ctx context.Context, o client.Object, typ v1alpha1.ClaimType, all ...string) (reason, message string, err error) {
	registry := claims.Registry{Live: p.objects, Names: groupindex.Names(p.objects.groups)}
	for _, name := range all {
		if err := names.Validate(name); err != nil {
			return v1alpha1.ReasonInvalidName, fmt.Sprintf("%q: %v", name, err), nil
		}
		other, err := registry.Owner(ctx, typ, o.GetNamespace(), name)
		if err != nil {
			return "", "", err
		}
		if other == nil || other.GetUID() == o.GetUID() {
			continue
		}
		if pool, ok := o.(*v1alpha1.AgentPool); ok {
			if poolplan.Succeeds(pool, other.GetName(), p.objects.groups) {
				continue
			}
			reason, message = poolplan.NameTaken(name, other, p.objects.groups, p.portal)
			return reason, message, nil
		}
		return v1alpha1.ReasonNameTaken, fmt.Sprintf("%s %s has the name %q; rename one of the two", strings.TrimPrefix(strings.TrimSpace(kind(other)), "*v1alpha1."), other.GetName(), name), nil
	}
	return "", "", nil
}

// pools plans for every AgentPool.
func (p *preview) pools(ctx context.Context) error {
	p.names = map[string]string{}
	for i := range p.objects.pools {
		lines, err := p.resolve(ctx, &p.objects.pools[i])
		if err != nil {
			return err
		}
		s, err := p.pool(ctx, &p.objects.pools[i])
		if err != nil {
			return err
		}
		if asks := lines.Asks(&p.objects.pools[i]); asks != "" && s.Reason == "" {
			s.Reason, s.Message = v1alpha1.ReasonMemberChanged, asks
		}
		p.report.Pools = append(p.report.Pools, s)
	}
	return nil
}

// resolve sets the groups and users that the pool's lines mean in its status, as its reconciler
// would write them.
func (p *preview) resolve(ctx context.Context, o *v1alpha1.AgentPool) (poolplan.Members, error) {
	_, pins, undecided := poolplan.Resolve(o, p.objects.groups, p.portal)
	members, err := poolplan.ResolveMembers(ctx, p.objects, o, p.portal)
	if err != nil {
		return members, err
	}
	if o.Status.Groups, o.Status.Members = pins, members.Pins; !undecided && !members.Undecided {
		o.Status.ObservedGeneration = o.Generation
	}
	return members, nil
}

func (p *preview) pool(ctx context.Context, o *v1alpha1.AgentPool) (Step, error) {
	named, _ := groupindex.WithPortalName(o, p.objects.groups)
	s := Step{Kind: "AgentPool", Name: o.Name, Title: named.PortalName()}
	if !o.DeletionTimestamp.IsZero() {
		return p.leavingPool(o, s), nil
	}
	if o.Name != v1alpha1.DefaultName {
		if reason, message, err := p.named(ctx, o, v1alpha1.ClaimPool, named.PortalName()); reason != "" || err != nil {
			return s.waits(reason, message), err
		}
	}
	plan, have, frozen, err := poolplan.Plan(ctx, p.objects, named, p.portal, nil)
	if err != nil {
		return s, err
	}
	if before := poolplan.Predecessor(o, p.objects.pools, p.objects.groups, p.portal); before != nil {
		plan = poolplan.Succeed(plan, provision.WantPool(named), p.portal.OwnedPool(string(before.UID)))
	}
	s.Action, s.Reason, s.Message = string(plan.Action), plan.Reason, poolWhy(plan)
	if frozen != nil {
		s.Reason, s.Message = frozen.Reason, frozen.Message
	}
	if plan.Pool != nil {
		s.Record = plan.Pool.ID
	}
	if plan.LosesManager {
		var mark *portalapi.Mark
		if plan.Pool != nil {
			mark = plan.Pool.Mark
		}
		removal := poolplan.ManagerSet(o, plan, p.portal, mark)
		outcome := p.foresee(o, removal)
		switch outcome.Verdict {
		case sets.Keep:
			p.names[plan.Pool.ID] = o.Name
			return s.waits(v1alpha1.ReasonRemovalDropped, outcome.Dropped(dropped)), nil
		case sets.Hold:
			p.names[plan.Pool.ID] = o.Name
			return s.held(len(removal.Users)), nil
		case sets.Apply:
			s.Removals = asked(outcome)
		}
	}
	p.planned(o, &s, plan, have)
	return s, nil
}

// leavingPool plans the release of the pool of an AgentPool that is being deleted.
func (p *preview) leavingPool(o *v1alpha1.AgentPool, s Step) Step {
	plan := poolplan.PlanRelease(o, p.objects.pools, p.objects.groups, p.portal)
	s.Action, s.Message = Release, "Its AgentPool is being deleted; the pool stays in the portal"
	switch {
	case plan.Deletes:
		s.Message = "Its AgentPool is being deleted, and the pool with it"
	case plan.Remove:
		s.Message = "Its AgentPool is being deleted; the pool stays in the portal without the roles that it granted"
	}
	if plan.Pool == nil {
		return s
	}
	s.Record, p.names[plan.Pool.ID] = plan.Pool.ID, o.Name
	switch outcome := p.foresee(o, plan.Removal); outcome.Verdict {
	case sets.Hold:
		return s.held(len(plan.Removal.Users))
	case sets.Keep:
		s.Message = "Its AgentPool is being deleted; a person decided that the pool stays in the portal as it is"
	case sets.Apply:
		s.Removals = asked(outcome)
	}
	return s
}

// foresee predicts the guard's outcome for a removal, except for the company's budget, which is
// compared with all steps together later.
func (p *preview) foresee(o client.Object, r guard.Removal) guard.Outcome {
	facts := guard.Facts{Object: o, Spec: p.config.Spec.DeprovisioningGuard, Now: time.Now()}
	fits := func() (bool, error) { return r.Members == 0 || r.Members <= p.left.Members(r.Pool), nil }
	outcome, _ := guard.Foresee(facts, r, fits) // it returns only errors of fits
	return outcome
}

// asked returns the number of removals that the company's budget decides about.
func asked(a guard.Outcome) int {
	if a.Decision != "" {
		return 0 // a person released them
	}
	return a.Removal.Accounts
}

// members predicts, for each pool that is in the portal after the steps so far, whether the users
// that must leave the pool will leave it.
func (p *preview) members(ctx context.Context) error {
	p.stays = map[string]bool{}
	for i := range p.objects.pools {
		o := &p.objects.pools[i]
		own := p.portal.OwnedPool(string(o.UID))
		if own == nil || own.Default || !o.DeletionTimestamp.IsZero() {
			continue
		}
		changes, _, err := poolplan.MemberChanges(ctx, o, own, poolplan.MemberFacts{
			Users: p.objects, Groups: p.objects.groups, Mirror: p.portal, Snapshot: p.pooled,
		})
		if err != nil {
			return err
		}
		s := &p.report.Pools[i]
		if len(changes.Leave) == 0 {
			continue
		}
		removal := poolplan.LeaveSet(o, own, changes.Leave, p.portal)
		switch outcome := p.foresee(o, removal); {
		case s.Reason == v1alpha1.ReasonGuardHeld || s.Reason == v1alpha1.ReasonRemovalDropped:
			p.stays[own.ID] = true // one decision at a time
		case outcome.Verdict == sets.Hold:
			p.stays[own.ID] = true
			s.Reason, s.Message, s.Removals = v1alpha1.ReasonGuardHeld, fmt.Sprintf("%d user(s) to be removed stay until a person decides", len(removal.Users)), len(removal.Users)
		case outcome.Verdict == sets.Keep:
			p.stays[own.ID] = true
			s.Reason, s.Message = v1alpha1.ReasonRemovalDropped, outcome.Dropped(fmt.Sprintf("%d user(s) stay in the pool", len(removal.Users)))
		default:
			s.Removals += asked(outcome)
			p.leave(o.Name, changes.Leave)
		}
	}
	return nil
}

// leave records the leftovers among the accounts that leave the pool of an AgentPool.
func (p *preview) leave(pool string, accounts []*portalapi.Account) {
	for i := range p.report.WithoutUser {
		l := &p.report.WithoutUser[i]
		if slices.ContainsFunc(accounts, func(a *portalapi.Account) bool { return a.ID == l.ID }) {
			l.Leaves = append(l.Leaves, pool)
		}
	}
}

// planned takes the pool into the portal's copy as it would be, and its people's roles with it.
func (p *preview) planned(o *v1alpha1.AgentPool, s *Step, plan provision.PoolPlan, have *portalapi.Pool) {
	was := plan.Pool
	if was == nil {
		was = &portalapi.Pool{ID: "new pool " + o.Name}
	}
	p.names[was.ID] = o.Name
	if !s.Writes() {
		if have != nil {
			s.Title = have.Name
		}
		return
	}
	will := *was
	will.Name, will.Description, will.Owner, will.Roles, will.Ungranted = plan.Write.Name, plan.Write.Description, plan.Write.Owner, plan.Write.Roles, nil
	will.Revision++
	s.change("name", was.Name, will.Name)
	s.change("description", was.Description, will.Description)
	s.change("roles", strings.Join(was.Roles, ","), strings.Join(will.Roles, ","))
	p.portal.PutPool(&will)
	for _, a := range p.portal.Accounts() {
		if a.ManagedBy == portalapi.ManagedBySCIM && slices.Contains(a.Pools, will.ID) {
			p.inherit(a)
		}
	}
}

// inherit sets the roles of an account in the copy to the roles that its pools give, as the portal
// derives them.
func (p *preview) inherit(a *portalapi.Account) {
	will := *a
	will.Roles = p.derived(a.Pools)
	will.Revision++
	p.portal.PutAccount(&will)
}

// derived returns the sorted roles of a SCIM-managed account that is in these pools of the copy.
func (p *preview) derived(pools []string) []string {
	roles := map[string]bool{portalapi.RoleUser: true}
	for _, id := range pools {
		if pool := p.portal.Pool(id); pool != nil {
			for _, r := range pool.Roles {
				roles[r] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(roles))
}

func (s *Step) change(field, from, to string) {
	if from != to {
		s.Changes = append(s.Changes, Change{field, from, to})
	}
}

// people plans for every ScimUser. A user that waits for a name that another step releases is
// planned again: the first step does everything except the name, the second does the name.
func (p *preview) people(ctx context.Context) error {
	again := make([]int, len(p.objects.users))
	for i := range again {
		again[i] = i
	}
	steps := make([][]Step, len(again))
	for {
		var waiting []int
		for _, i := range again {
			s, err := p.person(ctx, &p.objects.users[i])
			if err != nil {
				return err
			}
			if steps[i] = followed(steps[i], s); s.Reason == v1alpha1.ReasonNameReleasePending {
				waiting = append(waiting, i)
			}
		}
		if len(waiting) == len(again) || len(waiting) == 0 {
			p.report.Users = slices.Concat(steps...)
			return nil
		}
		again = waiting
	}
}

// followed appends the next step to the steps of one user. It removes an earlier step that only
// waits, and does not append a step that only waits after a step that writes.
func followed(so []Step, next Step) []Step {
	switch {
	case len(so) == 0:
	case !so[len(so)-1].Writes():
		so = so[:len(so)-1]
	case !next.Writes():
		return so
	}
	return append(so, next)
}

func (p *preview) person(ctx context.Context, u *v1alpha1.ScimUser) (Step, error) {
	s := Step{Kind: "ScimUser", Name: u.Name, Title: u.Spec.UserName}
	switch {
	case u.Spec.Deleted:
		return p.leaving(u, s), nil
	case u.Spec.Suspend:
		s.Action, s.Reason, s.Message = Suspended, v1alpha1.ReasonSuspendedByUser, "spec.suspend is set: nothing is written to the portal about this user"
		return s, nil
	}
	if reason, message, err := p.named(ctx, u, v1alpha1.ClaimUser, u.Spec.UserName); reason != "" || err != nil {
		return s.waits(reason, message), err
	}
	a, _ := userplan.Access(u, p.pooled, p.portal)
	has := userplan.AddUnmanaged(u, a, p.pooled, p.portal)
	s.Pools, s.Roles = holdings(has)
	facts := userplan.Facts{Snapshot: p.pooled, Mirror: p.portal, Objects: p.objects}
	own, err := userplan.Plan(ctx, u, a, facts)
	if err != nil {
		return s, err
	}
	facts.KeepsMembers = func(pool string) bool { return p.stays[pool] }
	plan, err := userplan.Plan(ctx, u, a, facts) // includes what the pools' reconcilers do
	if err != nil {
		return s, err
	}
	s.Action, s.Reason, s.Message = string(plan.Action), plan.Reason, why(plan)
	if plan.Account != nil {
		s.Record = plan.Account.ID
	}
	if own.Removal {
		what := portalapi.RemovalManager
		if !own.Write.Active {
			what = portalapi.RemovalDeactivation
		}
		switch outcome := p.foresee(u, guard.Removal{Set: guard.Set(what, u, u.Name), Mark: own.Account.Mark, Accounts: 1}); outcome.Verdict {
		case sets.Keep:
			return s.waits(v1alpha1.ReasonRemovalDropped, outcome.Dropped(dropped)), nil
		case sets.Hold:
			return s.held(1), nil
		case sets.Apply:
			s.Removals = asked(outcome)
		}
	}
	return p.carriedOut(s, plan), nil
}

// carriedOut applies the plan of an account to the copy of the portal.
func (p *preview) carriedOut(s Step, plan provision.Plan) Step {
	if was := plan.Account; plan.Action == provision.Adopt && localManager(was) {
		if p.managers == 1 {
			return s.waits(v1alpha1.ReasonLastManager, "No local manager with a password would remain: it stays local. Make another local account with a password a manager in the portal")
		}
		p.managers--
	}
	s.Changes = p.changes(plan)
	if !plan.Writes() {
		return s
	}
	w := plan.Write
	roles := p.derived(w.Pools)
	if plan.Account != nil {
		p.roles[plan.Account.ID] = roles
	}
	will := &portalapi.Account{
		ID: "new account of " + s.Name, UserName: w.UserName, DisplayName: w.DisplayName, GivenName: w.GivenName, FamilyName: w.FamilyName, Email: w.Email,
		ExternalID: w.ExternalID, Status: portalapi.StatusActive, ManagedBy: portalapi.ManagedBySCIM, Owner: w.Owner, Pools: w.Pools, Roles: roles,
	}
	if !w.Active {
		will.Status, will.DeactivatedBy = portalapi.StatusDeactivated, portalapi.ManagedBySCIM
	}
	if plan.Account != nil {
		will.ID, will.Revision = plan.Account.ID, plan.Account.Revision+1
	}
	p.portal.PutAccount(will)
	return s
}

// changes returns the plan's differences in human-readable form, and the change of the roles. The
// roles follow from the pools that the account will be in. These include the pools that it leaves
// only after a person's decision.
func (p *preview) changes(plan provision.Plan) []Change {
	if plan.Account == nil || plan.Action == provision.Wait {
		return nil
	}
	var s Step
	for _, d := range plan.Differences {
		switch d.Field {
		case "revision", "owner": // these only connect records with each other
		case "userName":
			s.change(d.Field, d.Have, plan.Write.UserName) // the name that this step writes: the wanted one may have to wait
		case "pools":
			s.change("pools", p.poolNames(plan.Account.Pools), p.poolNames(plan.Write.Pools))
		case "ungranted":
			s.change("pools without a grant", p.poolNames(plan.Account.Ungranted), "")
		default:
			s.change(d.Field, d.Have, d.Want)
		}
	}
	pools := plan.Account.Pools
	if plan.Writes() {
		pools = plan.Write.Pools
	}
	if was, known := p.roles[plan.Account.ID]; known {
		s.change("roles", strings.Join(was, ","), strings.Join(p.derived(pools), ","))
	}
	return s.Changes
}

// poolNames returns the names of the AgentPools, or the portal's name of a pool that no AgentPool
// manages.
func (p *preview) poolNames(ids []string) string {
	var out []string
	for _, id := range ids {
		name := p.names[id]
		if pool := p.portal.Pool(id); name == "" && pool != nil {
			name = pool.Name
		}
		out = append(out, name)
	}
	slices.Sort(out)
	return strings.Join(out, ",")
}

// leaving plans the release of the account of a user that the provider deleted.
func (p *preview) leaving(u *v1alpha1.ScimUser, s Step) Step {
	plan := provision.ComputeRelease(userplan.Kept(u, p.portal), p.config.Spec.OnDelete, false)
	s.Action, s.Message = Release, fmt.Sprintf("The provider deleted the user: %s", plan.Mode)
	if plan.Account == nil {
		return s
	}
	s.Record = plan.Account.ID
	if !plan.Removal {
		p.released(plan)
		return s
	}
	what := userplan.RemovalOf(plan.Mode)
	switch outcome := p.foresee(u, guard.Removal{Set: guard.Set(what, u, u.Name), Mark: plan.Account.Mark, Accounts: 1}); outcome.Verdict {
	case sets.Hold:
		return s.held(1)
	case sets.Keep:
		return s.waits(v1alpha1.ReasonRemovalDropped, "A person dropped this deletion: the user is restored if the user name is still free")
	case sets.Apply:
		s.Removals = asked(outcome)
		p.released(plan)
	}
	return s
}

// released applies the release of an account to the copy of the portal: the user that has the name
// now adopts the account after it. An account that the portal deletes stays in the copy.
func (p *preview) released(plan provision.ReleasePlan) {
	will := *plan.Account
	will.Owner, will.Mark = portalapi.Owner{}, nil
	will.Revision++
	switch plan.Mode {
	case portalapi.ReleaseDeactivate:
		will.Status, will.DeactivatedBy, will.Pools, will.Ungranted = portalapi.StatusDeactivated, portalapi.ManagedBySCIM, nil, nil
		will.Roles = nil
	case portalapi.ReleaseOrphan:
		will.ManagedBy = portalapi.ManagedByLocal
	default:
		return
	}
	p.portal.PutAccount(&will)
}
