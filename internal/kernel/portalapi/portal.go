// SPDX-License-Identifier: Apache-2.0

// Package portalapi is the port to the Management Portal: accounts, pools, the binding of one
// company to one operator, the login methods, and a change feed. Controllers depend only on the
// types and interfaces in this package. The wire contract behind it is the OpenAPI document in
// api/portal/v1. The REST client in internal/operator/portalclient/rest implements the port, the
// mirror in internal/operator/portalclient/mirror keeps the portal's state in memory, and the suite
// in test/conformance/contract tests every implementation.
package portalapi

import (
	"context"
	"time"

	"lightrun.com/scim-operator/internal/kernel/provider"
)

// ManagedBy says who may change an account.
type ManagedBy string

const (
	ManagedByLocal ManagedBy = "Local" // people change it, in the portal
	ManagedBySCIM  ManagedBy = "SCIM"  // only the operator changes it, while SCIM is on
)

// Status says whether the user may sign in.
type Status string

const (
	StatusActive      Status = "Active"
	StatusDeactivated Status = "Deactivated"
)

// Removal is what a removal takes from a user.
type Removal string

const (
	RemovalDeactivation Removal = "Deactivation" // they could no longer sign in
	RemovalDeletion     Removal = "Deletion"     // their record would be deleted
	RemovalManager      Removal = "ManagerRole"  // they would lose ROLE_MANAGER
	RemovalMembers      Removal = "Members"      // of a pool: users would leave it
)

// The roles of the portal's catalogue that the product's rules name. The catalogue may contain
// others; Reader.Roles lists all.
const (
	RoleUser           = "ROLE_USER"
	RoleIgnoreQuota    = "ROLE_IGNORE_QUOTA"
	RoleManager        = "ROLE_MANAGER"
	RoleAdmin          = "ROLE_ADMIN"           // reserved for the vendor, never granted here
	RoleAccountManager = "ROLE_ACCOUNT_MANAGER" // reserved for the vendor, never granted here
)

// Owner is the only object that may change a record: the ScimUser of an account, the AgentPool of a
// pool.
type Owner struct {
	UID      string // the object's UID: the right to write; empty when the record has no owner
	Name     string // the object's name, which survives backup and restore
	Revision int64  // the newest revision written under this UID; a write with a smaller one is stale
	Binding  string // id of the binding of the last write; set by the portal, ignored in writes
}

// Account is the record of one user in the portal.
type Account struct {
	ID            string
	UserName      string
	DisplayName   string
	GivenName     string
	FamilyName    string
	Email         string
	ExternalID    string
	Status        Status
	ManagedBy     ManagedBy
	Owner         Owner
	WaitingFor    Owner     // the ScimUser that waits to adopt this local account; empty when none does
	HandedOver    bool      // a person in the portal allowed this one local account to be adopted
	DeactivatedBy ManagedBy // who deactivated it; empty while it is active
	Mark          *Mark     // the held or dropped removal; nil: none
	Pools         []string  // portal ids of its pools, the default pool among them; sorted
	Roles         []string  // effective roles as the portal derived them; sorted
	DirectRoles   []string  // roles of the account itself: none for an account with an owner; sorted, nil for none
	Ungranted     []string  // those of Pools that no write of the owner granted; sorted, nil for none and without an owner
	Revision      int64     // grows with every change of the record
}

// Pool is an agent pool in the portal.
type Pool struct {
	ID          string
	Name        string
	Description string
	Roles       []string // sorted
	Ungranted   []string // those of Roles that no write of the owner granted; sorted, nil for none and without an owner
	Default     bool
	Owner       Owner // the AgentPool that manages it; none for pools created in the portal
	Created     bool  // its owner created it; false: it existed before, and its owner never deletes it
	HandedOver  bool  // a person in the portal allowed the AgentPool with this name to adopt it
	Mark        *Mark // the held or dropped change; nil: none
	Pins        []Pin // as its owner wrote them last; nil for none
	Members     int
	Revision    int64
}

// Role is one entry of the portal's catalogue.
type Role struct {
	Name        string
	Description string
	Grantable   bool // false for the roles that are reserved for the vendor
}

