// SPDX-License-Identifier: Apache-2.0

package store_test

import (
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"

	"k8s.io/client-go/rest"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/gateway/store"
	"lightrun.com/scim-operator/internal/scim"
	"lightrun.com/scim-operator/internal/scim/patch"
)

// kill stops all writes of a replica from the nth on, like a crash: no cleanup runs.
type kill struct {
	mu     sync.Mutex
	writes int // that still succeed
	dead   bool
}

// replicaKilledAfter returns a directory whose writes stop after the number that arm sets.
func (w world) replicaKilledAfter(t *testing.T) (*store.Directory, *kill) {
	k := &kill{writes: 1 << 30}
	d := w.replica(t, func(c *rest.Config) {
		c.Wrap(func(next http.RoundTripper) http.RoundTripper {
			return roundTrip(func(r *http.Request) (*http.Response, error) {
				if r.Method != http.MethodGet && !k.lives() {
					return nil, errFault
				}
				return next.RoundTrip(r)
			})
		})
	})
	return d, k
}

func (k *kill) lives() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.writes--
	k.dead = k.dead || k.writes < 0
	return !k.dead
}

// arm allows this number of writes. It reports whether the previous limit was reached.
func (k *kill) arm(writes int) (met bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	met = k.dead
	k.writes, k.dead = writes, false
	return met
}

// createUsers creates n users and returns their ids, sorted.
func createUsers(t *testing.T, d *store.Directory, n int) []string {
	t.Helper()
	people := make([]string, n)
	var wg sync.WaitGroup
	for worker := range 8 {
		wg.Go(func() {
			for i := worker; i < n; i += 8 {
				r, err := d.Users().Create(t.Context(), scim.Object{"userName": fmt.Sprintf("user%d", i)})
				if err != nil {
					t.Error(err)
					return
				}
				people[i] = r.ID
			}
		})
	}
	wg.Wait()
	slices.Sort(people)
	return people
}

// TestGroupKilledAtEachStep: a replica stops after each of the writes of a POST, PUT or PATCH of a
// group. The same request at another replica then converges: there is one group of that name, and
// it is complete.
func TestGroupKilledAtEachStep(t *testing.T) {
	w := newWorld(t)
	d, k := w.replicaKilledAfter(t)
	other := w.replica(t)
	people := createUsers(t, other, 300) // several slices
	few, many := people[:3], people[3:]
	create := func(d *store.Directory, name string) error {
		_, err := createGroup(t, d, name, people...)
		return err
	}
	replace := func(d *store.Directory, name string) error {
		return change(d, t, findGroup(t, d, name)[0].ID, patch.MemberChange{Op: patch.ReplaceMembers, IDs: many})
	}
	addAndRename := func(d *store.Directory, name string) error {
		found := findGroup(t, d, name)
		if len(found) == 0 {
			found = findGroup(t, d, "new "+name)
		}
		_, err := d.Groups().Update(t.Context(), found[0].ID, func(scim.Object) (scim.Object, []patch.MemberChange, error) {
			return scim.Object{"displayName": "new " + name}, []patch.MemberChange{{Op: patch.AddMembers, IDs: many}}, nil
		})
		return err
	}
	for name, tt := range map[string]struct {
		before []string
		act    func(d *store.Directory, name string) error
		after  []string
		called string
	}{
		"Create":       {nil, create, people, "%s"},
		"Replace":      {few, replace, many, "%s"},
		"AddAndRename": {few, addAndRename, people, "new %s"},
	} {
		t.Run(name, func(t *testing.T) {
			for writes := 0; ; writes++ {
				if writes > 60 {
					t.Fatal("it makes too many writes")
				}
				group := fmt.Sprintf("%s after %d", name, writes)
				if tt.before != nil {
					if _, err := createGroup(t, other, group, tt.before...); err != nil {
						t.Fatal(err)
					}
				}
				k.arm(writes)
				first := tt.act(d, group)
				killed := k.arm(1 << 30)
				noClientError(t, first)
				second := tt.act(other, group)
				if second != nil && (name != "Create" || status(second) != 409) {
					t.Errorf("killed after %d writes: the repetition must succeed: %v", writes, second)
				}
				if first == nil && name == "Create" && status(second) != 409 {
					t.Errorf("killed after %d writes: what succeeded must be stored: %v", writes, second)
				}
				found := findGroup(t, other, fmt.Sprintf(tt.called, group))
				if len(found) != 1 {
					t.Fatalf("killed after %d writes: found %v, must find one group", writes, found)
				}
				if have := members(t, other, found[0].ID); !slices.Equal(have, tt.after) {
					t.Errorf("killed after %d writes: there are %d members, must be %d", writes, len(have), len(tt.after))
				}
				if !killed {
					return
				}
			}
		})
	}
}

// TestOwnPoolFails: the answer to POST does not depend on the group's own pool.
func TestOwnPoolFails(t *testing.T) {
	w := newWorld(t)
	d := w.replica(t, func(c *rest.Config) {
		c.Wrap(func(next http.RoundTripper) http.RoundTripper {
			return roundTrip(func(r *http.Request) (*http.Response, error) {
				if creates("agentpools")(r) {
					return nil, errFault
				}
				return next.RoundTrip(r)
			})
		})
	})
	g, err := createGroup(t, d, "Payments")
	if err != nil {
		t.Fatal(err)
	}
	if found := findGroup(t, d, "Payments"); len(found) != 1 || found[0].ID != g.ID {
		t.Errorf("found %v", found)
	}
	if pools := list(t, w, &v1alpha1.AgentPoolList{}).Items; len(pools) != 0 {
		t.Errorf("the pool must not be created: %v", pools)
	}
}
