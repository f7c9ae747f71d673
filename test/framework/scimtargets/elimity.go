// SPDX-License-Identifier: Apache-2.0

package scimtargets

import (
	"testing"

	"lightrun.com/scim-operator/test/framework/scimtargets/elimityserver"
)

// Elimity runs a server of the library elimity-com/scim. Without withPatch it has no PATCH: a
// client must use PUT.
func Elimity(t testing.TB, withPatch bool) *Target {
	t.Helper()
	s, err := elimityserver.New(elimityserver.Options{WithoutPATCH: !withPatch})
	if err != nil {
		t.Fatal(err)
	}
	name := "elimity"
	if !withPatch {
		name = "elimity without PATCH"
	}
	return serve(t, name, "", s)
}
