// SPDX-License-Identifier: Apache-2.0

// Package portalapi is the port to the Management Portal: accounts, pools, the login methods, the
// binding of one portal to one operator and one identity provider, a change feed, and the counts of
// removals for the deprovisioning guard. Controllers depend only on the types and interfaces in
// this package. The wire contract behind it is the OpenAPI document in api/portal/v1. The REST
// client in internal/operator/portalclient/rest implements the port, the mirror in
// internal/operator/portalclient/mirror keeps the portal's state in memory, and the suite in
// test/conformance/contract tests every implementation.
package portalapi

import (
	"context"
	"time"

	"lightrun.com/scim-operator/internal/kernel/provider"
)

// ManagedBy is who may change an account, or who deactivated it.
type ManagedBy string

const (
	ManagedByLocal ManagedBy = "Local" // administrators change it in the portal
	ManagedBySCIM  ManagedBy = "SCIM"  // only the operator changes it, while SCIM is on
)

// Status is whether the user may sign in.
type Status string

const (
	StatusActive      Status = "Active"      // the user may sign in
	StatusDeactivated Status = "Deactivated" // the user may not sign in; the record stays
)

// Removal is a kind of removal: what users lose by it.
type Removal string

const (
	RemovalDeactivation Removal = "Deactivation" // of an account: its user could no longer sign in
	RemovalDeletion     Removal = "Deletion"     // of an account: it would be deleted. Of a pool: its members would lose what it gives
	RemovalManager      Removal = "ManagerRole"  // of an account or a pool: users would lose ROLE_MANAGER
	RemovalMembers      Removal = "Members"      // of a pool: users would leave it
)

// The roles of the portal's catalogue that the product's rules name. The catalogue may contain
// others; Reader.Roles lists all.
const (
	RoleUser           = "ROLE_USER"            // what every user has through the default pool
	RoleIgnoreQuota    = "ROLE_IGNORE_QUOTA"    // actions are not limited by quota
	RoleManager        = "ROLE_MANAGER"         // manages users and settings: granting it needs the verb grant
	RoleAdmin          = "ROLE_ADMIN"           // reserved for the vendor, never granted here
	RoleAccountManager = "ROLE_ACCOUNT_MANAGER" // reserved for the vendor, never granted here
)

// Owner identifies the Kubernetes object that owns a record and is the only one that may change it:
// the ScimUser of an account, or the AgentPool of a pool. Account.WaitingFor uses the same type for
// a ScimUser that does not own the account.
type Owner struct {
	UID      string // the object's UID, which gives the right to write; empty if the record has no owner
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
	WaitingFor    Owner     // the ScimUser that waits to adopt this local account; empty if none waits
	HandedOver    bool      // an administrator in the portal allowed that this one local account is adopted
	PasswordSet   bool      // the user can sign in with a password; false if SCIM manages the account
	DeactivatedBy ManagedBy // who deactivated the account; empty while the account is active
	Mark          *Mark     // the removal that is held or was dropped; nil if there is none
	Pools         []string  // portal ids of the account's pools, sorted; the default pool is one of them
	Roles         []string  // effective roles as the portal derived them, sorted
	DirectRoles   []string  // roles of the account itself, sorted; nil if it has none. An account with an owner has none
	Ungranted     []string  // the ids in Pools that no write of the owner granted, sorted; nil if there are none, or no owner
	Revision      int64     // grows with every change of the record
}

// Pool is an agent pool in the portal.
type Pool struct {
	ID          string
	Name        string
	Description string
	Roles       []string // sorted
	Ungranted   []string // the names in Roles that no write of the owner granted, sorted; nil if there are none, or no owner
	Default     bool
	Owner       Owner // the AgentPool that manages the pool; empty for a pool that was created in the portal
	Created     bool  // the owner created the pool, or adopted it from its creator (Adopt.Inherit). If false, the owner never deletes the pool
	HandedOver  bool  // an administrator in the portal allowed the AgentPool with this name to adopt the pool
	Mark        *Mark // the removal that is held or was dropped; nil if there is none
	Pins        []Pin // as the owner wrote them last; nil if there are none
	Members     int   // all users in the pool
	Revision    int64 // grows with every change of the record
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
	IfRevision  *int64 // precondition: the revision of the account that this write was decided on; 0 if there was no account. nil: no precondition
	UserName    string
	DisplayName string
	GivenName   string
	FamilyName  string
	Email       string
	ExternalID  string
	Active      bool
	Pools       []string // portal ids; the portal adds the default pool
	Adopt       *Adopt   // the account to take over; nil if this owner has an account, or the portal shall create one
	KeepMark    bool     // keep the account's mark: this write neither carries out nor cancels the marked removal
	Accepted    int64    // the revision of a release (ReleasedOwner) that a person allowed this older write to replace; 0 if none
}

