// SPDX-License-Identifier: Apache-2.0

package preview

import (
	"slices"
	"strings"

	"lightrun.com/scim-operator/internal/kernel/portalapi"
	"lightrun.com/scim-operator/internal/operator/decide/access"
	"lightrun.com/scim-operator/internal/operator/decide/provision"
	"lightrun.com/scim-operator/internal/operator/portalclient/mirror"
)

// Actions of a step, in addition to the actions of package provision.
const (
	Release   = "Release"   // the account or pool is released, as onDelete says
	Suspended = "Suspended" // nothing is written to the portal for this user
)

// Report contains what the controllers would change in the portal now. Lists are in order of name.
// A user that gets a name that a later step releases has two consecutive steps: one for everything
// else, and one for the name.
type Report struct {
	Namespace string `json:"namespace"`
	Portal    string `json:"portal"`
	Provider  string `json:"provider"`
	// Waits is the reason why nothing is written now; the steps are what would be done otherwise.
	// It is empty if the controllers carry out the steps.
	Waits string `json:"waits,omitempty"`
	// ProvisionExistingUsers is the value that the steps assume.
	ProvisionExistingUsers bool       `json:"provisionExistingUsers"`
	Pools                  []Step     `json:"pools"`
	Users                  []Step     `json:"users"`
	Guard                  Guard      `json:"guard"`
	Migration              *Migration `json:"migration,omitempty"`
	// WithoutUser lists the accounts that this operator manages and that have no ScimUser, those
	// with ROLE_MANAGER first. They stay until a person releases them.
	WithoutUser []Leftover `json:"withoutUser"`
	// WithoutAgentPool lists the pools that this operator manages in the portal and that have no
	// AgentPool, those with ROLE_MANAGER first. Their members have their roles until a person
	// releases the pools.
	WithoutAgentPool []Pool `json:"withoutAgentPool"`
	// WithoutOwner lists the pools in the portal that have no owner, give roles, and have members
	// that SCIM manages, as after the deletion of an AgentPool with onDelete: Orphan. The operator
	// does not change them, so these users keep the roles whatever the provider pushes.
	WithoutOwner []Pool `json:"withoutOwner"`
	// LocalMembers lists the active local accounts that have roles by pools of AgentPools, for
	// example of users that were deleted with onDelete: Orphan. Neither the provider nor the
	// AgentPool decides about these memberships: administrators do, in the portal.
	LocalMembers []LocalMember `json:"localMembers"`
	// Replacement describes how to change the provider, and what that does. It is empty if the spec
	// names the bound provider.
	Replacement string `json:"replacement,omitempty"`
}

// Step is what the controllers would do about one object.
type Step struct {
	Kind    string `json:"kind"`
	Name    string `json:"name"`  // name of the object
	Title   string `json:"title"` // user name, or name of the pool in the portal
	Action  string `json:"action"`
	Record  string `json:"record,omitempty"` // the portal's id of the account or pool; empty if the step creates it
	Reason  string `json:"reason,omitempty"` // condition reason why the step waits
	Message string `json:"message"`
	// Removals is the number that the deprovisioning guard would count: users who lose their access
	// or the manager role.
	Removals int          `json:"removals,omitempty"`
	Changes  []Change     `json:"changes,omitempty"`
	Pools    []Membership `json:"pools,omitempty"`
	Roles    []Grant      `json:"roles,omitempty"`
}

// Writes reports whether the step changes the portal.
func (s Step) Writes() bool {
	switch provision.Action(s.Action) {
	case provision.Create, provision.Update, provision.Adopt, Release:
		return true
	}
	return false
}

// Membership is a pool that the user is in, with the reason.
type Membership struct {
	Name   string `json:"name"`
	Source string `json:"source"`
}

// Grant is a role that the user has, with the pools that grant it.
type Grant struct {
	Name string   `json:"name"`
	From []string `json:"from"`
}

// Change is one field that would change. Values may contain personal data.
type Change struct {
	Field string `json:"field"`
	From  string `json:"from"`
	To    string `json:"to"`
}

