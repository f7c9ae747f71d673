// Package portal is the Management Portal as this operator sees it: accounts, pools, the binding of one company to
// one operator, the login methods, and a change feed. It is a port: controllers depend on these words and interfaces
// alone. The wire contract behind it is the OpenAPI document in internal/portal/openapi; the REST client in
// internal/portal/rest speaks it, the mirror in internal/portal/mirror keeps the portal's state in memory, and the
// contract suite in internal/portal/contract holds any implementation to it.
package portal

import (
	"context"
	"time"
)

// ManagedBy says who may change an account.
type ManagedBy string

const (
	ManagedByLocal ManagedBy = "Local" // people change it, in the portal
	ManagedBySCIM  ManagedBy = "SCIM"  // only the operator changes it, while SCIM is on
)

// Status says whether the person may sign in.
type Status string

const (
	StatusActive      Status = "Active"
	StatusDeactivated Status = "Deactivated"
)

// Removal is what a removal takes from a person.
type Removal string

const (
	RemovalDeactivation Removal = "Deactivation" // they could not sign in any more
	RemovalDeletion     Removal = "Deletion"     // their record would go
	RemovalManager      Removal = "ManagerRole"  // they would lose ROLE_MANAGER
)

// The roles of the portal's catalogue that the product's rules name. Others may exist; Reader.Roles lists all.
const (
	RoleUser           = "ROLE_USER"
	RoleIgnoreQuota    = "ROLE_IGNORE_QUOTA"
	RoleManager        = "ROLE_MANAGER"
	RoleAdmin          = "ROLE_ADMIN"           // the vendor's own, never granted from here
	RoleAccountManager = "ROLE_ACCOUNT_MANAGER" // the vendor's own, never granted from here
)

// Owner is the object that alone may change a record: the ScimUser of an account, the AgentPool of a pool.
type Owner struct {
	UID      string // the object's UID: the right to write; empty when nobody owns the record
	Name     string // the object's name, which survives backup and restore
	Revision int64  // the newest revision written under this UID; a write with a smaller one is stale
}

// Account is one person's record in the portal.
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
	Held          Removal   // what the deprovisioning guard holds back; empty: nothing
	Pools         []string  // portal ids of its pools, the default pool among them; sorted
	Roles         []string  // effective roles as the portal derived them; sorted
	DirectRoles   []string  // those given to the account itself: none, for one that an owner has; sorted, nil for none
	Ungranted     []string  // those of Pools that no write of the owner put it in; nil for none and without an owner; sorted
	Revision      int64     // grows with every change of the record
}

// Pool is an agent pool in the portal.
type Pool struct {
	ID          string
	Name        string
	Description string
	Roles       []string // sorted
	Ungranted   []string // those of Roles that no write of the owner gave it; nil for none and without an owner; sorted
	Default     bool
	Owner       Owner   // the AgentPool that rules it; none for pools made in the portal
	Created     bool    // its owner created it; false: it was there before, and its owner never deletes it
	HandedOver  bool    // a person in the portal allowed an AgentPool of this name to adopt it
	Held        Removal // what the deprovisioning guard holds back from those in it; empty: nothing
	HeldAt      string  // name of the AgentPool where a person releases or drops it
	Members     int
	Revision    int64
}

// Role is one entry of the portal's catalogue.
type Role struct {
	Name        string
	Description string
	Grantable   bool // false for the vendor's own roles
}

// AccountWrite is the whole desired state of an account. Writing the same state again changes nothing.
type AccountWrite struct {
	Owner       Owner  // UID, name and the revision of this write
	IfRevision  *int64 // of the account that this was decided on, 0: there was none; nil: whatever is there. See Accounts
	UserName    string
	DisplayName string
	GivenName   string
	FamilyName  string
	Email       string
	ExternalID  string
	Active      bool
	Pools       []string // portal ids; the default pool is added by the portal
	Adopt       *Adopt   // nil: the account is owned already, or is created
}

// Adopt names an existing account or pool to take over, by compare-and-swap on its present owner.
type Adopt struct {
	ID       string
	OwnerUID string // the owner that the record must have now; empty for one that nobody owns
	Inherit  bool   // for a pool: the new owner counts as the one that created it, if the present one does
}

// PoolWrite is the whole desired state of a pool. Writing the same state again changes nothing.
type PoolWrite struct {
	Owner       Owner  // UID, name and the revision of this write
	IfRevision  *int64 // as of an AccountWrite
	Default     bool   // the owner rules the default pool, and no other; Name is ignored
	Name        string
	Description string
	Roles       []string // all that the pool gives; empty: none
	Adopt       *Adopt   // nil: the pool is owned already, or is created
}

// PoolHold says what the deprovisioning guard holds back about the pool of an AgentPool.
type PoolHold struct {
	OwnerUID string
	Revision int64
	What     Removal // RemovalManager: those in it would lose the role; RemovalDeletion: the pool would go; empty: nothing is held
	At       string  // the AgentPool's name, for people
}

// ReleaseMode says what becomes of an account whose ScimUser goes.
type ReleaseMode string

const (
	ReleaseDeactivate ReleaseMode = "Deactivate" // keep the record, sign-in refused, memberships emptied
	ReleaseDelete     ReleaseMode = "Delete"     // remove the record; its audit trail stays
	ReleaseOrphan     ReleaseMode = "Orphan"     // leave it active as a local account
)

