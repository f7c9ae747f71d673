// SPDX-License-Identifier: Apache-2.0

package store_test

import (
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/gateway/store"
	"lightrun.com/scim-operator/internal/kernel/claims"
	"lightrun.com/scim-operator/internal/kernel/groupslice"
	"lightrun.com/scim-operator/internal/kernel/names"
	"lightrun.com/scim-operator/internal/scim"
	"lightrun.com/scim-operator/internal/scim/patch"
)

// oneNameEach checks that no two users have the same name.
func (w world) oneNameEach(t *testing.T) {
	t.Helper()
	bearer := map[string]string{}
	for _, u := range list(t, w, &v1alpha1.ScimUserList{}).Items {
		if claims.Gone(&u) {
			continue
		}
		folded := names.Fold(u.Spec.UserName)
		if other, taken := bearer[folded]; taken {
			t.Errorf("%s and %s both have %s", u.Name, other, folded)
		}
		bearer[folded] = u.Name
	}
	for name, id := range bearer {
		var c v1alpha1.NameClaim
		if err := w.Client.Get(t.Context(), types.NamespacedName{Namespace: w.namespace, Name: claims.ObjectName(v1alpha1.ClaimUser, name)}, &c); err != nil {
			t.Errorf("%s has the name %s without a claim: %v", id, name, err)
		} else if c.Spec.Holder.Name != id {
			t.Errorf("%s has the name %s, but %s has the claim", id, name, c.Spec.Holder.Name)
		}
	}
}

// TestTwoReplicasOneName: two replicas create users with the same names; each name is created once.
func TestTwoReplicasOneName(t *testing.T) {
	w := newWorld(t)
	replicas := []*store.Directory{w.replica(t), w.replica(t)}
	var wg sync.WaitGroup
	var mu sync.Mutex
	created := map[string]int{}
	for i := range 24 {
		name := fmt.Sprintf("user%d@example.test", i%4)
		wg.Go(func() {
			_, err := replicas[i%2].Users().Create(t.Context(), scim.Object{"userName": name})
			if err != nil && status(err) != 409 {
				t.Errorf("create %s: %v", name, err)
			}
			if err == nil {
				mu.Lock()
				defer mu.Unlock()
				created[name]++
			}
		})
	}
	wg.Wait()
	for name, n := range created {
		if n != 1 {
			t.Errorf("%s was created %d times", name, n)
		}
	}
	if len(created) != 4 {
		t.Errorf("each name must be created: %v", created)
	}
	w.oneNameEach(t)
}

// TestConcurrentNames creates, renames and deletes users with few names on two replicas: no two
// users have one name, and a user whose request succeeded has the name.
func TestConcurrentNames(t *testing.T) {
	w := newWorld(t)
	replicas := []*store.Directory{w.replica(t), w.replica(t)}
	var wg sync.WaitGroup
	for worker := range 6 {
		wg.Go(func() {
			users := replicas[worker%2].Users()
			for round := range 12 {
				name := fmt.Sprintf("name%d@example.test", (worker+round)%3)
				r, err := users.Create(t.Context(), scim.Object{"userName": name})
				if err != nil {
					if status(err) != 409 {
						t.Errorf("create: %v", err)
					}
					continue
				}
				other := fmt.Sprintf("name%d@example.test", (worker+round+1)%3)
				_, err = users.Update(t.Context(), r.ID, nil, func(have scim.Object) (scim.Object, error) {
					out := scim.Object{}
					for k, v := range have {
						out[k] = v
					}
					out["userName"] = other
					return out, nil
				})
				if err != nil && status(err) != 409 {
					t.Errorf("rename: %v", err)
				}
				if round%3 != 2 {
					if err := users.Delete(t.Context(), r.ID, nil); err != nil {
						t.Errorf("delete: %v", err)
					}
				}
			}
		})
	}
	wg.Wait()
	w.oneNameEach(t)
}

