// SPDX-License-Identifier: Apache-2.0

package groupindex

import (
	"fmt"
	"runtime"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/kernel/groupslice"
)

func slice(group string, prefix uint16, bits int32, users ...string) *v1alpha1.ScimGroupSlice {
	s := &v1alpha1.ScimGroupSlice{
		ObjectMeta: metav1.ObjectMeta{Name: groupslice.Name(group, prefix), Labels: map[string]string{v1alpha1.LabelGroup: group}},
		Spec:       v1alpha1.ScimGroupSliceSpec{Bits: bits},
	}
	s.Spec.SetMembers(users)
	return s
}

// some draws users of a list.
func some(list []string) *rapid.Generator[[]string] {
	if len(list) == 0 {
		return rapid.Just([]string(nil))
	}
	return rapid.SliceOfNDistinct(rapid.SampledFrom(list), 0, len(list), rapid.ID[string])
}

// TestIndexFollowsSlices: for random sequences of events, the index has the members of the slices,
// and its changes name the users who joined or left.
func TestIndexFollowsSlices(t *testing.T) {
	users := []string{"0000-a", "0001-b", "4000-c", "8000-d", "c000-e", "ffff-f"}
	rapid.Check(t, func(t *rapid.T) {
		x, stored := New(), map[string]v1alpha1.ScimGroupSlice{}
		followed := map[string]map[string]bool{"g1": {}, "g2": {}}
		x.Subscribe(func(c Change) {
			for _, u := range c.Users {
				followed[c.Group][u] = !followed[c.Group][u]
			}
		})
		t.Repeat(map[string]func(*rapid.T){
			"put": func(t *rapid.T) {
				bits := rapid.Int32Range(0, 2).Draw(t, "bits")
				prefix := rapid.Uint16().Draw(t, "prefix") &^ uint16(1<<(16-bits)-1)
				s := slice(rapid.SampledFrom([]string{"g1", "g2"}).Draw(t, "group"), prefix, bits)
				var covered []string
				for _, u := range users {
					if first, end := span(s); int(groupslice.Place(u)) >= first && int(groupslice.Place(u)) < end {
						covered = append(covered, u)
					}
				}
				s.Spec.SetMembers(some(covered).Draw(t, "members"))
				s.Spec.Changes = map[string]bool{}
				for _, u := range some(covered).Draw(t, "changed") {
					s.Spec.Changes[u] = rapid.Bool().Draw(t, "in")
				}
				x.PutSlice(s)
				stored[s.Name] = *s
			},
			"drop": func(t *rapid.T) {
				for _, s := range stored {
					x.DropSlice(&s)
					delete(stored, s.Name)
					return
				}
			},
			"": func(t *rapid.T) {
				for group, follows := range followed {
					var all []v1alpha1.ScimGroupSlice
					for _, s := range stored {
						if s.Labels[v1alpha1.LabelGroup] == group {
							all = append(all, s)
						}
					}
					want := slices.Compact(groupslice.MembersIn(all))
					got := x.Members(group)
					slices.Sort(got)
					got = slices.Compact(got)
					if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
						t.Fatalf("members of %s (-want +got):\n%s", group, diff)
					}
					for _, u := range users {
						in := slices.Contains(want, u)
						if in != slices.Contains(x.Containing(u), group) {
							t.Fatalf("%s is in %v, the slices of %s have %v", u, x.Containing(u), group, want)
						}
						if in != follows[u] {
							t.Fatalf("the changes say %s in %s: %v", u, group, follows[u])
						}
					}
				}
			},
		})
	})
}