// Binding is the identity of the provider and of the operator that a portal is bound to.
type Binding struct {
	Cluster      string // UID of the kube-system namespace, or a configured name
	Namespace    string
	Name         string
	UID          string // of the IdentityConfiguration
	ProviderType string // Okta, EntraID, Other
	ProviderName string // as shown to people
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

// LoginMethods is what the page "Login methods" holds.
type LoginMethods struct {
	SSO                    SSO
	SCIMEnabled            bool
	ProvisionExistingUsers bool
	ProvisionGroups        bool
}

// Configuration is the identity configuration in force in the portal.
type Configuration struct {
	LoginMethods
	ManagedElsewhere string   // who rules it instead of the page's Save button; empty: the page does
	Binding          *Binding // nil: no operator is bound
	Revision         int64
}

// Position is a place in the change feed. The zero Position means "from now".
type Position struct {
	Epoch    string
	Sequence int64
}

// Change is one entry of the feed with the record as it was when read. Gone: the record no longer exists.
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

// KeyDigest is one portal API key with the scope scim: enough to verify a token, never to produce one.
type KeyDigest struct {
	ID        string
	Name      string
	SHA256    string    // lower-case hexadecimal
	ExpiresAt time.Time // zero: never
}

// Removals counts what the deprovisioning guard budgets.
type Removals struct {
	Removed int // distinct accounts deactivated, released, deleted or stripped of ROLE_MANAGER by the operator in the window
	Managed int // SCIM-managed accounts that are active now, plus Removed
}

// Accounts writes accounts. Every method may be repeated: the portal compares before it writes. What was decided on another
// version than the present one is refused with STALE_REVISION, unless it would change nothing: that is how a write whose answer
// was lost is repeated. Errors are *Error; transport failures are not.
type Accounts interface {
	// PutAccount creates, adopts or updates the account of w.Owner and returns it with its derived roles.
	PutAccount(ctx context.Context, w AccountWrite) (*Account, error)
	// ReleaseAccount ends the ownership of ownerUID. Releasing what nobody owns is no error.
	ReleaseAccount(ctx context.Context, owner Owner, mode ReleaseMode) error
	// MarkWaiting records that owner waits to adopt the local account; an empty UID clears the mark.
	MarkWaiting(ctx context.Context, accountID string, owner Owner) error
	// MarkHeld shows people that the deprovisioning guard holds the removal of owner's account; "" clears the mark, and so
	// does every PutAccount and ReleaseAccount of the owner. Without an account it does nothing.
	MarkHeld(ctx context.Context, owner Owner, what Removal) error
}

// Pools writes pools. Every method may be repeated.
type Pools interface {
	PutPool(ctx context.Context, w PoolWrite) (*Pool, error)
	// ReleasePool ends the ownership of ownerUID. remove also takes back what the owner gave: the pool, if the owner created it,
	// and otherwise the roles that it gave to it.
	ReleasePool(ctx context.Context, ownerUID string, remove bool) error
	// MarkPoolHeld shows people that the guard holds a change of the owner's pool. Every PutPool and ReleasePool of the owner
	// clears the mark. Without a pool it does nothing.
	MarkPoolHeld(ctx context.Context, h PoolHold) error
}

// Reader lists what the portal holds, by keyset pages, and follows its changes.
type Reader interface {
	// Accounts returns up to limit (≤ 1000) accounts with an id after the given one, in order of id, and the id to go on from; empty at the end.
	Accounts(ctx context.Context, after string, limit int) (page []Account, next string, err error)
	Pools(ctx context.Context) ([]Pool, error)
	Roles(ctx context.Context) ([]Role, error)
	// Position returns the feed's present end.
	Position(ctx context.Context) (Position, error)
	// Changes returns what came after p, waiting up to wait (≤ 30 s) for a first one, and the position behind it.
	// An unknown epoch or a truncated feed is an *Error with code FEED_TRUNCATED: list again.
	Changes(ctx context.Context, p Position, wait time.Duration) ([]Change, Position, error)
}

// Identity is the portal's identity configuration and its binding to one operator.
type Identity interface {
	Configuration(ctx context.Context) (*Configuration, error)
	// PutLoginMethods replaces the login methods in the name of a declared configuration; managedElsewhere says whose. Empty hands them back to the page and changes nothing else.
	PutLoginMethods(ctx context.Context, m LoginMethods, managedElsewhere string) (*Configuration, error)
	// Bind claims the portal for one operator and provider, atomically. Bound to another: OPERATOR_ALREADY_BOUND or IDP_ALREADY_CONFIGURED, naming the first.
	// It also makes this client's process the one that leads: writes of accounts and pools by those before it, also late ones, are refused
	// with STALE_LEADER from then on, and so is their Bind.
	Bind(ctx context.Context, b Binding) error
	// Unbind gives the portal free if uid holds it.
	Unbind(ctx context.Context, uid string) error
	// SCIMKeys returns the digests of the keys valid now for the SCIM webhook.
	SCIMKeys(ctx context.Context) ([]KeyDigest, error)
}

// Audit answers what the guard needs to know of the past.
type Audit interface {
	Removals(ctx context.Context, window time.Duration) (Removals, error)
}

// Client is the whole port.
type Client interface {
	Accounts
	Pools
	Reader
	Identity
	Audit
}
