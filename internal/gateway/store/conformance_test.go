// SPDX-License-Identifier: Apache-2.0

package store_test

import (
	"testing"

	"lightrun.com/scim-operator/test/conformance"
)

// TestConformance runs the SCIM conformance suite over a real API server.
func TestConformance(t *testing.T) {
	conformance.Run(t, func(tb testing.TB) conformance.Service {
		return conformance.Service{BaseURL: serve(tb, newWorld(tb).replica(tb)), Token: token}
	})
}
