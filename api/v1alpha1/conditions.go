// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import "strconv"

// Condition types. Leaves are True if their part is done, and Ready summarises the leaves. The
// others report something abnormal if they are True. docs/reference/conditions.md maps each reason
// to Ready, Reconciling and Stalled and gives its remedy.
const (
	// Leaves of a ScimUser and, where they apply, of a ScimGroup and an AgentPool.
	ConditionNameClaimed     = "NameClaimed"     // this object has the claim on its name
	ConditionOwned           = "Owned"           // this object owns the record in the portal
	ConditionPoolsResolved   = "PoolsResolved"   // the pools of a user or group are known
	ConditionFilterValid     = "FilterValid"     // memberFilter of an AgentPool is valid, or there is none
	ConditionGroupsResolved  = "GroupsResolved"  // every line of spec.groups is resolved to a group
	ConditionMembersResolved = "MembersResolved" // in a pool with ROLE_MANAGER, no line of spec.members needs a decision
	ConditionProvisioned     = "Provisioned"     // the record in the portal is in the desired state
	ConditionRolesInherited  = "RolesInherited"  // the account has exactly the roles that its pools grant

	// Leaves of an IdentityConfiguration.
	ConditionPortalReachable = "PortalReachable"     // the portal responds and accepts the credentials
	ConditionBound           = "Bound"               // the portal is bound to this operator and this provider
	ConditionLoginMethods    = "LoginMethodsApplied" // the portal has the declared login methods, or administrators edit them in the portal
	ConditionTokensSynced    = "TokensSynced"        // portal API keys with the scope scim work as tokens

	// ConditionReady is True when every leaf is True.
	ConditionReady = "Ready"

	ConditionReconciling        = "Reconciling"        // work is in progress
	ConditionStalled            = "Stalled"            // a person must change something
	ConditionDeprovisioningHeld = "DeprovisioningHeld" // the guard holds a removal
	ConditionSuspended          = "Suspended"          // nothing is written to the portal
	ConditionDrifted            = "Drifted"            // under ReportOnly: the portal differs
	ConditionRestoreOpen        = "RestoreOpen"        // on an IdentityConfiguration: the restore window is open
	ConditionDegraded           = "Degraded"           // on an IdentityConfiguration: the SCIM target lacks something
	ConditionTokensExpiring     = "TokensExpiring"     // on an IdentityConfiguration: a SCIM token expires soon or has expired
	ConditionAuditChanged       = "AuditChanged"       // on an IdentityConfiguration: the portal's audit is not the recorded one
	ConditionOwnerGone          = "OwnerGone"          // on an IdentityConfiguration: accounts or pools in the portal have no object any more
	ConditionTokensToRotate     = "TokensToRotate"     // on an IdentityConfiguration: a person who left may know a SCIM token
)

