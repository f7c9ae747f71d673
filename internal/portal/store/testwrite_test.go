// SPDX-License-Identifier: Apache-2.0

package store

import (
	"fmt"

	"lightrun.com/scim-operator/internal/kernel/portalapi"
)

// testWrite returns the write of the operator that creates the i-th account of a test.
func testWrite(i int) portalapi.AccountWrite {
	name := fmt.Sprintf("person%06d", i)
	return portalapi.AccountWrite{Owner: portalapi.Owner{UID: "uid-" + name, Name: "scim-" + name, Revision: 1}, UserName: name + "@example.test",
		DisplayName: "Demo " + name, GivenName: "Demo", FamilyName: name, Email: name + "@example.test", Active: true}
}
