// SPDX-License-Identifier: Apache-2.0

package breaker

import (
	"reflect"
	"testing"

	"lightrun.com/scim-operator/internal/kernel/portalapi"
)

// TestBypasses compares the names in bypasses with the port: a call is guarded if a pass over one
// user or pool makes it.
func TestBypasses(t *testing.T) {
	want := map[string]bool{
		"PutAccount": false, "ReleaseAccount": false, "MarkWaiting": false, "MarkAccount": false,
		"PutPool": false, "PutMemberships": false, "ReleasePool": false, "MarkPool": false, "Removals": false, "PutMigrationPlan": false,
		"Accounts": true, "Released": true, "Pools": true, "Roles": true, "Position": true, "Changes": true,
		"Configuration": true, "PutLoginMethods": true, "Bind": true, "Unbind": true, "SCIMKeys": true, "AuditHead": true,
	}
	port := reflect.TypeFor[portalapi.Client]()
	for i := range port.NumMethod() {
		name := port.Method(i).Name
		if expected, known := want[name]; !known || bypasses(name) != expected {
			t.Errorf("%s bypasses the breaker: %v, want %v (listed: %v)", name, bypasses(name), expected, known)
		}
	}
	if port.NumMethod() != len(want) {
		t.Errorf("the port has %d methods, the test lists %d", port.NumMethod(), len(want))
	}
}
