// SPDX-License-Identifier: Apache-2.0

package scimtarget_test

import (
	"testing"

	"lightrun.com/scim-operator/internal/kernel/portalapi"
	"lightrun.com/scim-operator/test/framework/scimtargets"
)

// released fails unless exactly these owners are listed as released.
func (w *world) released(want ...portalapi.ReleasedOwner) {
	w.Helper()
	var got []portalapi.ReleasedOwner
	for after := ""; ; {
		page, next, err := w.client.Released(w.Context(), after, 2)
		w.ok(err)
		got = append(got, page...)
		if next == "" {
			break
		}
		after = next
	}
	w.equal("released", got, want)
}

// TestReleased: after a release in any mode, an older object of the owner gets no account, also in
// another process, until a newer push or until a person accepts it.
func TestReleased(t *testing.T) {
	for _, mode := range []portalapi.ReleaseMode{portalapi.ReleaseDeactivate, portalapi.ReleaseDelete, portalapi.ReleaseOrphan} {
		t.Run(string(mode), func(t *testing.T) {
			w := start(t, scimtargets.Gateway(t))
			w.on(true)
			ada := w.put(person("ada"))
			at := portalapi.ReleasedOwner{Name: "s-ada", Revision: 5}
			w.ok(w.client.ReleaseAccount(t.Context(), portalapi.Owner{UID: "u-ada", Name: "s-ada", Revision: 5}, mode))
			w.released(at)
			w.restart("second")
			w.released(at)

			back := person("ada")
			back.Owner.UID, back.Owner.Revision = "u-restored", 5
			if mode != portalapi.ReleaseDelete {
				back.Adopt = &portalapi.Adopt{ID: ada.ID}
			}
			w.target.Forget()
			_, err := w.client.PutAccount(t.Context(), back)
			w.refused(err, portalapi.CodeReleasedSince)
			back.Accepted = 4 // of another release
			_, err = w.client.PutAccount(t.Context(), back)
			w.refused(err, portalapi.CodeReleasedSince)
			if calls := w.target.Calls(); len(calls) > 0 {
				t.Errorf("a refused write called the target: %q", calls)
			}
			back.Owner.Revision, back.Accepted = 1, 5
			if got := w.put(back); got.Status != portalapi.StatusActive || got.Owner.UID != "u-restored" {
				t.Errorf("accepted: %+v", got)
			}
			w.released()
			w.restart("third")
			w.released()
		})
	}
}

// TestReleasedWithoutAccount: users who had no account, or whose account went to another user, are
// released too. A late release by a former UID releases nothing.
func TestReleasedWithoutAccount(t *testing.T) {
	w := start(t, scimtargets.Gateway(t))
	for _, name := range []string{"bob", "carl", "dave"} {
		w.ok(w.client.ReleaseAccount(t.Context(), portalapi.Owner{UID: "u-" + name, Name: "s-" + name, Revision: 3}, portalapi.ReleaseDeactivate))
	}
	bob, carl, dave := portalapi.ReleasedOwner{Name: "s-bob", Revision: 3}, portalapi.ReleasedOwner{Name: "s-carl", Revision: 3}, portalapi.ReleasedOwner{Name: "s-dave", Revision: 3}
	w.released(bob, carl, dave)
	again := person("carl")
	again.Owner.UID, again.Owner.Revision = "u-carl-2", 4
	made := w.put(again)
	w.released(bob, dave)
	w.ok(w.client.ReleaseAccount(t.Context(), portalapi.Owner{UID: "u-carl", Name: "s-carl", Revision: 9}, portalapi.ReleaseDelete))
	w.released(bob, dave)

	restored := again // by the same user under another UID
	restored.Owner.UID, restored.Adopt = "u-carl-3", &portalapi.Adopt{ID: made.ID, OwnerUID: "u-carl-2"}
	w.put(restored)
	w.released(bob, dave)
	taken := again // by another user
	taken.Owner, taken.Adopt = portalapi.Owner{UID: "u-new", Name: "s-new", Revision: 1}, &portalapi.Adopt{ID: made.ID, OwnerUID: "u-carl-3"}
	w.put(taken)
	w.released(bob, portalapi.ReleasedOwner{Name: "s-carl", Revision: 4}, dave)
}
