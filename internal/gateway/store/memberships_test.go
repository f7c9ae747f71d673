// SPDX-License-Identifier: Apache-2.0

package store

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/google/uuid"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"pgregory.net/rapid"

	"github.com/go-logr/logr"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/kernel/groupslice"
)

// offline returns a directory without watches: the test fills its cache.
func offline(t rapid.TB) *Directory {
	d, err := New(Options{Config: &rest.Config{Host: "127.0.0.1:1"}, Namespace: "test", Log: logr.Discard()})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

const (
	groupA = "aaaaaaaa-0000-4000-8000-000000000000"
	groupB = "bbbbbbbb-0000-4000-8000-000000000000"
)

// TestMembershipsAreThoseOfValidSlices: for any slices, in any order and with unused slices of
// splits, the cache shows the members in the valid slices by groupslice's rule, in both directions.
func TestMembershipsAreThoseOfValidSlices(t *testing.T) {
	ids := make([]string, 12)
	for i := range ids { // few places, so that slices overlap
		ids[i] = fmt.Sprintf("%x%03x0000-0000-4000-8000-%012x", i, i%3, i)
	}
	rapid.Check(t, func(t *rapid.T) {
		d := offline(t)
		have := map[string]v1alpha1.ScimGroupSlice{}
		steps := rapid.IntRange(1, 30).Draw(t, "steps")
		for step := range steps {
			group := rapid.SampledFrom([]string{groupA, groupB}).Draw(t, "group")
			width := rapid.IntRange(0, 5).Draw(t, "bits")
			prefix := rapid.Uint16().Draw(t, "prefix") &^ (1<<(16-width) - 1)
			name := groupslice.Name(group, prefix)
			version := uint64(step + 1)
			if rapid.IntRange(0, 4).Draw(t, "deleted") == 0 {
				delete(have, name)
				d.slices.watchedGone(name, version, true)
				continue
			}
			s := v1alpha1.ScimGroupSlice{
				ObjectMeta: metav1.ObjectMeta{Name: name, ResourceVersion: fmt.Sprint(version)},
				Spec:       v1alpha1.ScimGroupSliceSpec{Bits: int32(width)},
			}
			var members []string
			for _, id := range ids {
				if (groupslice.Place(id)^prefix)>>(16-width) == 0 && rapid.Bool().Draw(t, "in") {
					members = append(members, id)
				}
			}
			s.Spec.SetMembers(members)
			s.Spec.Changes = map[string]bool{}
			for _, id := range ids {
				if (groupslice.Place(id)^prefix)>>(16-width) == 0 && rapid.Bool().Draw(t, "changed") {
					s.Spec.Changes[id] = rapid.Bool().Draw(t, "added")
				}
			}
			have[name] = s
			r, err := d.sliceRecord(&s)
			if err != nil {
				t.Fatal(err)
			}
			if rapid.Bool().Draw(t, "own") {
				d.slices.storeWrite(r)
			} else {
				d.slices.watched(r)
			}
		}
		groupsOf := map[string][]string{}
		for _, group := range []string{groupA, groupB} {
			var all []v1alpha1.ScimGroupSlice
			for name, s := range have {
				if id, _, _ := sliceName(name); id == group {
					all = append(all, s)
				}
			}
			want := []string{}
			for _, id := range ids {
				if s := groupslice.Lookup(all, id); s != nil && s.Spec.HasMember(id) {
					want = append(want, id)
					groupsOf[id] = append(groupsOf[id], group)
				}
			}
			got := []string{}
			for _, id := range d.members.membersOf(group) {
				got = append(got, id.String())
			}
			slices.Sort(want)
			if !slices.Equal(got, want) {
				t.Fatalf("members of %.1s are %v, must be %v", group, got, want)
			}
		}
		for _, id := range ids {
			got := slices.Sorted(slices.Values(d.members.groupsOf(uuid.MustParse(id))))
			if !slices.Equal(got, groupsOf[id]) {
				t.Fatalf("groups of %s are %v, must be %v", id, got, groupsOf[id])
			}
			for _, group := range []string{groupA, groupB} {
				if got, want := d.members.contains(group, uuid.MustParse(id)), slices.Contains(groupsOf[id], group); got != want {
					t.Fatalf("%.1s contains %s: %v, must be %v", group, id, got, want)
				}
			}
		}
		for _, name := range slices.Collect(maps.Keys(have)) {
			d.slices.watchedGone(name, 99, true)
		}
		if n, g := len(d.members.users.numbers), len(d.members.groups.numbers); n != 0 || g != 0 {
			t.Fatalf("without slices %d users and %d groups are kept", n, g)
		}
	})
}
