// SPDX-License-Identifier: Apache-2.0

package portalapi_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"lightrun.com/scim-operator/internal/kernel/portalapi"
)

// TestReleasedPins: the form is part of the contract, because the portal writes it and the operator
// reads it.
func TestReleasedPins(t *testing.T) {
	got := portalapi.ReleasedPins([]portalapi.Pin{
		{Line: "userName ada@example.test", ID: "u1", Deleted: true},
		{Line: "id g1", ID: "g1", Revision: 7},
		{Line: "displayName g2", ID: "g2", Revision: 7},
	})
	want := []portalapi.Pin{{Line: "c3f5e41e355438898148c2f70fa47b75", ID: "u1", Deleted: true}, {Line: "a3bd2c4e80f24b691a57dee154993fbf", ID: "g2"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
