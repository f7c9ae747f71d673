package store

import (
	"slices"

	"lightrun.com/scim-operator/internal/portal"
)

// Scope is what an actor may do.
type Scope string

const (
	ScopeManage       Scope = "manage"       // what a local manager may do: users, pools, keys, identity configuration
	ScopeRead         Scope = "read"         // the same, reading only
	ScopeProvisioning Scope = "provisioning" // the operator's calls, and every read
	ScopeSCIM         Scope = "scim"         // nothing here; the key is a token for the SCIM webhook
)

// ActorKind says what kind of actor acts.
type ActorKind string

const (
	Person   ActorKind = "Person"   // signed in to the pages
	Key      ActorKind = "Key"      // an API key
	Operator ActorKind = "Operator" // an API key with the scope provisioning
	System   ActorKind = "System"   // the portal itself, at its start
)

// Actor is who wants a change; the audit names it.
type Actor struct {
	Kind      ActorKind
	ID        string // of the account or the key
	Name      string // user name, or the key's name
	Scopes    []Scope
	RequestID string // joins the audit with the logs; may be empty
	Leader    string // which process of the operator acts; may be empty
}

// May answers whether the actor may do what scope opens.
func (a Actor) May(scope Scope) bool { return a.Kind == System || slices.Contains(a.Scopes, scope) }

// MayRead answers whether the actor may read everything but secrets.
func (a Actor) MayRead() bool {
	return a.May(ScopeRead) || a.May(ScopeManage) || a.May(ScopeProvisioning)
}

// ActorOf is the person behind account, on the pages. Managers have the scope manage, everybody else none.
func ActorOf(account *Account, requestID string) Actor {
	a := Actor{Kind: Person, ID: account.ID, Name: account.UserName, RequestID: requestID}
	if account.IsManager() {
		a.Scopes = []Scope{ScopeManage}
	}
	return a
}

// SystemActor acts at the portal's start.
func SystemActor(name string) Actor { return Actor{Kind: System, Name: name} }

// allowed refuses an actor without the scope.
func (a Actor) allowed(scope Scope) error {
	if a.May(scope) {
		return nil
	}
	return refuse(portal.CodeForbidden, "%s %q may not do this: it needs the scope %q", a.Kind, a.Name, scope)
}
