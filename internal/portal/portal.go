// Package portal is the Management Portal as this operator sees it: accounts, pools, the binding of
// one company to one operator, the login methods, and a change feed. It is a port: controllers
// depend on these words and interfaces alone. The wire contract behind it is the OpenAPI document
// in internal/portal/openapi; the REST client in internal/portal/rest speaks it, the mirror in
// internal/portal/mirror keeps the portal's state in memory, and the contract suite in
// internal/portal/contract holds any implementation to it.
package portal

import (
	"context"
	"time"

	"lightrun.com/scim-operator/internal/provider"
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
	RemovalMembers      Removal = "Members"      // of a pool: people would leave it
)

// The roles of the portal's catalogue that the product's rules name. Others may exist; Reader.Roles
// lists all.
const (
	RoleUser           = "ROLE_USER"
	RoleIgnoreQuota    = "ROLE_IGNORE_QUOTA"
	RoleManager        = "ROLE_MANAGER"
	RoleAdmin          = "ROLE_ADMIN"           // the vendor's own, never granted from here
	RoleAccountManager = "ROLE_ACCOUNT_MANAGER" // the vendor's own, never granted from here
)

// Owner is the object that alone may change a record: the ScimUser of an account, the AgentPool of
// a pool.
type Owner struct {
	UID      string // the object's UID: the right to write; empty when nobody owns the record
	Name     string // the object's name, which survives backup and restore
	Revision int64  // the newest revision written under this UID; a write with a smaller one is stale
	Binding  string // id of the binding under which it was written last; the portal's, ignored in writes
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
	Mark          *Mark     // what the deprovisioning guard holds back, or a person dropped; nil: nothing
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
	Owner       Owner // the AgentPool that rules it; none for pools made in the portal
	Created     bool  // its owner created it; false: it was there before, and its owner never deletes it
	HandedOver  bool  // a person in the portal allowed an AgentPool of this name to adopt it
	Mark        *Mark // what the guard holds back from those in it, or a person dropped; nil: nothing
	Members     int
	Revision    int64
}

// Role is one entry of the portal's catalogue.
type Role struct {
	Name        string
	Description string
	Grantable   bool // false for the vendor's own roles
}

// AccountWrite is the whole desired state of an account. Writing the same state again changes
// nothing.
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
	KeepMark    bool     // this write neither carries out nor takes back what the account's mark is about
}

// Adopt names an existing account or pool to take over, by compare-and-swap on its present owner.
type Adopt struct {
	ID       string
	OwnerUID string // the owner that the record must have now; empty for one that nobody owns
	Inherit  bool   // for a pool: the new owner counts as the one that created it, if the present one does
	// Members are, of a pool, the accounts that stay in it, up to MaxAdoptedMembers: everybody else
	// whose account has an owner leaves it in the same transaction, before it gets its roles. nil:
	// all stay.
	Members *[]string
}

// MaxAdoptedMembers is how many members an adoption can name.
const MaxAdoptedMembers = 20_000

// PoolWrite is the whole desired state of a pool. Writing the same state again changes nothing.
type PoolWrite struct {
	Owner       Owner  // UID, name and the revision of this write
	IfRevision  *int64 // as of an AccountWrite
	Default     bool   // the owner rules the default pool, and no other; Name is ignored
	Name        string
	Description string
	Roles       []string // all that the pool gives; empty: none
	Adopt       *Adopt   // nil: the pool is owned already, or is created
	KeepMark    bool     // as of an AccountWrite
}

// MarkState says how a marked removal stands.
type MarkState string

const (
	MarkHeld    MarkState = "Held"    // nobody decided: it is not carried out
	MarkDropped MarkState = "Dropped" // a person decided that it is not carried out
)

// Mark says that a removal is wanted and not carried out. It stays with the record, also for an
// owner of the same name that adopts it, until the owner's next write that does not keep it.
type Mark struct {
	What     Removal // of a pool: RemovalManager, RemovalDeletion or RemovalMembers
	State    MarkState
	Decision string // id of the decision about it
	At       string // name of the object where a person decides, or decided
}