// Guard contains what the deprovisioning guard would decide about the steps.
type Guard struct {
	Left     int    `json:"left"`   // removals that fit its budget now
	Window   string `json:"window"` // length of time in which the guard counts
	Removals int    `json:"removals"`
	Held     int    `json:"held"` // number of these removals that the guard would hold
}

// Migration contains what "Provision existing users with SCIM" does.
type Migration struct {
	Adopted       []Account `json:"adopted"`       // local accounts that SCIM would manage; they keep their ids and histories
	LosingManager []Account `json:"losingManager"` // the adopted accounts that would lose ROLE_MANAGER
	LastManager   []Account `json:"lastManager"`   // accounts that stay local, because otherwise no local manager would remain
	Unmatched     []Account `json:"unmatched"`     // accounts that stay local, because no ScimUser has their user name
	// Lines contains what happens to each local account, in the order of user names.
	Lines     []portalapi.MigrationLine `json:"-"`
	Ambiguous []Ambiguous               `json:"ambiguous"` // accounts that may belong to a ScimUser with another user name: they do not change
}

// Account is one account by id and name.
type Account struct {
	ID       string `json:"id"`
	UserName string `json:"userName"`
	ScimUser string `json:"scimUser,omitempty"` // name of the ScimUser that adopts or owned the account
}

// LocalMember is a local account that has roles by pools of AgentPools.
type LocalMember struct {
	Account
	AgentPools []string `json:"agentPools"` // names, sorted
	Roles      []string `json:"roles"`      // that these pools grant, sorted
}

// Leftover is an account whose ScimUser does not exist.
type Leftover struct {
	Account
	Status string   `json:"status"`
	Roles  []string `json:"roles"`
	// Leaves contains the names of the AgentPools whose pools the account leaves now, because
	// neither a group nor a line names the user.
	Leaves []string `json:"leaves,omitempty"`
}

// Manages reports whether the user can sign in as a manager.
func (l Leftover) Manages() bool {
	return l.Status == string(portalapi.StatusActive) && slices.Contains(l.Roles, portalapi.RoleManager)
}

// Pool is a pool in the portal whose AgentPool does not exist.
type Pool struct {
	ID        string   `json:"id"`
	Name      string   `json:"name"` // name in the portal
	AgentPool string   `json:"agentPool"`
	Roles     []string `json:"roles"`
	Users     int      `json:"users"` // number of active users in the pool
	// UserNames contains the names of these users, sorted, for a pool without an owner.
	UserNames []string `json:"userNames,omitempty"`
	// Held is the id of the removal that the deprovisioning guard holds, or that a person dropped.
	Held    string `json:"held,omitempty"`
	Dropped bool   `json:"dropped,omitempty"` // a person dropped the removal: the pool stays
}

// withoutOwner returns the pool, and whether it gives roles to active users that SCIM manages.
func withoutOwner(p *portalapi.Pool, m *mirror.Mirror) (out Pool, gives bool) {
	if p.Owner.UID != "" || p.Default || len(p.Roles) == 0 {
		return Pool{}, false
	}
	out = Pool{ID: p.ID, Name: p.Name, Roles: p.Roles}
	for _, a := range m.Accounts() {
		if a.Owner.UID != "" && a.Status == portalapi.StatusActive && slices.Contains(a.Pools, p.ID) {
			out.UserNames = append(out.UserNames, a.UserName)
		}
	}
	slices.Sort(out.UserNames)
	out.Users = len(out.UserNames)
	return out, out.Users > 0
}

// localMembers returns the active local accounts that are in pools of AgentPools with roles, in
// order of user name. Everyone is in the default pool, so it does not count.
func localMembers(m *mirror.Mirror) []LocalMember {
	out := []LocalMember{}
	for _, a := range m.Accounts() {
		if a.ManagedBy != portalapi.ManagedByLocal || a.Status != portalapi.StatusActive {
			continue
		}
		l := LocalMember{Account: Account{ID: a.ID, UserName: a.UserName}}
		for _, id := range a.Pools {
			if p := m.Pool(id); p != nil && p.Owner.UID != "" && !p.Default && len(provision.Granted(p)) > 0 {
				l.AgentPools, l.Roles = append(l.AgentPools, p.Owner.Name), append(l.Roles, provision.Granted(p)...)
			}
		}
		if len(l.AgentPools) == 0 {
			continue
		}
		slices.Sort(l.AgentPools)
		slices.Sort(l.Roles)
		l.Roles = slices.Compact(l.Roles)
		out = append(out, l)
	}
	slices.SortFunc(out, func(a, b LocalMember) int { return strings.Compare(a.UserName, b.UserName) })
	return out
}