// Adopt names an existing account or pool to take over, by compare-and-swap on its current owner.
// The members of a pool stay in it.
type Adopt struct {
	ID       string
	OwnerUID string // the owner that the record must have now; empty for a record without an owner
	Inherit  bool   // for a pool: the new owner counts as its creator if the current one does
}

// ReleasedOwner is an owner whose account was released, or went to another owner. An owner with
// this name gets an account only by a newer revision, or if a person accepts an older one
// (AccountWrite.Accepted). The next account of the owner ends it.
type ReleasedOwner struct {
	Name     string // SCIM id
	Revision int64  // the owner's revision at the release
}

// PoolWrite is the complete desired state of a pool. Repeating a write changes nothing.
type PoolWrite struct {
	Owner       Owner  // UID, name and the revision of this write
	IfRevision  *int64 // as in AccountWrite
	Default     bool   // write the default pool; Name is ignored
	Name        string
	Description string
	Roles       []string // all roles that the pool grants
	Pins        []Pin    // all pins of the pool; the portal removes the others
	Adopt       *Adopt   // the pool to take over; nil if this owner has a pool, or the portal shall create one
	KeepMark    bool     // as in AccountWrite
}

// Pin records which group a line of an AgentPool's spec.groups means, or which user a line of its
// spec.members. The portal does not interpret pins. It stores them for an AgentPool that lost them,
// for example because it was restored without its status.
type Pin struct {
	Line    string // the line, as the owner writes it
	ID      string // SCIM id of the group or user
	Deleted bool   // the identity provider deleted the group
	// Revision is the highest revision of the group and its members that the owner has seen. While
	// the pool has a pin of the group, no write can lower it.
	Revision int64
}

// GroupRevision is the revision of a group and its members that the owner of a pool has seen.
type GroupRevision struct {
	Group    string // SCIM id
	Revision int64
}

// MarkState is the state of a marked removal.
type MarkState string

const (
	MarkHeld    MarkState = "Held"    // no person has decided; the removal is not carried out
	MarkDropped MarkState = "Dropped" // a person decided that the removal is not carried out
)

// Mark records that a removal is wanted but not carried out. It stays with the record, also if an
// owner with the same name adopts the record. It ends with the owner's next write without KeepMark,
// with the release of the record, and with MarkAccount or MarkPool of nil.
type Mark struct {
	What     Removal // for a pool: RemovalManager, RemovalDeletion or RemovalMembers
	State    MarkState
	Decision string // id of the decision about it
	At       string // name of the object that a person annotates to decide
}

// Held returns the removal that is held. It is empty if there is no mark, or the removal was
// dropped.
func (m *Mark) Held() Removal {
	if m == nil || m.State != MarkHeld {
		return ""
	}
	return m.What
}

// ReleaseMode is what happens to an account that is released.
type ReleaseMode string

const (
	ReleaseDeactivate ReleaseMode = "Deactivate" // keep the record, refuse the sign-in, remove the memberships
	ReleaseDelete     ReleaseMode = "Delete"     // delete the record; its audit trail stays
	ReleaseOrphan     ReleaseMode = "Orphan"     // leave it active as a local account
)

