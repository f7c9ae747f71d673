// SPDX-License-Identifier: Apache-2.0

package store

import (
	"slices"
	"time"

	"lightrun.com/scim-operator/internal/kernel/portalapi"
)

// Scope is a set of permitted actions.
type Scope string

const (
	ScopeManage       Scope = "manage"       // everything that a local manager can change: users, pools, keys, identity configuration
	ScopeRead         Scope = "read"         // read access to everything that manage can change
	ScopeProvisioning Scope = "provisioning" // the operator's calls, and read access to everything
	ScopeSCIM         Scope = "scim"         // no access to the portal's API; the key is a token for the SCIM webhook
)

// Known reports whether the scope is one of those above.
func (s Scope) Known() bool {
	return s == ScopeManage || s == ScopeRead || s == ScopeProvisioning || s == ScopeSCIM
}

// ActorKind is the kind of an actor.
type ActorKind string

const (
	Person   ActorKind = "Person"   // a user who is signed in to the pages
	Key      ActorKind = "Key"      // an API key
	Operator ActorKind = "Operator" // an API key with the scope provisioning
	System   ActorKind = "System"   // the portal itself, at its start
	Visitor  ActorKind = "Visitor"  // a browser that is not signed in
)

// Actor is the client that requests a change; the audit names it.
type Actor struct {
	Kind      ActorKind
	ID        string // id of the account or the key
	Name      string // user name, or name of the key
	Scopes    []Scope
	RequestID string // connects the audit log to the logs; may be empty
	Leader    string // the operator's process that acts; may be empty
	DecidedBy string // the person in the cluster who decided that the operator does this; may be empty
	Cause     Cause  // what causes a write of the operator; empty if it does not say
	Maker     string // id of the account of the person who made the key; empty if none did

	Expires time.Time // when the key expires; zero if never, and for other actors
}

// person returns the id of the account of the person behind the actor: the user, or who made the
// key. It is empty for a key of the deployment and for the portal itself.
func (a Actor) person() string {
	if a.Kind == Person {
		return a.ID
	}
	return a.Maker
}

// May reports whether the actor has the scope.
func (a Actor) May(scope Scope) bool { return a.Kind == System || slices.Contains(a.Scopes, scope) }

// MayRead reports whether the actor may read everything except secrets.
func (a Actor) MayRead() bool {
	return a.May(ScopeRead) || a.May(ScopeManage) || a.May(ScopeProvisioning)
}

// ActorOf returns the actor for a user of the pages. Managers have the scope manage, other users
// have none.
func ActorOf(account *Account, requestID string) Actor {
	a := Actor{Kind: Person, ID: account.ID, Name: account.UserName, RequestID: requestID}
	if account.IsManager() {
		a.Scopes = []Scope{ScopeManage}
	}
	return a
}

// SystemActor returns the actor of changes at the portal's start.
func SystemActor(name string) Actor { return Actor{Kind: System, Name: name} }

// ownOr refuses an actor that is neither the user with the account id nor has the scope.
func (a Actor) ownOr(scope Scope, accountID string) error {
	if a.Kind == Person && a.ID == accountID {
		return nil
	}
	return a.allowed(scope)
}

// allowed refuses an actor without the scope.
func (a Actor) allowed(scope Scope) error {
	if a.May(scope) {
		return nil
	}
	return refuse(portalapi.CodeForbidden, "%s %q is not allowed to do this: it needs the scope %q", a.Kind, a.Name, scope)
}
