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

// Actions of a step besides those of provision.
const (
	Release   = "Release"   // the account or pool is released, as onDelete says
	Suspended = "Suspended" // nothing is written to the portal about this user
)

// Report is what the controllers would change in the portal now. Lists are in order of name. A user
// that gets a name that a later step releases has two consecutive steps: everything else, and the
// name.
type Report struct {
	Namespace string `json:"namespace"`
	Portal    string `json:"portal"`
	Provider  string `json:"provider"`
	// Waits says why nothing is written now; the steps are what would be done otherwise. Empty: it
	// is done.
	Waits string `json:"waits,omitempty"`
	// ProvisionExistingUsers is what the steps assume.
	ProvisionExistingUsers bool       `json:"provisionExistingUsers"`
	Pools                  []Step     `json:"pools"`
	Users                  []Step     `json:"users"`
	Guard                  Guard      `json:"guard"`
	Migration              *Migration `json:"migration,omitempty"`
	// WithoutUser are accounts that this operator manages whose ScimUser is gone. They stay until a
	// person releases them.
	WithoutUser []Account `json:"withoutUser"`
	// WithoutAgentPool are pools that this operator manages in the portal whose AgentPool is gone.
	// Their members have their roles until a person releases the pools.
	WithoutAgentPool []Pool `json:"withoutAgentPool"`
	// Replacement says what a change of provider takes and does; empty when none is declared.
	Replacement string `json:"replacement,omitempty"`
}

// Step is what is done about one object.
type Step struct {
	Kind    string `json:"kind"`
	Name    string `json:"name"`  // the object's
	Title   string `json:"title"` // user name, or the pool's name in the portal
	Action  string `json:"action"`
	Record  string `json:"record,omitempty"` // the portal's id of the account or pool; empty when it is to be created
	Reason  string `json:"reason,omitempty"` // of the condition that says why it waits
	Message string `json:"message"`
	// Removals counts what the deprovisioning guard would: people who lose their access or the
	// manager role.
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

// Membership is a pool that the person is in, and why.
type Membership struct {
	Name   string `json:"name"`
	Source string `json:"source"`
}

// Grant is a role that the user has, and the pools that grant it.
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

// Guard is what the deprovisioning guard would decide about the steps.
type Guard struct {
	Left     int    `json:"left"`   // removals that fit its budget now
	Window   string `json:"window"` // over which it counts
	Removals int    `json:"removals"`
	Held     int    `json:"held"` // of those, how many would be held
}

// Migration is what "Provision existing users with SCIM" does.
type Migration struct {
	Adopted       []Account   `json:"adopted"`       // local accounts that become SCIM's, keeping id and history
	LosingManager []Account   `json:"losingManager"` // of those, which have ROLE_MANAGER now and would lose it
	LastManager   []Account   `json:"lastManager"`   // would be adopted, but no local manager would remain: they stay
	Unmatched     []Account   `json:"unmatched"`     // local, and no user with that user name was pushed: they stay
	Ambiguous     []Ambiguous `json:"ambiguous"`     // may belong to a user who was pushed: nothing is changed
}

// Account is one account by id and name.
type Account struct {
	ID       string `json:"id"`
	UserName string `json:"userName"`
	ScimUser string `json:"scimUser,omitempty"` // name of the object that adopts it, or that it followed
}

// Pool is a pool in the portal whose AgentPool is gone.
type Pool struct {
	ID        string   `json:"id"`
	Name      string   `json:"name"` // in the portal
	AgentPool string   `json:"agentPool"`
	Roles     []string `json:"roles"`
	Users     int      `json:"users"` // who are in it and are not deactivated
	// Held is the id of the removal that the deprovisioning guard holds, or that a person dropped.
	Held    string `json:"held,omitempty"`
	Dropped bool   `json:"dropped,omitempty"` // a person dropped it: the pool stays
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

// Ambiguous is a local account that may belong to a person who was pushed under another user name.
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

func account(a *portalapi.Account) Account {
	return Account{ID: a.ID, UserName: a.UserName, ScimUser: a.Owner.Name}
}

// why returns what a step follows from.
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

// fields names what differs, without what only joins records with each other.
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
		return "The portal's pool of this name is taken over with its people"
	case provision.Update:
		return "The pool differs"
	}
	return p.Message
}
