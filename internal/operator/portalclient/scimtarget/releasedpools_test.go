// SPDX-License-Identifier: Apache-2.0

package scimtarget_test

import (
	"fmt"
	"net/http"
	"testing"

	"lightrun.com/scim-operator/internal/kernel/portalapi"
	"lightrun.com/scim-operator/test/framework/scimtargets"
)

// releasedPools fails unless exactly these owners are listed with the pins of a released pool.
func (w *world) releasedPools(want ...portalapi.ReleasedPool) {
	w.Helper()
	var got []portalapi.ReleasedPool
	for after := ""; ; {
		page, next, err := w.client.ReleasedPools(w.Context(), after, 1)
		w.ok(err)
		got = append(got, page...)
		if next == "" {
			break
		}
		after = next
	}
	w.equal("released pools", got, want)
}

// TestReleasedPools: the ledger keeps what the lines of a released pool meant, also for another
// process, until an owner with the name has a pool.
func TestReleasedPools(t *testing.T) {
	for _, remove := range []bool{true, false} {
		t.Run(fmt.Sprint("remove ", remove), func(t *testing.T) {
			w := start(t, scimtargets.Gateway(t))
			pins := []portalapi.Pin{{Line: "displayName Leads", ID: "g1", Revision: 7}, {Line: "userName ada@example.test", ID: "u1"}}
			leads, ops := team("leads", portalapi.RoleManager), team("ops")
			leads.Pins, ops.Pins = pins, pins[:1]
			got := w.putPool(leads)
			w.putPool(ops)
			w.releasedPools()
			w.ok(w.client.ReleasePool(t.Context(), leads.Owner.UID, remove))
			w.ok(w.client.ReleasePool(t.Context(), ops.Owner.UID, true))
			first := portalapi.ReleasedPool{Name: leads.Owner.Name, Pins: portalapi.ReleasedPins(pins)}
			second := portalapi.ReleasedPool{Name: ops.Owner.Name, Pins: portalapi.ReleasedPins(pins[:1])}
			w.releasedPools(first, second)
			w.restart("second")
			w.releasedPools(first, second)

			leads.Owner.UID = "o-again"
			if !remove {
				leads.Adopt = &portalapi.Adopt{ID: got.ID}
			}
			again := w.putPool(leads)
			w.releasedPools(second)
			w.restart("third")
			w.releasedPools(second)

			ops.Owner.UID, ops.Adopt = "o-heir", &portalapi.Adopt{ID: again.ID, OwnerUID: leads.Owner.UID}
			w.putPool(ops)
			w.releasedPools(first)
			w.target.Do(http.MethodDelete, "/Groups/"+again.ID, nil)
			w.restart("fourth")
			w.releasedPools(first, second)
		})
	}
}
