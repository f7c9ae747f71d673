// SPDX-License-Identifier: Apache-2.0

package store_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/gateway/store"
	"lightrun.com/scim-operator/internal/kernel/claims"
	"lightrun.com/scim-operator/internal/scim"
	"lightrun.com/scim-operator/internal/scim/patch"
)

// faults breaks one call to the API server: the nth since arm, either before it is sent or after it
// took effect.
type faults struct {
	mu          sync.Mutex
	next        http.RoundTripper
	countdown   int // 0 if there is none
	afterEffect bool
	calls       int
}

var errFault = errors.New("the connection broke")

// arm breaks the nth call from now on; 0 breaks none. It returns the number of calls since the last
// arm.
func (f *faults) arm(nth int, afterEffect bool) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	calls := f.calls
	f.countdown, f.afterEffect, f.calls = nth, afterEffect, 0
	return calls
}

func (f *faults) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Query().Get("watch") != "" {
		return f.next.RoundTrip(r)
	}
	f.mu.Lock()
	f.calls++
	f.countdown--
	broken, after := f.countdown == 0, f.afterEffect
	f.mu.Unlock()
	if broken && !after {
		return nil, errFault
	}
	response, err := f.next.RoundTrip(r)
	if broken && err == nil {
		response.Body.Close()
		return nil, errFault
	}
	return response, err
}

// replicaWithFaults returns a directory with faults in its calls.
func (w world) replicaWithFaults(t *testing.T) (*store.Directory, *faults) {
	f := &faults{}
	d := w.replica(t, func(c *rest.Config) {
		c.Wrap(func(next http.RoundTripper) http.RoundTripper {
			f.next = next
			return f
		})
	})
	return d, f
}

// everyFault runs act with its first call broken, then its second, and so on until it makes fewer
// calls; each time before and after the effect. act gets a new name, may fail, and is then repeated
// without a fault. check gets both results.
func everyFault(t *testing.T, f *faults, act func(name string) error, check func(name string, first, second error)) {
	t.Helper()
	for _, after := range []bool{false, true} {
		for nth := 1; ; nth++ {
			if nth > 60 {
				t.Fatal("the action makes too many calls")
			}
			name := fmt.Sprintf("n%d-%v", nth, after)
			f.arm(nth, after)
			first := act(name)
			calls := f.arm(0, false)
			if calls < nth {
				break
			}
			check(name, first, act(name))
		}
	}
}

// noClientError fails if an answer blames the client for a broken connection.
func noClientError(t *testing.T, err error) {
	t.Helper()
	if s := status(err); s != 0 && s < 500 {
		t.Errorf("a broken connection must not be the client's fault: %v", err)
	}
}

func TestFaultsOnCreate(t *testing.T) {
	w := newWorld(t)
	d, f := w.replicaWithFaults(t)
	create := func(name string) error {
		_, err := d.Users().Create(t.Context(), scim.Object{"userName": name})
		return err
	}
	everyFault(t, f, create, func(name string, first, second error) {
		noClientError(t, first)
		if first == nil && status(second) != 409 {
			t.Errorf("%s: the name must be taken after a success: %v", name, second)
		}
		if first != nil && second != nil {
			t.Errorf("%s: the repetition must succeed: %v", name, second)
		}
		if n := w.living(t, name); n != 1 {
			t.Errorf("%s: there must be one user of that name, not %d", name, n)
		}
	})
	w.oneNameEach(t)
}

// living counts the users of a name that are not deleted.
func (w world) living(t *testing.T, name string) int {
	t.Helper()
	n := 0
	for _, u := range list(t, w, &v1alpha1.ScimUserList{}).Items {
		if u.Spec.UserName == name && !claims.Gone(&u) {
			n++
		}
	}
	return n
}

func TestFaultsOnRename(t *testing.T) {
	w := newWorld(t)
	d, f := w.replicaWithFaults(t)
	ids := map[string]string{}
	rename := func(name string) error {
		_, err := d.Users().Update(t.Context(), ids[name], nil, func(have scim.Object) (scim.Object, error) {
			return scim.Object{"userName": "new-" + name, "title": "x"}, nil
		})
		return err
	}
	prepared := func(name string) error {
		if ids[name] == "" {
			f.mu.Lock()
			countdown := f.countdown
			f.countdown = 0
			f.mu.Unlock()
			ids[name] = createUser(t, d, name)
			f.mu.Lock()
			f.countdown, f.calls = countdown, 0
			f.mu.Unlock()
		}
		return rename(name)
	}
	everyFault(t, f, prepared, func(name string, first, second error) {
		noClientError(t, first)
		if second != nil {
			t.Errorf("%s: the repetition must succeed: %v", name, second)
		}
		if w.living(t, "new-"+name) != 1 || w.living(t, name) != 0 {
			t.Errorf("%s: the user must have only the new name", name)
		}
	})
	w.oneNameEach(t)
}