// TestGroupChangesFromTwoReplicas: a listed member is stored, even if other replicas change the
// group at the same time.
func TestGroupChangesFromTwoReplicas(t *testing.T) {
	w := newWorld(t)
	a, b := w.replica(t), w.replica(t)
	var people []string
	for i := range 12 {
		people = append(people, createUser(t, a, fmt.Sprintf("user%d@example.test", i)))
	}
	g, err := createGroup(t, a, "Payments")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for i, id := range people {
		d := []*store.Directory{a, b}[i%2]
		wg.Go(func() {
			if err := change(d, t, g.ID, patch.MemberChange{Op: patch.AddMembers, IDs: []string{id}}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	slices.Sort(people)
	eventually(t, func() bool { return slices.Equal(members(t, b, g.ID), people) })
	if stored := w.stored(t, g.ID); !slices.Equal(stored, people) {
		t.Errorf("every added user must be stored: %v", stored)
	}
}

// stored lists a group's members from the API server.
func (w world) stored(t *testing.T, group string) []string {
	t.Helper()
	return groupslice.MembersIn(w.slicesOf(t, group))
}

func (w world) slicesOf(t *testing.T, group string) []v1alpha1.ScimGroupSlice {
	t.Helper()
	var all v1alpha1.ScimGroupSliceList
	err := w.Client.List(t.Context(), &all, client.InNamespace(w.namespace), client.MatchingLabels{v1alpha1.LabelGroup: group})
	if err != nil {
		t.Fatal(err)
	}
	return all.Items
}

// TestChangesFollowEachOtherAcrossReplicas: a change on one replica sees an earlier change on
// another, although its cache may be behind: an addition is not skipped because of a membership
// that the other replica just removed.
func TestChangesFollowEachOtherAcrossReplicas(t *testing.T) {
	w := newWorld(t)
	replicas := []*store.Directory{w.replica(t), w.replica(t)}
	ada, bob := createUser(t, replicas[0], "ada@example.test"), createUser(t, replicas[1], "bob@example.test")
	g, err := createGroup(t, replicas[0], "Payments")
	if err != nil {
		t.Fatal(err)
	}
	for i := range 20 {
		first, second := replicas[i%2], replicas[(i+1)%2]
		if err := change(first, t, g.ID, patch.MemberChange{Op: patch.AddMembers, IDs: []string{ada, bob}}); err != nil {
			t.Fatal(err)
		}
		if err := change(second, t, g.ID, patch.MemberChange{Op: patch.RemoveMembers, IDs: []string{ada}}); err != nil {
			t.Fatal(err)
		}
		if err := change(first, t, g.ID, patch.MemberChange{Op: patch.AddMembers, IDs: []string{ada}}); err != nil {
			t.Fatal(err)
		}
		if stored := w.stored(t, g.ID); len(stored) != 2 {
			t.Fatalf("round %d: both must be members: %v", i, stored)
		}
		if err := change(second, t, g.ID, patch.MemberChange{Op: patch.ReplaceMembers, IDs: []string{bob}}); err != nil {
			t.Fatal(err)
		}
		if stored := w.stored(t, g.ID); !slices.Equal(stored, []string{bob}) {
			t.Fatalf("round %d: only bob must be a member: %v", i, stored)
		}
	}
}

// TestReplacesAreOrdered: of several concurrent replacements of one membership on two replicas, the
// one that began last wins completely.
func TestReplacesAreOrdered(t *testing.T) {
	w := newWorld(t)
	replicas := []*store.Directory{w.replica(t), w.replica(t)}
	var sets [][]string
	for i := range 4 {
		var set []string
		for j := range 4 {
			set = append(set, createUser(t, replicas[0], fmt.Sprintf("user%d-%d@example.test", i, j)))
		}
		slices.Sort(set)
		sets = append(sets, set)
	}
	g, err := createGroup(t, replicas[0], "Payments")
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		var wg sync.WaitGroup
		for i, set := range sets {
			wg.Go(func() {
				if err := change(replicas[i%2], t, g.ID, patch.MemberChange{Op: patch.ReplaceMembers, IDs: set}); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		stored := w.stored(t, g.ID)
		if !slices.ContainsFunc(sets, func(set []string) bool { return slices.Equal(set, stored) }) {
			t.Fatalf("the members must be one of the sets, not a mixture: %v", stored)
		}
	}
}

// TestSeesOwnWrites: a replica's lists contain its own writes at once.
func TestSeesOwnWrites(t *testing.T) {
	w := newWorld(t)
	d := w.replica(t)
	var wg sync.WaitGroup
	for worker := range 4 {
		wg.Go(func() {
			for round := range 10 {
				id := createUser(t, d, fmt.Sprintf("user%d-%d@example.test", worker, round))
				if !d.Knows(id) {
					t.Errorf("%s must be in the cache after its creation", id)
				}
				if err := d.Users().Delete(t.Context(), id, nil); err != nil {
					t.Error(err)
				}
				if d.Knows(id) {
					t.Errorf("%s must be out of the cache after its deletion", id)
				}
			}
		})
	}
	wg.Wait()
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
