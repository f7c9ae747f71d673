// SPDX-License-Identifier: Apache-2.0

// Package scimtarget is the SCIM driver: a portalapi.Client that writes accounts and pools to any
// SCIM 2.0 service provider, as Users and Groups.
//
// A SCIM service provider has no owners, pins, marks, binding, audit or change feed. The driver
// keeps those in a Ledger, and the target has only what it understands: users, their roles, groups
// and members. ADR 0034 says where each part is kept and which guarantee is weaker than with the
// Contract driver.
//
//   - endpoint.go sends requests: limits, pauses, and what counts as an answer of the target
//   - discover.go reads what the target can do
//   - profile.go compares the wanted user with the target's
//   - book.go has the state in memory: the target's resources, joined with the ledger's records
//   - listing.go reads the target and finds differences
//   - accounts.go, pools.go and memberships.go write
//   - identity.go and feed.go are the parts of the port that no target has
//
// Immediately before each change of the target, the driver reads in the ledger that its process
// still leads. A creation and a change of a record are in the ledger first: a crash between the two
// leaves a difference, which the next pass heals.
package scimtarget
