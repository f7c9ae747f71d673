// SPDX-License-Identifier: Apache-2.0

package groupslice

import (
	"context"
	"errors"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"lightrun.com/scim-operator/api/v1alpha1"
)

// TestMissing checks the error for a group whose slice does not exist. ErrGroupGone requires
// certainty, because the provider would create the group again.
func TestMissing(t *testing.T) {
	unserved := apierrors.NewGenericServerResponse(404, "get", v1alpha1.GroupVersion.WithResource("scimgroupslices").GroupResource(),
		groupID, "404 page not found", 0, true)
	tests := map[string]struct {
		reason string
		spoil  func(f *fakeAPI)
		want   error
	}{
		"NoGroup": {"the manager deleted it", func(f *fakeAPI) { clear(f.objects) }, ErrGroupGone},
		"Tombstone": {"SCIM deleted it, and the manager its slices", func(f *fakeAPI) {
			f.objects["scimgroups/"+groupID].(*v1alpha1.ScimGroup).Spec.Deleted = true
			f.drop(0x0000)
			f.drop(0x8000)
		}, ErrGroupGone},
		"NoSlice":     {"a restore brought the group and not its slices yet", func(f *fakeAPI) { f.drop(0x0000); f.drop(0x8000) }, ErrIncomplete},
		"NoUpperHalf": {"a person deleted a slice", func(f *fakeAPI) { f.drop(0x8000) }, ErrIncomplete},
		"NotServed": {"the CRD is being replaced: nothing is known", func(f *fakeAPI) {
			f.before = func(context.Context, string, string) error { return unserved }
		}, unserved},
	}
	for name, tc := range tests {
		for _, fresh := range []bool{true, false} {
			t.Run(name, func(t *testing.T) {
				ctx, f := t.Context(), newFakeAPI()
				s := NewStore(f, "", Options{})
				s.limits = tiny
				withGroup(t, f, s, "0000-a", "8000-f", "c000-i")
				if _, err := s.Contains(ctx, groupID, "8000-f"); err != nil {
					t.Fatal(err)
				}
				if fresh {
					s = NewStore(f, "", Options{})
				}
				tc.spoil(f)
				_, contains := s.Contains(ctx, groupID, "8000-f")
				_, members := s.Members(ctx, groupID)
				for what, err := range map[string]error{
					"Contains": contains, "Members": members,
					"Change":  s.Change(ctx, groupID, []Change{{"8000-f", false}}),
					"Replace": s.Replace(ctx, groupID, nil),
				} {
					if !errors.Is(err, tc.want) {
						t.Errorf("%s: %v, want %v: %s", what, err, tc.want, tc.reason)
					}
				}
			})
		}
	}
}

// TestRestored deletes a group's slices and restores older ones: the Store must not use what it
// remembered of the deleted ones.
func TestRestored(t *testing.T) {
	ctx, f := t.Context(), newFakeAPI()
	s := NewStore(f, "", Options{})
	s.limits = tiny
	withGroup(t, f, s, "0000-a", "8000-f", "c000-i")
	if _, err := s.Members(ctx, groupID); err != nil {
		t.Fatal(err)
	}
	backup := f.slices()
	f.drop(0x0000)
	f.drop(0x8000)
	for i := range backup { // from before the split: the slice of the upper half is unused, with the same epoch
		o := backup[i].DeepCopy()
		o.ResourceVersion, o.UID = "", ""
		if o.Name == Name(groupID, 0) {
			o.Spec.Bits = 0
			o.Spec.SetMembers([]string{"0000-a", "8000-f"})
		}
		if err := client.Client(f).Create(ctx, o); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Change(ctx, groupID, []Change{{"8000-f", false}}); err != nil {
		t.Fatal(err)
	}
	if have, err := s.Members(ctx, groupID); err != nil || len(have) != 1 {
		t.Errorf("%v, %v: want 0000-a alone", have, err)
	}
}