func TestFaultsOnGroupChange(t *testing.T) {
	w := newWorld(t)
	d, f := w.replicaWithFaults(t)
	ada, bob, eve := createUser(t, d, "ada"), createUser(t, d, "bob"), createUser(t, d, "eve")
	want := []string{bob, eve}
	slices.Sort(want)
	for kind, changes := range map[string][]patch.MemberChange{
		"named":   {{Op: patch.RemoveMembers, IDs: []string{ada}}, {Op: patch.AddMembers, IDs: []string{bob, eve}}},
		"replace": {{Op: patch.ReplaceMembers, IDs: []string{bob, eve}}},
	} {
		t.Run(kind, func(t *testing.T) {
			g, err := createGroup(t, d, kind)
			if err != nil {
				t.Fatal(err)
			}
			act := func(string) error { return change(d, t, g.ID, changes...) }
			everyFault(t, f, act, func(name string, first, second error) {
				noClientError(t, first)
				if second != nil {
					t.Errorf("%s: the repetition must succeed: %v", name, second)
				}
				if stored := w.stored(t, g.ID); !slices.Equal(stored, want) {
					t.Errorf("%s: members are %v", name, stored)
				}
				if err := change(d, t, g.ID, patch.MemberChange{Op: patch.ReplaceMembers, IDs: []string{ada}}); err != nil {
					t.Fatal(err)
				}
			})
		})
	}
}

// TestSuccessMeansStored: when a change of members succeeds, etcd has it, whichever call broke.
func TestSuccessMeansStored(t *testing.T) {
	w := newWorld(t)
	d, f := w.replicaWithFaults(t)
	ada, bob := createUser(t, d, "ada"), createUser(t, d, "bob")
	g, err := createGroup(t, d, "Payments")
	if err != nil {
		t.Fatal(err)
	}
	for nth := range 12 {
		f.arm(nth, nth%2 == 0)
		err := change(d, t, g.ID, patch.MemberChange{Op: patch.AddMembers, IDs: []string{ada, bob}})
		f.arm(0, false)
		if stored := w.stored(t, g.ID); err == nil && len(stored) != 2 {
			t.Errorf("call %d: the request succeeded, but only %v are stored", nth, stored)
		}
		if err := change(d, t, g.ID, patch.MemberChange{Op: patch.RemoveAll}); err != nil {
			t.Fatal(err)
		}
	}
}

func TestFaultsOnGroupDelete(t *testing.T) {
	w := newWorld(t)
	d, f := w.replicaWithFaults(t)
	ada := createUser(t, d, "ada")
	groups := map[string]string{}
	remove := func(name string) error {
		if groups[name] == "" {
			f.mu.Lock()
			countdown := f.countdown
			f.countdown = 0
			f.mu.Unlock()
			g, err := createGroup(t, d, name, ada)
			if err != nil {
				t.Fatal(err)
			}
			groups[name] = g.ID
			f.mu.Lock()
			f.countdown, f.calls = countdown, 0
			f.mu.Unlock()
		}
		return d.Groups().Delete(t.Context(), groups[name])
	}
	everyFault(t, f, remove, func(name string, first, second error) {
		noClientError(t, first)
		if second != nil && status(second) != 404 {
			t.Errorf("%s: the repetition must complete it: %v", name, second)
		}
		if _, err := d.Groups().Get(t.Context(), groups[name], true); status(err) != 404 {
			t.Errorf("%s: the group must be gone: %v", name, err)
		}
		if groups := groupsOf(t, d, ada); len(groups) != 0 {
			t.Errorf("%s: ada is shown in %v", name, groups)
		}
	})
}

// TestClaimOfAbandonedRename: another user can take a claim that an unfinished rename took. If the
// rename then continues, it fails.
func TestClaimOfAbandonedRename(t *testing.T) {
	w := newWorld(t)
	d, f := w.replicaWithFaults(t)
	ada := createUser(t, d, "ada")
	renameTo := func(ctx context.Context, name string) error {
		_, err := d.Users().Update(ctx, ada, nil, func(scim.Object) (scim.Object, error) { return scim.Object{"userName": name}, nil })
		return err
	}
	f.arm(3, false) // read, claim, and the write of the person breaks
	if err := renameTo(t.Context(), "wanted"); err == nil {
		t.Fatal("the rename must fail")
	}
	f.arm(0, false)
	createUser(t, d, "wanted")
	if err := renameTo(t.Context(), "wanted"); status(err) != 409 {
		t.Errorf("another user must get the name: %v", err)
	}
	w.oneNameEach(t)
}

// TestClaimOfLostHolder: the claim of an object that is gone without a tombstone can be taken over.
func TestClaimOfLostHolder(t *testing.T) {
	w := newWorld(t)
	d := w.replica(t)
	ghost := &v1alpha1.ScimUser{ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: "0e0f7a5c-0000-4000-8000-000000000000"}, Spec: v1alpha1.ScimUserSpec{UserName: "ada"}}
	if err := w.Client.Create(t.Context(), ghost); err != nil {
		t.Fatal(err)
	}
	c := &v1alpha1.NameClaim{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: claimName("ada")},
		Spec:       v1alpha1.NameClaimSpec{Type: v1alpha1.ClaimUser, Holder: v1alpha1.ClaimHolder{Name: ghost.Name, UID: string(ghost.UID)}},
	}
	if err := w.Client.Create(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Users().Create(t.Context(), scim.Object{"userName": "ADA"}); status(err) != 409 {
		t.Errorf("a holder that exists must keep the name: %v", err)
	}
	if err := w.Client.Delete(t.Context(), ghost); err != nil {
		t.Fatal(err)
	}
	createUser(t, d, "ada")
	w.oneNameEach(t)
}

func claimName(name string) string { return claims.ObjectName(v1alpha1.ClaimUser, name) }