// Binding is the identity of the provider and of the operator that a portal is bound to.
type Binding struct {
	ID           string // created by the portal at the first Bind, kept when the operator is replaced; ignored in writes
	Replaces     string // write only: the id of the current binding, if this operator replaces its operator
	AcceptLoss   string // write only: the id of the loss of accounts that a person accepted (CodeTargetChanged); only drivers without a portal lose accounts
	Cluster      string // UID of the kube-system namespace, or a configured name
	Namespace    string
	Name         string
	UID          string // UID of the IdentityConfiguration
	ProviderType string // one of provider.Types
	ProviderName string // distinguishes two providers of one type, and is shown to users; may be empty
	SCIMBaseURL  string // shown in the portal for copying
}

// SamePlace reports whether b and other are of the IdentityConfiguration with the same name in the
// same namespace and cluster.
func (b Binding) SamePlace(other Binding) bool {
	return b.Cluster == other.Cluster && b.Namespace == other.Namespace && b.Name == other.Name
}

// SSO is the single sign-on part of the login methods.
type SSO struct {
	Enabled      bool
	Type         string // OIDC or SAML
	Issuer       string // OIDC issuer URL
	ClientID     string
	ClientSecret string // write only; never returned
	MetadataURL  string // SAML identity provider metadata
	Metadata     string // the metadata itself, in place of MetadataURL
	// IDAttribute is the SAML attribute with the user's immutable id, and UserNameAttribute the one
	// with the user name. Empty means the NameID.
	IDAttribute, UserNameAttribute string
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
	ManagedElsewhere string   // what manages the login methods instead of the page "Login methods"; empty if the page does
	Binding          *Binding // nil if no operator is bound
	PlanRequest      int64    // grows when a manager asks for the plan of the migration (Migration)
	Limits           []string // what the portal cannot do, and what follows from it, as sentences; nil for a portal of the Contract
	Revision         int64
}

// MigrationOutcome is what happens to a local account if "Provision existing users with SCIM" is
// on.
type MigrationOutcome string

const (
	MigrationAdopted     MigrationOutcome = "Adopted"     // the account becomes SCIM-managed
	MigrationWaits       MigrationOutcome = "Waits"       // a ScimUser has the user name, but the account stays local for now
	MigrationSameAddress MigrationOutcome = "SameAddress" // stays local; a ScimUser with another user name has the same address
	MigrationUnmatched   MigrationOutcome = "Unmatched"   // stays local: no ScimUser has the user name
)

// MigrationLine is what the migration does about one local account.
type MigrationLine struct {
	AccountID, UserName    string
	Outcome                MigrationOutcome
	Becomes                Status // the new status; empty if it stays
	Message                string // why
	RolesLost, RolesGained []string
	PoolsLost, PoolsGained []string // names
}

// MigrationPlan is what the operator would do about each local account if the migration were on, in
// the order of user names.
type MigrationPlan struct {
	ID      string // digest of Lines
	Request int64  // the Configuration.PlanRequest that the plan answers
	Lines   []MigrationLine
}

// MaxPlanPart is the maximum number of lines in one request of PutMigrationPlan on the wire.
const MaxPlanPart = 1000

// Position is a place in the change feed. The zero Position means "from now".
type Position struct {
	Epoch    string
	Sequence int64
}

// Change is one entry of the feed. Account, Pool or Configuration, as Kind says, is the record at
// the time of reading. It is nil if Gone, and all three are nil for ChangeKey.
type Change struct {
	Sequence      int64
	Kind          ChangeKind
	ID            string
	Gone          bool // the record no longer exists
	Account       *Account
	Pool          *Pool
	Configuration *Configuration
}

// ChangeKind is the kind of record that changed.
type ChangeKind string

const (
	ChangeAccount       ChangeKind = "User"                  // Change.Account has the account
	ChangePool          ChangeKind = "Pool"                  // Change.Pool has the pool
	ChangeConfiguration ChangeKind = "IdentityConfiguration" // Change.Configuration has login methods and binding
	ChangeKey           ChangeKind = "ApiKey"                // an API key was made or revoked: list the digests again
)

// KeyDigest is the digest of a portal API key with the scope scim. It is enough to verify a token,
// but not to produce one.
type KeyDigest struct {
	ID        string
	Name      string
	SHA256    string // lower-case hexadecimal
	Provider  provider.ID
	ExpiresAt time.Time // zero if the key never expires
	// RotateSince is when the person who made the key left: that person may know it. Zero if not.
	RotateSince time.Time
}