func withoutAgentPool(p *portalapi.Pool, m *mirror.Mirror) Pool {
	out := Pool{ID: p.ID, Name: p.Name, AgentPool: p.Owner.Name, Roles: provision.Granted(p)}
	for _, a := range m.Accounts() {
		if a.Status == portalapi.StatusActive && slices.Contains(a.Pools, p.ID) {
			out.Users++
		}
	}
	if p.Mark != nil {
		out.Held, out.Dropped = p.Mark.Decision, p.Mark.State == portalapi.MarkDropped
	}
	return out
}

// Ambiguous is a local account that may belong to a ScimUser with another user name.
type Ambiguous struct {
	Account
	Message string `json:"message"`
}

// Changes returns the number of objects whose portal record changes.
func (r *Report) Changes() int { return r.count(Step.Writes) }

// Objects returns the number of objects in the report.
func (r *Report) Objects() int { return r.count(func(Step) bool { return true }) }

func (r *Report) count(which func(Step) bool) int {
	type object struct{ kind, name string }
	counted := map[object]bool{}
	for _, s := range slices.Concat(r.Pools, r.Users) {
		if which(s) {
			counted[object{s.Kind, s.Name}] = true
		}
	}
	return len(counted)
}

func holdings(a access.Access) (pools []Membership, roles []Grant) {
	for _, m := range a.Pools {
		pools = append(pools, Membership{m.Pool, string(m.Source)})
	}
	for _, g := range a.Roles {
		roles = append(roles, Grant{g.Role, g.From})
	}
	return pools, roles
}

func leftover(a *portalapi.Account) Leftover {
	return Leftover{Account: Account{ID: a.ID, UserName: a.UserName, ScimUser: a.Owner.Name}, Status: string(a.Status), Roles: a.Roles}
}

// managersFirst sorts the items with ROLE_MANAGER first, and keeps the order otherwise.
func managersFirst[T any](items []T, manages func(T) bool) {
	rank := func(item T) int {
		if manages(item) {
			return 0
		}
		return 1
	}
	slices.SortStableFunc(items, func(a, b T) int { return rank(a) - rank(b) })
}

// why returns the cause of a step.
func why(p provision.Plan) string {
	switch p.Action {
	case provision.None:
		return "The account matches the identity provider"
	case provision.Create:
		return "No account has this user name"
	case provision.Update:
		if p.Message != "" {
			return p.Message
		}
		if differ := fields(p.Differences); differ != "" {
			return "The account differs: " + differ
		}
		return "The account records the provider's newest push"
	case provision.Adopt:
		switch {
		case p.Account.HandedOver:
			return "An administrator handed this local account over"
		case p.Account.ManagedBy == portalapi.ManagedByLocal:
			return "The local account of this user name is taken over with its id and history"
		case p.Account.Owner.UID != "" && p.Account.Owner.Name == p.Write.Owner.Name:
			return "The account that this user had before is taken over with its pools"
		case p.Account.Owner.UID != "":
			return "The account of a ScimUser that is gone is taken over with its pools"
		}
		return "The account that was released is taken over again"
	}
	return p.Message
}

// fields names the fields that differ, except the fields that only connect records with each other.
func fields(all []provision.Difference) string {
	var names []string
	for _, d := range all {
		if d.Field != "revision" && d.Field != "owner" {
			names = append(names, d.Field)
		}
	}
	return strings.Join(names, ", ")
}

func poolWhy(p provision.PoolPlan) string {
	switch p.Action {
	case provision.None:
		return "The pool matches its declaration"
	case provision.Create:
		return "No pool has this name"
	case provision.Adopt:
		return "The portal's pool of this name is taken over with its members"
	case provision.Update:
		return "The pool differs"
	}
	return p.Message
}
