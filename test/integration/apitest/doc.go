// SPDX-License-Identifier: Apache-2.0

// Package apitest contains the API's contract as data: YAML that the API server must accept, and
// YAML that it must refuse with a stated message. The tests send it, and the manifests under
// config/, to a real API server. Package rights tests the policies.
//
// A file under testdata contains objects of one kind. The comment above each object gives the
// reason for it and, in refused/, a part of the message of the refusal:
//
//	# reason: Nothing here can grant the roles of the vendor.
//	# refused: can't be granted from here
package apitest
