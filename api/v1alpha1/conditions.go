package v1alpha1

// Condition types. Leaves are True when that part is done; Ready sums them up; the others are abnormal when True.
// docs/reference/conditions.md maps each reason to Ready, Reconciling and Stalled and gives its remedy.
const (
	// Leaves of a ScimUser and, where they apply, of an AgentPool.
	ConditionNameClaimed    = "NameClaimed"    // the name is this object's alone
	ConditionOwned          = "Owned"          // the record in the portal is ours to write
	ConditionPoolsResolved  = "PoolsResolved"  // every pool named by or for the object is known
	ConditionGroupsResolved = "GroupsResolved" // every group that fills the pool is known
	ConditionProvisioned    = "Provisioned"    // the record in the portal is as it should be
	ConditionRolesInherited = "RolesInherited" // the roles there are those that the pools give

	// Leaves of an IdentityConfiguration.
	ConditionPortalReachable = "PortalReachable" // the portal answers and accepts the credentials
	ConditionBound           = "Bound"           // this operator and provider are the ones the portal is bound to
	ConditionLoginMethods    = "LoginMethodsApplied"
	ConditionTokensSynced    = "TokensSynced" // portal API keys with the scope scim work as tokens

	ConditionReady = "Ready"

	ConditionReconciling        = "Reconciling"
	ConditionStalled            = "Stalled"
	ConditionDeprovisioningHeld = "DeprovisioningHeld"
	ConditionSuspended          = "Suspended"
	ConditionDrifted            = "Drifted"
	ConditionRestoreOpen        = "RestoreOpen"    // on an IdentityConfiguration: the restore window is open
	ConditionTokensExpiring     = "TokensExpiring" // on an IdentityConfiguration: a SCIM token is about to expire, or has
)

// Reasons.
const (
	// Good news.
	ReasonReady        = "Ready"
	ReasonClaimed      = "Claimed"
	ReasonOwned        = "Owned"
	ReasonResolved     = "Resolved"
	ReasonProvisioned  = "Provisioned"
	ReasonInherited    = "Inherited"
	ReasonApplied      = "Applied"
	ReasonMirrored     = "Mirrored" // login methods are the portal's; status mirrors them
	ReasonBound        = "Bound"
	ReasonReachable    = "Reachable"
	ReasonSynced       = "Synced"
	ReasonInSync       = "InSync"
	ReasonGroupRenamed = "GroupRenamed" // the group that a line was resolved to has another name by now, and still fills the pool

	// Work under way.
	ReasonProgressing = "Progressing"
	ReasonDeleting    = "Deleting"

	// Waiting for something that comes by itself.
	ReasonPortalUnreachable   = "PortalUnreachable"
	ReasonPortalNotListed     = "PortalNotListed" // its state has not been read yet
	ReasonNoConfiguration     = "NoConfiguration"
	ReasonConfigurationNotOK  = "ConfigurationNotReady"
	ReasonPoolPending         = "PoolPending"
	ReasonDefaultPoolPending  = "DefaultPoolPending"
	ReasonNameReleasePending  = "NameReleasePending"
	ReasonCredentialsNotFound = "CredentialsNotFound"
	ReasonKeysUnconfirmed     = "KeysUnconfirmed" // the portal lists no key any more; it is asked again before that counts

	// Waiting for a person.
	ReasonLocalAccountExists = "LocalAccountExists"
	ReasonDeactivatedLocally = "DeactivatedInPortal"
	ReasonGroupNotFound      = "GroupNotFound"  // no living group is what a line says
	ReasonGroupAmbiguous     = "GroupAmbiguous" // several are
	ReasonGroupChanged       = "GroupChanged"   // another group than before, or perhaps another, is what a line says
	ReasonGuardHeld          = "GuardHeld"
	ReasonRemovalDropped     = "RemovalDropped"
	ReasonPoolChangeWaiting  = "PoolChangeWaiting" // a pool gives what it gave: its change is held, dropped or refused
	ReasonLastManager        = "LastManager"
	ReasonSuspendedByUser    = "SuspendedByUser"
	ReasonSCIMOff            = "SCIMOff"
	ReasonReportOnly         = "ReportOnly"
	ReasonTokenExpiresSoon   = "TokenExpiresSoon"
	ReasonTokenExpired       = "TokenExpired"
	ReasonBackupOlder        = "BackupOlder" // the portal has seen a newer push than the object's
	ReasonRestoreWindow      = "RestoreWindowOpen"
	ReasonConsentRequired    = "ConsentRequired" // the pool of that name is the portal's: a person consents to its adoption
	ReasonAdoptRefused       = "AdoptRefused"    // spec.adopt names a pool that can't be adopted
	ReasonDefaultPoolName    = "DefaultPoolName" // the name is the default pool's, which AgentPool/default alone rules
	ReasonSSORequired        = "SSORequired"

	// Wrong until somebody changes something.
	ReasonNameTaken            = "NameTaken"
	ReasonInvalidName          = "InvalidName"
	ReasonInvalidFilter        = "InvalidFilter"
	ReasonUnknownRole          = "UnknownRole"
	ReasonRoleNotGrantable     = "RoleNotGrantable"
	ReasonPoolExists           = "PoolExistsInPortal"
	ReasonBoundElsewhere       = "BoundToAnotherOperator"
	ReasonProviderConflict     = "AnotherProviderConfigured"
	ReasonCredentialsRejected  = "CredentialsRejected"
	ReasonCredentialsMalformed = "CredentialsMalformed" // the Secret's key can't be sent as it is
	ReasonInvalidConfiguration = "InvalidConfiguration"
	ReasonRefusedByPortal      = "RefusedByPortal"
	ReasonSSONotReachable      = "SSONotReachable"
)

