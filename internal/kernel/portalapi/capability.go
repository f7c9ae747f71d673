// SPDX-License-Identifier: Apache-2.0

package portalapi

// Capability is a part of the port that a driver may lack. A driver declares what it lacks, and the
// contract suite then tests what its users see instead.
type Capability string

const (
	CapabilityAudit      Capability = "Audit"      // events, and AuditHead. Without it, AuditHead is refused with NOT_FOUND
	CapabilityKeys       Capability = "Keys"       // keys for the webhook. Without it, SCIMKeys is refused with UNSUPPORTED
	CapabilityPlan       Capability = "Plan"       // shows the plan of the migration. Without it, PutMigrationPlan is refused with UNSUPPORTED
	CapabilityHandOver   Capability = "HandOver"   // consent to the adoption of one record. Without it, HandedOver is never true
	CapabilityGrants     Capability = "Grants"     // who granted a membership or role. Without it, Ungranted is nil, and each removal counts for the guard
	CapabilityPeople     Capability = "People"     // rules for edits by people. Without it, the next write of the owner undoes each edit
	CapabilitySignIn     Capability = "SignIn"     // users sign in by the login methods. Without it, nothing checks that the issuer or the metadata work
	CapabilityFeed       Capability = "Feed"       // one feed for all processes. Without it, its readers list again when a process begins to lead
	CapabilityTruncation Capability = "Truncation" // the feed forgets old tombstones. Without it, it keeps them as long as the process runs
	CapabilityREST       Capability = "REST"       // the REST API of the Contract, for other clients than the operator
)