// AccountWrite is the complete desired state of an account. Repeating a write changes nothing.
type AccountWrite struct {
	Owner       Owner  // UID, name and the revision of this write
	IfRevision  *int64 // revision of the account that this was decided on, 0: there was none; nil: no precondition. See Accounts
	UserName    string
	DisplayName string
	GivenName   string
	FamilyName  string
	Email       string
	ExternalID  string
	Active      bool
	Pools       []string // portal ids; the default pool is added by the portal
	Adopt       *Adopt   // nil: the account has this owner already, or is created
	KeepMark    bool     // the account's mark stays: this write neither carries out nor cancels the marked removal
}

// Adopt names an existing account or pool to take over, by compare-and-swap on its current owner.
// The members of a pool stay in it.
type Adopt struct {
	ID       string
	OwnerUID string // the owner that the record must have now; empty for a record without an owner
	Inherit  bool   // for a pool: the new owner counts as its creator if the current one does
}

// PoolWrite is the complete desired state of a pool. Repeating a write changes nothing.
type PoolWrite struct {
	Owner       Owner  // UID, name and the revision of this write
	IfRevision  *int64 // as in AccountWrite
	Default     bool   // the owner manages the default pool, and no other pool; Name is ignored
	Name        string
	Description string
	Roles       []string // all roles that the pool grants; empty: none
	Pins        []Pin    // all pins to keep; nil for none
	Adopt       *Adopt   // nil: the pool has this owner already, or is created
	KeepMark    bool     // as in AccountWrite
}

// Pin records which group a line of the pool's object means. The portal keeps it for an owner that
// lost it, such as an AgentPool that was restored without its status, and reads nothing from it.
type Pin struct {
	Line    string // as the owner writes it
	Group   string // SCIM id
	Deleted bool   // the identity provider deleted the group
	// Revision is the highest that the owner has seen of the group and its members. The portal
	// never lowers it while the pool has a pin of the group, whatever a write says.
	Revision int64
}

// GroupRevision is the revision of a group, with its members, that the owner of a pool has seen.
type GroupRevision struct {
	Group    string // SCIM id
	Revision int64
}

// MarkState is the state of a marked removal.
type MarkState string

const (
	MarkHeld    MarkState = "Held"    // undecided: it is not carried out
	MarkDropped MarkState = "Dropped" // a person decided that it is not carried out
)

// Mark says that a removal is wanted but not carried out. It stays with the record, also when an
// owner with the same name adopts the record, until the owner's next write without KeepMark.
type Mark struct {
	What     Removal // for a pool: RemovalManager, RemovalDeletion or RemovalMembers
	State    MarkState
	Decision string // id of the decision about it
	At       string // name of the object where a person decides, or decided
}

// Held returns the held removal; empty for no mark and for a dropped removal.
func (m *Mark) Held() Removal {
	if m == nil || m.State != MarkHeld {
		return ""
	}
	return m.What
}

// ReleaseMode says what happens to an account whose ScimUser is deleted.
type ReleaseMode string

const (
	ReleaseDeactivate ReleaseMode = "Deactivate" // keep the record, refuse the sign-in, remove the memberships
	ReleaseDelete     ReleaseMode = "Delete"     // delete the record; its audit trail stays
	ReleaseOrphan     ReleaseMode = "Orphan"     // leave it active as a local account
)

// Binding is the identity of the provider and of the operator that a portal is bound to.
type Binding struct {
	ID           string // created by the portal at the first Bind, kept when the operator is replaced; ignored in writes
	Replaces     string // write only: the id of the current binding, whose operator this one replaces
	Cluster      string // UID of the kube-system namespace, or a configured name
	Namespace    string
	Name         string
	UID          string // of the IdentityConfiguration
	ProviderType string // one of provider.Types
	ProviderName string // distinguishes two providers of one type, and is shown to people; empty: the type is enough
	SCIMBaseURL  string // shown in the portal for copying
}

// SSO is the single sign-on part of the login methods.
type SSO struct {
	Enabled      bool
	Type         string // OIDC or SAML
	Issuer       string // OIDC issuer URL
	ClientID     string
	ClientSecret string // write only; never returned
	MetadataURL  string // SAML identity provider metadata
}