// Names that the parts agree on.
const (
	// FinalizerPool keeps an AgentPool until its pool in the portal is released.
	FinalizerPool = "iam.lightrun.com/pool"

	// AnnotationRelease on a ScimUser or AgentPool lets a held removal pass: its value is the id that status.held.decision
	// gives.
	AnnotationRelease = "iam.lightrun.com/release-removal"
	// AnnotationDrop on a ScimUser or AgentPool drops a held removal: what the account or pool has stays, until the provider
	// says something else. Its value is the id that status.held.decision gives.
	AnnotationDrop = "iam.lightrun.com/drop-removal"
	// AnnotationAcceptBackup on a ScimUser lets an object from a backup replace what is newer in the portal (BackupOlder). Its
	// value is the revision that the portal has.
	AnnotationAcceptBackup = "iam.lightrun.com/accept-backup"
	// AnnotationAcceptGroups on an AgentPool has groups fill it whose lines need a decision (GroupChanged). Its value is their
	// SCIM ids, separated by commas.
	AnnotationAcceptGroups = "iam.lightrun.com/accept-groups"
	// AnnotationReleaseHeld on the IdentityConfiguration releases every removal held by the time that it gives (RFC 3339).
	AnnotationReleaseHeld = "iam.lightrun.com/release-held-until"
	// AnnotationDropHeld on the IdentityConfiguration drops every removal held by the time that it gives (RFC 3339).
	AnnotationDropHeld = "iam.lightrun.com/drop-held-until"

	// AnnotationReplaceProvider on the IdentityConfiguration lets another identity provider take the place of the one that
	// the portal is integrated with, which its value names as Type or Type/name.
	AnnotationReplaceProvider = "iam.lightrun.com/replace-identity-provider"

	// AnnotationReplaceOperator on the IdentityConfiguration lets this operator take the place of the one that the portal is
	// bound to. Its value is the binding's id, which stays. It counts once: the manager takes it away.
	AnnotationReplaceOperator = "iam.lightrun.com/replace-operator"

	// AnnotationReleaseStrays on the IdentityConfiguration releases, as spec.onDelete says, the accounts of ours whose
	// ScimUser is gone and that were found by the time that it gives (RFC 3339).
	AnnotationReleaseStrays = "iam.lightrun.com/release-accounts-without-user-until"

	// AnnotationDecidedBy beside a decision is the user name, as the API server knows it, of who decided. A policy holds it
	// equal to the user of the request. An object has one: who decides removes the decisions of others.
	AnnotationDecidedBy = "iam.lightrun.com/decided-by"

	// AnnotationRestore on the namespace opens the restore window: its value is the comma-separated user names of those who
	// may bring back an export, if they have the verb restore.
	AnnotationRestore = "iam.lightrun.com/restore"

	// AnnotationRequest on a ScimUser, ScimGroup or ScimGroupSlice is the request that last wrote what
	// the provider says, <revision>/<id>. It counts while the object has that revision.
	AnnotationRequest = "iam.lightrun.com/request-id"
	// AnnotationTrace beside it is the traceparent of that request, while traces are on.
	AnnotationTrace = "iam.lightrun.com/traceparent"

	// LabelGroup on a ScimGroupSlice is the SCIM id of its group.
	LabelGroup = "iam.lightrun.com/group"
	// LabelTokenProvider on a token Secret names the ProviderType whose pushes its tokens are for.
	LabelTokenProvider = "iam.lightrun.com/identity-provider"

	// FieldManagerWebhook is the field manager of every write by the SCIM webhook.
	FieldManagerWebhook = "scim-webhook"
	// FieldManagerController is the field manager of every write by the controllers.
	FieldManagerController = "scim-manager"

	// PortalTokensSecret is the Secret that the manager fills with the digests of portal API keys with the scope scim.
	PortalTokensSecret = "scim-portal-tokens"
	// DeclaredTokensSecret is the Secret in which people declare digests of SCIM tokens of their own.
	DeclaredTokensSecret = "scim-tokens"
)

// DecisionAnnotations are the annotations by which a person decides. The policies ask for the verb decide and for
// AnnotationDecidedBy where one of them changes.
func DecisionAnnotations() []string {
	return []string{
		AnnotationRelease, AnnotationDrop, AnnotationReleaseHeld, AnnotationDropHeld,
		AnnotationReplaceProvider, AnnotationReplaceOperator, AnnotationReleaseStrays, AnnotationAcceptGroups, AnnotationAcceptBackup,
	}
}