// Held is what the mark holds; empty for none and for one that a person dropped.
func (m *Mark) Held() Removal {
	if m == nil || m.State != MarkHeld {
		return ""
	}
	return m.What
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
	ID           string // made by the portal at the first Bind, kept when the operator is replaced; ignored in writes
	Replaces     string // written only: the id of the present binding, whose operator this one takes the place of
	Cluster      string // UID of the kube-system namespace, or a configured name
	Namespace    string
	Name         string
	UID          string // of the IdentityConfiguration
	ProviderType string // one of provider.Types
	ProviderName string // tells two of one type apart, and is shown to people; empty: the type is enough
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

// Change is one entry of the feed with the record as it was when read. Gone: the record no longer
// exists.
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

// KeyDigest is one portal API key with the scope scim: enough to verify a token, never to produce
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

// MaxMemberships is how many items one call of PutMemberships takes.
const MaxMemberships = 1000

// MembershipWrite puts one person into a pool or takes them out of it.
type MembershipWrite struct {
	AccountID  string
	IfRevision int64 // of the account that this was decided on
	In         bool
}

// MembershipOutcome is what became of one MembershipWrite.
type MembershipOutcome string

const (
	MembershipDone      MembershipOutcome = "Done"
	MembershipUnchanged MembershipOutcome = "Unchanged" // it was so already, of whatever version
	MembershipStale     MembershipOutcome = "Stale"     // decided on another version of the account: that person's pass decides again
	MembershipUnknown   MembershipOutcome = "Unknown"   // there is no such account
	MembershipNotOurs   MembershipOutcome = "NotOurs"   // nobody owns the account: people edit it in the portal
)

// MembershipResult is what became of one person.
type MembershipResult struct {
	AccountID string
	Outcome   MembershipOutcome
	Revision  int64 // the account's now; 0 for one that is unknown
}

// Removals counts what the deprovisioning guard budgets.
type Removals struct {
	Pools   map[string]PoolRemovals // by portal id; without the default pool, which nobody leaves
	Removed int                     // distinct accounts deactivated, released, deleted or stripped of ROLE_MANAGER by the operator in the window
	Managed int                     // SCIM-managed accounts that are active now, plus Removed
}

// PoolRemovals counts memberships of one pool that owners granted.
type PoolRemovals struct {
	Removed int // distinct active people whom the operator took out of it in the window, and who kept their account
	Members int // people who are in it now
}

// Accounts writes accounts. Every method may be repeated: the portal compares before it writes.
// What was decided on another version than the present one is refused with STALE_REVISION, unless
// it would change nothing: that is how a write whose answer was lost is repeated. Errors are
// *Error; transport failures are not.
type Accounts interface {
	// PutAccount creates, adopts or updates the account of w.Owner and returns it with its derived
	// roles.
	PutAccount(ctx context.Context, w AccountWrite) (*Account, error)
	// ReleaseAccount ends the ownership of ownerUID. Releasing what nobody owns is no error.
	ReleaseAccount(ctx context.Context, owner Owner, mode ReleaseMode) error
	// MarkWaiting records that owner waits to adopt the local account; an empty UID clears the
	// mark.
	MarkWaiting(ctx context.Context, accountID string, owner Owner) error
	// MarkHeld keeps, and shows people, that a removal of owner's account, or of the local account
	// that owner waits to adopt (MarkWaiting), is held or was dropped; nil clears the mark, and so
	// does every ReleaseAccount and every PutAccount of the owner that does not keep it. Without an
	// account it does nothing.
	MarkHeld(ctx context.Context, owner Owner, m *Mark) error
}

// Pools writes pools. Every method may be repeated.
type Pools interface {
	PutPool(ctx context.Context, w PoolWrite) (*Pool, error)
	// PutMemberships puts people into the pool of ownerUID and takes people out of it: up to
	// MaxMemberships items, in one transaction, with a result for each in their order. Roles change
	// with it. It never overwrites what was not seen: an item that was decided on another version
	// of the account is Stale and left to that person's next write. Without a pool it is refused
	// with NOT_FOUND, for the default pool with DEFAULT_POOL_PROTECTED.
	PutMemberships(ctx context.Context, ownerUID string, items []MembershipWrite) ([]MembershipResult, error)
	// ReleasePool ends the ownership of ownerUID. remove also takes back what the owner gave: the
	// pool, if the owner created it, and otherwise the roles that it gave to it.
	ReleasePool(ctx context.Context, ownerUID string, remove bool) error
	// MarkPoolHeld is MarkHeld for the owner's pool.
	MarkPoolHeld(ctx context.Context, owner Owner, m *Mark) error
}

// Reader lists what the portal holds, by keyset pages, and follows its changes.
type Reader interface {
	// Accounts returns up to limit (≤ 1000) accounts with an id after the given one, in order of
	// id, and the id to go on from; empty at the end.
	Accounts(ctx context.Context, after string, limit int) (page []Account, next string, err error)
	Pools(ctx context.Context) ([]Pool, error)
	Roles(ctx context.Context) ([]Role, error)
	// Position returns the feed's present end.
	Position(ctx context.Context) (Position, error)
	// Changes returns what came after p, waiting up to wait (≤ 30 s) for a first one, and the
	// position behind it. An unknown epoch or a truncated feed is an *Error with code
	// FEED_TRUNCATED: list again.
	Changes(ctx context.Context, p Position, wait time.Duration) ([]Change, Position, error)
}

// Identity is the portal's identity configuration and its binding to one operator.
type Identity interface {
	Configuration(ctx context.Context) (*Configuration, error)
	// PutLoginMethods replaces the login methods in the name of a declared configuration;
	// managedElsewhere says whose. Empty hands them back to the page and changes nothing else.
	PutLoginMethods(ctx context.Context, m LoginMethods, managedElsewhere string) (*Configuration, error)
	// Bind claims the portal for one operator and provider, atomically. Bound to another:
	// OPERATOR_ALREADY_BOUND or IDP_ALREADY_CONFIGURED, naming the first. The same cluster,
	// namespace and name get the id that they had before. An operator whose Replaces is the present
	// binding's id takes the place of the one that is bound, for the same provider, and keeps the
	// id. It also makes this client's process the one that leads: writes of accounts and pools by
	// those before it, also late ones, are refused with STALE_LEADER from then on, and so is their
	// Bind.
	Bind(ctx context.Context, b Binding) (id string, err error)
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