// LoginMethods are the settings of the page "Login methods".
type LoginMethods struct {
	SSO                    SSO
	SCIMEnabled            bool
	ProvisionExistingUsers bool
	ProvisionGroups        bool
}

// Configuration is the current identity configuration of the portal.
type Configuration struct {
	LoginMethods
	ManagedElsewhere string   // who manages it instead of the page; empty: the page does
	Binding          *Binding // nil: no operator is bound
	Revision         int64
}

// Position is a place in the change feed. The zero Position means "from now".
type Position struct {
	Epoch    string
	Sequence int64
}

// Change is one entry of the feed, with the record as it was when the entry was read. Gone: the
// record no longer exists.
type Change struct {
	Sequence      int64
	Kind          ChangeKind
	ID            string
	Gone          bool
	Account       *Account
	Pool          *Pool
	Configuration *Configuration
}

// ChangeKind is what changed.
type ChangeKind string

const (
	ChangeAccount       ChangeKind = "User"
	ChangePool          ChangeKind = "Pool"
	ChangeConfiguration ChangeKind = "IdentityConfiguration"
	ChangeKey           ChangeKind = "ApiKey"
)

// KeyDigest is a portal API key with the scope scim: enough to verify a token, but not to produce
// one.
type KeyDigest struct {
	ID        string
	Name      string
	SHA256    string // lower-case hexadecimal
	Provider  provider.ID
	ExpiresAt time.Time // zero: never
}

// Provider is the identity provider that the binding integrates.
func (b *Binding) Provider() provider.ID {
	return provider.ID{Type: b.ProviderType, Name: b.ProviderName}
}

// MaxMemberships is the maximum number of items in one call of PutMemberships.
const MaxMemberships = 1000

// MembershipWrite adds one user to a pool or removes them from it.
type MembershipWrite struct {
	AccountID  string
	IfRevision int64 // revision of the account that this was decided on
	In         bool
	Request    string // id of the SCIM request that caused it, for the audit; empty: of the call
}

// MembershipOutcome is the result of one MembershipWrite.
type MembershipOutcome string

const (
	MembershipDone      MembershipOutcome = "Done"
	MembershipUnchanged MembershipOutcome = "Unchanged" // nothing to change, at any revision of the account
	MembershipStale     MembershipOutcome = "Stale"     // decided on another revision of the account: the user's pass decides again
	MembershipUnknown   MembershipOutcome = "Unknown"   // there is no such account
	MembershipNotOurs   MembershipOutcome = "NotOurs"   // the account has no owner: people edit it in the portal
)

// MembershipResult is the result for one user.
type MembershipResult struct {
	AccountID string
	Outcome   MembershipOutcome
	Revision  int64 // the account's current revision; 0 for an unknown account
}

// Removals contains the counts for the budgets of the deprovisioning guard.
type Removals struct {
	Pools   map[string]PoolRemovals // by portal id; without the default pool, which no active user leaves
	Removed int                     // distinct accounts deactivated, released, deleted or deprived of ROLE_MANAGER by the operator in the window
	Managed int                     // SCIM-managed accounts that are active now, plus Removed
}

// PoolRemovals counts memberships of one pool that owners granted.
type PoolRemovals struct {
	Removed int // distinct active users that the operator removed from it in the window, and that kept their account
	Members int // users that are in it now
}

// Accounts writes accounts. Every method may be repeated: the portal compares before it writes. A
// write that was decided on another revision than the current one is refused with STALE_REVISION,
// unless it would change nothing: so a write whose response was lost can be repeated. Errors are
// *Error; transport failures are not.
type Accounts interface {
	// PutAccount creates, adopts or updates the account of w.Owner and returns it with its derived
	// roles.
	PutAccount(ctx context.Context, w AccountWrite) (*Account, error)
	// ReleaseAccount ends the ownership of ownerUID. Releasing a record without an owner is no
	// error.
	ReleaseAccount(ctx context.Context, owner Owner, mode ReleaseMode) error
	// MarkWaiting records that owner waits to adopt the local account; an empty UID clears the
	// mark.
	MarkWaiting(ctx context.Context, accountID string, owner Owner) error
	// MarkHeld records, and shows people, that a removal of owner's account, or of the local
	// account that owner waits to adopt (MarkWaiting), is held or was dropped. nil clears the mark,
	// and so does every ReleaseAccount and every PutAccount of the owner without KeepMark. Without
	// an account it does nothing.
	MarkHeld(ctx context.Context, owner Owner, m *Mark) error
}