// Reasons.
const (
	// Good: nothing to do.
	ReasonReady         = "Ready"         // every leaf is True
	ReasonClaimed       = "Claimed"       // the object has the claim on its name
	ReasonOwned         = "Owned"         // the object owns the record in the portal
	ReasonResolved      = "Resolved"      // the pools, or the lines of groups or members, are known
	ReasonValid         = "Valid"         // the filter compiles
	ReasonProvisioned   = "Provisioned"   // the record is in the desired state
	ReasonInherited     = "Inherited"     // the account has the roles of its pools
	ReasonApplied       = "Applied"       // the portal has the declared login methods
	ReasonMirrored      = "Mirrored"      // the portal edits the login methods; status shows them
	ReasonBound         = "Bound"         // the portal is bound to this operator and provider
	ReasonReachable     = "Reachable"     // the portal answers and accepts the key
	ReasonSynced        = "Synced"        // the portal's keys work as tokens
	ReasonGroupRenamed  = "GroupRenamed"  // the group of a line has another name now and still fills the pool
	ReasonMemberRenamed = "MemberRenamed" // the user of a line has another name now and stays in the pool

	ReasonPoolWithoutOwner = "PoolWithoutOwner" // the user has a role by a pool that its AgentPool released

	// Reconciling: work is in progress.
	ReasonProgressing = "Progressing" // the pass has not come to this part yet
	ReasonDeleting    = "Deleting"    // the object is being deleted, or the provider deleted it; something has to happen first

	// Reconciling: waiting for something that needs no person.
	ReasonPortalUnreachable   = "PortalUnreachable"     // no answer, or one that is not the portal's
	ReasonPortalNotListed     = "PortalNotListed"       // the portal's state has not been read yet
	ReasonNoConfiguration     = "NoConfiguration"       // there is no IdentityConfiguration named default
	ReasonConfigurationNotOK  = "ConfigurationNotReady" // a leaf of the IdentityConfiguration is not True
	ReasonPoolPending         = "PoolPending"           // a pool of the user is not in the portal yet
	ReasonDefaultPoolPending  = "DefaultPoolPending"    // AgentPool/default does not exist yet
	ReasonNameReleasePending  = "NameReleasePending"    // another record in the portal still has the name
	ReasonCredentialsNotFound = "CredentialsNotFound"   // the Secret with the portal's API key is missing
	ReasonKeysUnconfirmed     = "KeysUnconfirmed"       // the portal lists no key any more; a second answer must confirm that

	// Waiting: a person decides.
	ReasonNameHeld           = "NameHeld"            // the guard holds, or a person dropped, a removal of the record that has the name
	ReasonLocalAccountExists = "LocalAccountExists"  // a local account has the user name and may not be adopted
	ReasonDeactivatedLocally = "DeactivatedInPortal" // an administrator deactivated the account while SCIM was off
	ReasonGroupNotFound      = "GroupNotFound"       // no living group matches a line
	ReasonGroupAmbiguous     = "GroupAmbiguous"      // several groups match a line
	ReasonGroupChanged       = "GroupChanged"        // another group than before matches a line, or may do so
	ReasonMembersMissing     = "MembersMissing"      // ScimGroupSlices of a group do not exist
	ReasonMemberChanged      = "MemberChanged"       // another user than before has the name in a line, or may be another one
	ReasonGuardHeld          = "GuardHeld"           // more removals than the guard allows
	ReasonRemovalDropped     = "RemovalDropped"      // a person dropped the held removal
	ReasonPoolChangeWaiting  = "PoolChangeWaiting"   // the change of a pool is held, dropped or refused: it grants what it granted
	ReasonPoolOwnerGone      = "PoolOwnerGone"       // the user is in a pool whose AgentPool no longer exists
	ReasonOwnerGone          = "OwnerGone"           // accounts or pools of this operator in the portal have no ScimUser or AgentPool any more
	ReasonPlanChanged        = "PlanChanged"         // the migration would take more than the plan that a manager approved
	ReasonLastManager        = "LastManager"         // no local manager who can sign in would be left
	ReasonSuspendedByUser    = "SuspendedByUser"     // spec.suspend is set
	ReasonSCIMOff            = "SCIMOff"             // SCIM is off in the portal's login methods
	ReasonReportOnly         = "ReportOnly"          // managementPolicy is ReportOnly
	ReasonTokenExpiresSoon   = "TokenExpiresSoon"    // a token expires within the warning time
	ReasonTokenExpired       = "TokenExpired"        // pushes with a token are answered 401
	ReasonAuditChanged       = "AuditChanged"        // a recorded event of the portal's audit is missing or another one
	ReasonTokenMakerLeft     = "TokenMakerLeft"      // the person who made a token was deactivated
	ReasonBackupOlder        = "BackupOlder"         // the portal has seen a newer push than the object has
	ReasonRestoreWindow      = "RestoreWindowOpen"   // nothing is written until the restore window is closed
	ReasonConsentRequired    = "ConsentRequired"     // a person must consent to the adoption of the portal's pool of that name
	ReasonAdoptRefused       = "AdoptRefused"        // spec.adopt names a pool that cannot be adopted
	ReasonTargetChanged      = "TargetChanged"       // the SCIM target has not got most of the managed accounts
	ReasonTargetLimits       = "TargetLimits"        // the SCIM target cannot do everything; the message says what follows
	ReasonDefaultPoolName    = "DefaultPoolName"     // the default pool has the name, and only AgentPool/default may change it

	// Stalled: a person must change something.
	ReasonSSORequired          = "SSORequired"               // SCIM is declared without single sign-on
	ReasonNameTaken            = "NameTaken"                 // another object has the claim on the name
	ReasonInvalidName          = "InvalidName"               // the name is too long or has characters that may not be in it
	ReasonInvalidFilter        = "InvalidFilter"             // memberFilter does not compile
	ReasonUnknownRole          = "UnknownRole"               // the portal's catalogue has no such role
	ReasonRoleNotGrantable     = "RoleNotGrantable"          // the role is reserved for the vendor
	ReasonPoolExists           = "PoolExistsInPortal"        // the portal has another pool with the name
	ReasonBoundElsewhere       = "BoundToAnotherOperator"    // another operator provisions the portal
	ReasonProviderConflict     = "AnotherProviderConfigured" // another identity provider is integrated and keeps working
	ReasonCredentialsRejected  = "CredentialsRejected"       // the portal refuses the API key, or its scope
	ReasonCredentialsMalformed = "CredentialsMalformed"      // the key in the Secret cannot be sent in a header
	ReasonInvalidConfiguration = "InvalidConfiguration"      // the message says what is wrong in the spec
	ReasonRefusedByPortal      = "RefusedByPortal"           // any other refusal; the message has its code
	ReasonSSONotReachable      = "SSONotReachable"           // the portal could not read the issuer's discovery document
)