// Provider returns the identity provider that the binding integrates.
func (b *Binding) Provider() provider.ID {
	return provider.ID{Type: b.ProviderType, Name: b.ProviderName}
}

// MaxMemberships is the maximum number of items in one call of PutMemberships.
const MaxMemberships = 1000

// MembershipWrite adds one user to a pool or removes them from it.
type MembershipWrite struct {
	AccountID  string
	IfRevision int64  // revision of the account that this item was decided on
	Add        bool   // true adds the user, false removes the user
	Request    string // id of the SCIM request that caused this item, for the audit log; empty takes the id of the call
}

// MembershipOutcome is the result of one MembershipWrite.
type MembershipOutcome string

const (
	MembershipDone      MembershipOutcome = "Done"      // written; the account has a new revision
	MembershipUnchanged MembershipOutcome = "Unchanged" // nothing to change, at any revision of the account
	MembershipStale     MembershipOutcome = "Stale"     // decided on another revision of the account: the user's pass decides again
	MembershipUnknown   MembershipOutcome = "Unknown"   // there is no such account
	MembershipNotOwned  MembershipOutcome = "NotOwned"  // the account has no owner: people edit it in the portal
)

// MembershipResult is the result for one user.
type MembershipResult struct {
	AccountID string
	Outcome   MembershipOutcome
	Revision  int64 // the account's current revision; 0 for an unknown account
}

// Removals contains the counts for the budgets of the deprovisioning guard. The window is the
// argument of Audit.Removals.
type Removals struct {
	Pools   map[string]PoolRemovals // by portal id; the default pool is missing, because no active user leaves it
	Removed int                     // distinct accounts that the operator deactivated, released, deleted or took ROLE_MANAGER from in the window
	Managed int                     // SCIM-managed accounts that are active now, plus Removed
}

// PoolRemovals counts the memberships of one pool that its owner granted.
type PoolRemovals struct {
	Removed int // distinct active users that the operator removed from the pool in the window, and that kept their account
	Members int // users that are in the pool now by a grant of its owner
}

// AccountWriter writes accounts. Every method may be repeated: the portal compares before it
// writes. If AccountWrite.IfRevision is set and is not the current revision, the portal refuses the
// write with STALE_REVISION, unless the write would change nothing. Therefore a write whose
// response was lost can be repeated. Refusals by the portal are *Error; transport failures are not.
type AccountWriter interface {
	// PutAccount creates, adopts or updates the account of w.Owner and returns it with its derived
	// roles.
	PutAccount(ctx context.Context, w AccountWrite) (*Account, error)
	// ReleaseAccount ends the ownership of owner, and changes or deletes the account as mode says.
	// It is no error if owner has no account. owner becomes a ReleasedOwner.
	ReleaseAccount(ctx context.Context, owner Owner, mode ReleaseMode) error
	// MarkWaiting sets WaitingFor: owner waits to adopt the local account. An owner without a UID
	// clears it.
	MarkWaiting(ctx context.Context, accountID string, owner Owner) error
	// MarkAccount sets the mark of owner's account, or of the local account that owner waits to
	// adopt (MarkWaiting). The portal shows it. nil clears the mark; ReleaseAccount and PutAccount
	// without KeepMark clear it too. If there is no such account, MarkAccount does nothing.
	MarkAccount(ctx context.Context, owner Owner, m *Mark) error
}

// PoolWriter writes pools. Every method may be repeated.
type PoolWriter interface {
	PutPool(ctx context.Context, w PoolWrite) (*Pool, error)
	// PutMemberships adds users to the pool of ownerUID and removes users from it: up to
	// MaxMemberships items, in one transaction, with a result for each, in their order. Roles
	// change with the memberships. It never overwrites a change that the caller did not see: an
	// item that was decided on another revision of the account is Stale and left to that user's
	// next write. The audit has one event for each request that the items name. Without a pool it
	// is refused with NOT_FOUND, for the default pool with DEFAULT_POOL_PROTECTED.
	//
	// seen raises the revisions in the pool's pins of these groups. Groups without a pin are
	// ignored.
	PutMemberships(ctx context.Context, ownerUID string, items []MembershipWrite, seen []GroupRevision) ([]MembershipResult, error)
	// ReleasePool ends the ownership of ownerUID. remove also undoes what the owner did: it deletes
	// the pool if the owner created it, and otherwise removes the roles that the owner granted.
	ReleasePool(ctx context.Context, ownerUID string, remove bool) error
	// MarkPool is MarkAccount for the owner's pool.
	MarkPool(ctx context.Context, owner Owner, m *Mark) error
}