func TestGroupsOfAUser(t *testing.T) {
	var changes []Change
	x := New()
	x.Subscribe(func(c Change) { changes = append(changes, c) })
	said := func(reason string, want ...Change) {
		t.Helper()
		if diff := cmp.Diff(want, changes, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", reason, diff)
		}
		changes = nil
	}
	in := func(reason, user string, want ...string) {
		t.Helper()
		if got, _ := x.GroupsOf(user); !slices.Equal(got, want) {
			t.Errorf("%s: %s is in %v, want %v", reason, user, got, want)
		}
	}
	x.PutSlice(slice("g1", 0, 0, "ada", "bob"))
	in("Slices come before their group, and count for nothing until then.", "ada")
	changes = nil
	x.Put(scimGroup("g1", "Payments"))
	in("A living group counts.", "ada", "g1")
	said("A new group is one change of all its users.", Change{Group: "g1", All: true})
	x.Put(scimGroup("g1", "Payments"))
	said("The same again is no change.")
	x.PutSlice(slice("g1", 0, 0, "ada"))
	said("Who left is named.", Change{Group: "g1", Users: []string{"bob"}})

	version := x.Version()
	x.PutSlice(slice("g1", 0, 1, "ada"))
	if g, _ := x.Group("g1"); g.Whole || x.Version() == version {
		t.Error("half of the places are covered by no slice, and the index says nothing of it")
	}
	x.PutSlice(slice("g1", 0x8000, 1))
	if g, _ := x.Group("g1"); !g.Whole {
		t.Error("all places are covered, and the index denies it")
	}

	x.Put(scimGroup("g1", "Payments", deleted))
	in("A group that the provider deleted has no members.", "ada")
	if got := x.WithDisplayName("payments"); len(got) != 0 {
		t.Errorf("and has no name any more, got %v", got)
	}
	if got := x.Members("g1"); len(got) != 1 {
		t.Errorf("the manager finishes its members, got %v", got)
	}
	x.Drop("g1")
	if got := x.WithoutScimGroup(); !slices.Equal(got, []string{"g1"}) {
		t.Errorf("leftovers %v", got)
	}
	x.DropSlice(slice("g1", 0, 0))
	x.DropSlice(slice("g1", 0x8000, 1))
	if len(x.groups)+len(x.users)+len(x.named)+len(x.externalIDs) != 0 {
		t.Errorf("something is left: %+v", x)
	}
}

// BenchmarkMemory reports the bytes that a membership takes in the index, with 100,000 users in 20
// groups each.
func BenchmarkMemory(b *testing.B) {
	const users, groups, per = 100_000, 2000, 20
	ids := make([]string, users)
	for i := range ids {
		ids[i] = fmt.Sprintf("%04x0000-0000-4000-8000-%012d", i*65536/users, i)
	}
	var before, after runtime.MemStats
	for b.Loop() {
		runtime.GC()
		runtime.ReadMemStats(&before)
		x := New()
		for g := range groups {
			id := fmt.Sprintf("group-%04d", g)
			x.Put(scimGroup(id, id))
			for p := range 8 {
				s := slice(id, uint16(p)<<13, 3)
				var members []string
				for i := g % (groups / per); i < users; i += groups / per {
					if i*8/users == p {
						members = append(members, ids[i])
					}
				}
				s.Spec.SetMembers(members)
				x.PutSlice(s)
			}
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		if got, _ := x.GroupsOf(ids[1]); len(got) != per {
			b.Fatalf("%d groups", len(got))
		}
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/(users*per), "B/membership")
		runtime.KeepAlive(x)
	}
}

// TestReplacementsComplete: a replacement of all members is complete when all slices have its
// round.
func TestReplacementsComplete(t *testing.T) {
	x := New()
	group := func(round int64) {
		x.Put(&v1alpha1.ScimGroup{ObjectMeta: metav1.ObjectMeta{Name: "g"}, Spec: v1alpha1.ScimGroupSpec{DisplayName: "g", Round: round}})
	}
	part := func(prefix string, round int64, members ...string) {
		s := &v1alpha1.ScimGroupSlice{ObjectMeta: metav1.ObjectMeta{Name: "g-" + prefix, Labels: map[string]string{v1alpha1.LabelGroup: "g"}}}
		s.Spec.Bits, s.Spec.Round = 1, round
		s.Spec.SetMembers(members)
		x.PutSlice(s)
	}
	group(0)
	part("0000", 0, "ada")
	part("8000", 0, "bob")
	version := x.Version()
	for i, step := range []struct {
		do   func()
		want bool
	}{
		{func() {}, true},
		{func() { part("8000", 1) }, false}, // its event may come before the group's
		{func() { group(1) }, false},
		{func() { part("0000", 1) }, true},
	} {
		step.do()
		if got := x.ReplacementsComplete([]string{"g", "no-such-group"}); got != step.want {
			t.Errorf("step %d: %v", i, got)
		}
	}
	if x.Version() != version {
		t.Error("a replacement enqueues all pools")
	}
	if x.Contains([]string{"g"}, "ada") {
		t.Error("ada is in it still")
	}
}