// Names that the parts agree on.
const (
	// FinalizerPool keeps an AgentPool until its pool in the portal is released.
	FinalizerPool = "iam.lightrun.com/pool"

	// AnnotationRelease on a ScimUser or AgentPool releases a held removal. Its value is the id in
	// status.held.decision. For a pool whose AgentPool does not exist, it is set on the
	// IdentityConfiguration.
	AnnotationRelease = "iam.lightrun.com/release-removal"
	// AnnotationDrop on a ScimUser or AgentPool drops a held removal: the account or pool keeps
	// what it has until the provider changes the user or group again. Its value is the id in
	// status.held.decision.
	AnnotationDrop = "iam.lightrun.com/drop-removal"
	// AnnotationAcceptBackup on a ScimUser or ScimGroup lets objects from a backup overwrite newer
	// data in the portal (BackupOlder). Its value is the revision that the portal has.
	AnnotationAcceptBackup = "iam.lightrun.com/accept-backup"
	// AnnotationAcceptGroups on an AgentPool accepts groups whose lines need a decision
	// (GroupChanged). Its value is their SCIM ids, separated by commas.
	AnnotationAcceptGroups = "iam.lightrun.com/accept-groups"
	// AnnotationAcceptMembers on an AgentPool accepts users whose lines of spec.members need a
	// decision (MemberChanged). Its value is their SCIM ids, separated by commas.
	AnnotationAcceptMembers = "iam.lightrun.com/accept-members"

	// AnnotationReplaceProvider on the IdentityConfiguration lets another identity provider replace
	// the one that the portal is integrated with. Its value names the latter, as Type or Type/name.
	AnnotationReplaceProvider = "iam.lightrun.com/replace-identity-provider"

	// AnnotationReplaceOperator on the IdentityConfiguration lets this operator replace the one
	// that the portal is bound to. Its value is the id of the binding, which stays the same. It
	// takes effect once: the manager removes it.
	AnnotationReplaceOperator = "iam.lightrun.com/replace-operator"

	// AnnotationAcceptLoss on the IdentityConfiguration accepts that a SCIM target has lost
	// accounts (TargetChanged), so that they are created again. Its value is the id of the loss.
	AnnotationAcceptLoss = "iam.lightrun.com/accept-target-loss"

	// AnnotationReleaseOwnerGone on the IdentityConfiguration releases accounts and pools of the
	// operator without a ScimUser or AgentPool: accounts as spec.onDelete says, and pools if the
	// guard lets their members lose what the pools give. It covers what the running manager had
	// found by the time in its value (RFC 3339).
	AnnotationReleaseOwnerGone = "iam.lightrun.com/release-accounts-without-user-until"

	// AnnotationDecidedBy is the Kubernetes user name of the person who set the decisions on the
	// same object. A policy requires that it equals the user of the request. Since an object has
	// one such name, a person who decides removes the decisions of others.
	AnnotationDecidedBy = "iam.lightrun.com/decided-by"

	// AnnotationRestore on the namespace opens the restore window. Its value lists Kubernetes user
	// names, separated by commas. These users may restore an export if they also have the verb
	// restore.
	AnnotationRestore = "iam.lightrun.com/restore"

	// AnnotationRequest on a ScimUser, ScimGroup or ScimGroupSlice is <revision>/<id>. id
	// identifies the SCIM request that wrote this revision. If the object has another revision, the
	// annotation has no meaning.
	AnnotationRequest = "iam.lightrun.com/request-id"
	// AnnotationTrace is the traceparent of the request that AnnotationRequest names. It is set if
	// tracing was on.
	AnnotationTrace = "iam.lightrun.com/traceparent"

	// LabelGroup on a ScimGroupSlice is the SCIM id of its group.
	LabelGroup = "iam.lightrun.com/group"
	// LabelTokenProvider on a token Secret names the ProviderType that its tokens are for.
	LabelTokenProvider = "iam.lightrun.com/identity-provider"

	// FieldManagerWebhook is the field manager of every write by the SCIM webhook.
	FieldManagerWebhook = "scim-webhook"
	// FieldManagerController is the field manager of every write by the controllers.
	FieldManagerController = "scim-manager"

	// PortalTokensSecret is the Secret to which the manager writes the digests of the portal's API
	// keys with the scope scim.
	PortalTokensSecret = "scim-portal-tokens"
	// DeclaredTokensSecret is the Secret in which administrators declare digests of their own SCIM
	// tokens.
	DeclaredTokensSecret = "scim-tokens"
)

// DecisionAnnotations returns the annotations by which a person decides. A change of one of them
// needs the verb decide, and AnnotationDecidedBy.
func DecisionAnnotations() []string {
	return []string{
		AnnotationRelease, AnnotationDrop,
		AnnotationReplaceProvider, AnnotationReplaceOperator, AnnotationReleaseOwnerGone, AnnotationAcceptGroups, AnnotationAcceptMembers,
		AnnotationAcceptBackup, AnnotationAcceptLoss,
	}
}

// AcceptedRevision returns the portal's revision that a person lets an older object overwrite
// (AnnotationAcceptBackup). It is 0 if the annotation is missing, or is not written as BackupOlder
// prints a revision.
func AcceptedRevision(annotations map[string]string) int64 {
	value := annotations[AnnotationAcceptBackup]
	revision, err := strconv.ParseInt(value, 10, 64)
	if err != nil || strconv.FormatInt(revision, 10) != value {
		return 0
	}
	return revision
}