// Reader lists the portal's records and follows its changes. Only Accounts returns pages.
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

// Releases lists the owners without an account whose account was released, and those without a pool
// whose pool was released.
type Releases interface {
	// Released returns up to limit (≤ 1000) owners with a name after the given one, in the order of
	// names, and the name to continue from; empty at the end.
	Released(ctx context.Context, after string, limit int) (page []ReleasedOwner, next string, err error)
	// ReleasedPools is Released for pools.
	ReleasedPools(ctx context.Context, after string, limit int) (page []ReleasedPool, next string, err error)
}

// Identity is the portal's identity configuration and its binding to one operator.
type Identity interface {
	Configuration(ctx context.Context) (*Configuration, error)
	// PutLoginMethods replaces the login methods. managedElsewhere names the declared configuration
	// that they come from; while it is set, the page "Login methods" is read-only. If
	// managedElsewhere is empty, m is ignored: the page becomes editable again, and the login
	// methods stay.
	PutLoginMethods(ctx context.Context, m LoginMethods, managedElsewhere string) (*Configuration, error)
	// Bind binds the portal to one operator and one provider, atomically. If the portal is bound to
	// another operator, it refuses the call with OPERATOR_ALREADY_BOUND, and otherwise another
	// provider with IDP_ALREADY_CONFIGURED. The error names the bound one. An operator with the
	// same cluster, namespace and name gets its previous binding id. An operator whose Replaces is
	// the id of the current binding replaces the bound operator, for the same provider, and keeps
	// the id. Bind also makes this client's process the leader: writes of accounts and pools by
	// former leaders, also late ones, are refused with STALE_LEADER from then on, and so is their
	// Bind.
	Bind(ctx context.Context, b Binding) (id string, err error)
	// Unbind removes the binding of the IdentityConfiguration with this UID.
	Unbind(ctx context.Context, uid string) error
	// SCIMKeys returns the digests of the keys that are currently valid for the SCIM webhook.
	SCIMKeys(ctx context.Context) ([]KeyDigest, error)
}

// Migration publishes the plan of the migration of local accounts.
type Migration interface {
	// PutMigrationPlan replaces the plan. It may be repeated.
	PutMigrationPlan(ctx context.Context, plan MigrationPlan) error
}

// Audit returns the counts that the deprovisioning guard needs, and the head of the audit's chain.
type Audit interface {
	Removals(ctx context.Context, window time.Duration) (Removals, error)
	// AuditHead returns the newest event of the audit or, if sequence is not 0, the event with this
	// number. If there is no such event, it is an *Error with the code NOT_FOUND.
	AuditHead(ctx context.Context, sequence int64) (AuditHead, error)
}

// AuditHead identifies an event of the audit and all events before it: it proves later that none of
// them was changed or removed.
type AuditHead struct {
	Sequence int64  // number of the event; events are numbered without gaps
	MAC      string // over the event and the MAC of the event before; empty if the audit has no chain
}

// Cause is what causes a write of the operator.
type Cause string

const (
	CauseProvider Cause = "Provider" // a push of the identity provider
	CauseGit      Cause = "Git"      // an object that people or Git wrote
)

type causeKey struct{}

// WithCause returns ctx for a write with this cause. The portal's audit has it.
func WithCause(ctx context.Context, c Cause) context.Context {
	return context.WithValue(ctx, causeKey{}, c)
}

// CauseOf returns the cause of a write, and "" if none is known.
func CauseOf(ctx context.Context) Cause {
	c, _ := ctx.Value(causeKey{}).(Cause)
	return c
}

// Client is the complete port.
type Client interface {
	AccountWriter
	PoolWriter
	Reader
	Releases
	Identity
	Migration
	Audit
}