// Pools writes pools. Every method may be repeated.
type Pools interface {
	PutPool(ctx context.Context, w PoolWrite) (*Pool, error)
	// PutMemberships adds users to the pool of ownerUID and removes users from it: up to
	// MaxMemberships items, in one transaction, with a result for each, in their order. Roles
	// change with the memberships. It never overwrites a change that the caller did not see: an
	// item that was decided on another revision of the account is Stale and left to that user's
	// next write. The audit has one event for each request that the items name. Without a pool it
	// is refused with NOT_FOUND, for the default pool with DEFAULT_POOL_PROTECTED.
	//
	// seen raises the revisions in the pool's pins of those groups. Groups without a pin are
	// ignored.
	PutMemberships(ctx context.Context, ownerUID string, items []MembershipWrite, seen []GroupRevision) ([]MembershipResult, error)
	// ReleasePool ends the ownership of ownerUID. remove also undoes what the owner did: it deletes
	// the pool if the owner created it, and otherwise removes the roles that the owner granted.
	ReleasePool(ctx context.Context, ownerUID string, remove bool) error
	// MarkPoolHeld is MarkHeld for the owner's pool.
	MarkPoolHeld(ctx context.Context, owner Owner, m *Mark) error
}

// Reader lists the portal's records in keyset pages, and follows its changes.
type Reader interface {
	// Accounts returns up to limit (≤ 1000) accounts with an id after the given one, in the order
	// of ids, and the id to continue from; empty at the end.
	Accounts(ctx context.Context, after string, limit int) (page []Account, next string, err error)
	Pools(ctx context.Context) ([]Pool, error)
	Roles(ctx context.Context) ([]Role, error)
	// Position returns the current end of the feed.
	Position(ctx context.Context) (Position, error)
	// Changes returns the changes after p, and the position after them. If there are none, it waits
	// up to wait (≤ 30 s) for the first one. An unknown epoch or a truncated feed is an *Error with
	// code FEED_TRUNCATED: list again.
	Changes(ctx context.Context, p Position, wait time.Duration) ([]Change, Position, error)
}

// Identity is the portal's identity configuration and its binding to one operator.
type Identity interface {
	Configuration(ctx context.Context) (*Configuration, error)
	// PutLoginMethods replaces the login methods on behalf of a declared configuration, which
	// managedElsewhere names. If managedElsewhere is empty, the page is editable again and nothing
	// else changes.
	PutLoginMethods(ctx context.Context, m LoginMethods, managedElsewhere string) (*Configuration, error)
	// Bind binds the portal to one operator and provider, atomically. If it is bound to another,
	// the refusal is OPERATOR_ALREADY_BOUND or IDP_ALREADY_CONFIGURED and names the first. The same
	// cluster, namespace and name get their previous binding id. An operator whose Replaces is the
	// id of the current binding replaces the bound operator, for the same provider, and keeps the
	// id. Bind also makes this client's process the leader: writes of accounts and pools by former
	// leaders, also late ones, are refused with STALE_LEADER from then on, and so is their Bind.
	Bind(ctx context.Context, b Binding) (id string, err error)
	// Unbind removes the binding if uid owns it.
	Unbind(ctx context.Context, uid string) error
	// SCIMKeys returns the digests of the keys that are currently valid for the SCIM webhook.
	SCIMKeys(ctx context.Context) ([]KeyDigest, error)
}

// Audit returns the history that the guard needs.
type Audit interface {
	Removals(ctx context.Context, window time.Duration) (Removals, error)
}

// Client is the complete port.
type Client interface {
	Accounts
	Pools
	Reader
	Identity
	Audit
}
