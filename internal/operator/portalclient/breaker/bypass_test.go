// SPDX-License-Identifier: Apache-2.0

package breaker

import (
	"reflect"
	"testing"

	"lightrun.com/scim-operator/internal/kernel/portalapi"
)

// TestBypasses lists, for each method of the port, whether it bypasses the breaker. A new method
// must be added here. Calls of passes over users and pools, and PutMigrationPlan, go through the
// breaker.
func TestBypasses(t *testing.T) {
	want := map[string]bool{
		"PutAccount": false, "ReleaseAccount": false, "MarkWaiting": false, "MarkAccount": false,
		"PutPool": false, "PutMemberships": false, "ReleasePool": false, "MarkPool": false, "Removals": false, "PutMigrationPlan": false,
		"Accounts": true, "Released": true, "ReleasedPools": true, "Pools": true, "Roles": true, "Position": true, "Changes": true,
		"Configuration": true, "PutLoginMethods": true, "Bind": true, "Unbind": true, "SCIMKeys": true, "AuditHead": true,
	}
	port := reflect.TypeFor[portalapi.Client]()
	for i := range port.NumMethod() {
		name := port.Method(i).Name
		expected, listed := want[name]
		if !listed {
			t.Errorf("the test does not list the method %s", name)
		} else if got := bypasses(name); got != expected {
			t.Errorf("bypasses(%q) is %v, want %v", name, got, expected)
		}
	}
	if port.NumMethod() != len(want) {
		t.Errorf("the port has %d methods, the test lists %d", port.NumMethod(), len(want))
	}
}
