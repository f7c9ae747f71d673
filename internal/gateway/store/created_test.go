// SPDX-License-Identifier: Apache-2.0

package store_test

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/gateway/store"
	"lightrun.com/scim-operator/internal/scim"
	"lightrun.com/scim-operator/internal/scim/patch"
)

// TestSlowCreateLooksAgain: a controller may treat an object without a claim as abandoned and
// delete it. A create request that gets the name after that must fail.
func TestSlowCreateLooksAgain(t *testing.T) {
	for kind, create := range map[string]func(*testing.T, *store.Directory) error{
		"User": func(t *testing.T, d *store.Directory) error {
			_, err := d.Users().Create(t.Context(), scim.Object{"userName": "ada"})
			return err
		},
		"Group": func(t *testing.T, d *store.Directory) error {
			_, err := createGroup(t, d, "Payments")
			return err
		},
	} {
		t.Run(kind, func(t *testing.T) {
			w := newWorld(t)
			var seconds atomic.Int64
			config := rest.CopyConfig(w.Config)
			config.Wrap(func(next http.RoundTripper) http.RoundTripper {
				return roundTrip(func(r *http.Request) (*http.Response, error) {
					if r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/nameclaims") {
						seconds.Add(60)
						w.removeAll(t)
					}
					return next.RoundTrip(r)
				})
			})
			d := w.start(t, store.Options{Config: config, Now: func() time.Time { return time.Unix(2_000_000_000+seconds.Load(), 0) }})
			err := create(t, d)
			if err == nil {
				t.Error("the user was deleted during its creation, but the request succeeded")
			}
			noClientError(t, err)
			if n := len(list(t, w, &v1alpha1.ScimUserList{}).Items) + len(list(t, w, &v1alpha1.ScimGroupList{}).Items) + len(list(t, w, &v1alpha1.AgentPoolList{}).Items); n != 0 {
				t.Errorf("%d users remain, must be 0", n)
			}
		})
	}
}

// TestRefusedButNotTakenBack: an object whose name was refused, and which could not be deleted, may
// get the name later, when the holder leaves. So the client must not get a conflict.
func TestRefusedButNotTakenBack(t *testing.T) {
	for kind, tt := range map[string]struct {
		objects string
		create  func(*testing.T, *store.Directory) error
	}{
		"User": {"scimusers", func(t *testing.T, d *store.Directory) error {
			_, err := d.Users().Create(t.Context(), scim.Object{"userName": "ada"})
			return err
		}},
		"Group": {"scimgroups", func(t *testing.T, d *store.Directory) error {
			_, err := createGroup(t, d, "Payments")
			return err
		}},
	} {
		t.Run(kind, func(t *testing.T) {
			w := newWorld(t)
			other := w.replica(t)
			rival := between(func(r *http.Request) bool { return r.Method == http.MethodPost }, func() {
				if err := tt.create(t, other); err != nil {
					t.Error(err)
				}
			})
			d := w.replica(t, rival, func(c *rest.Config) {
				c.Wrap(func(next http.RoundTripper) http.RoundTripper {
					return roundTrip(func(r *http.Request) (*http.Response, error) {
						if deletes(tt.objects)(r) {
							return nil, errFault
						}
						return next.RoundTrip(r)
					})
				})
			})
			err := tt.create(t, d)
			if err == nil {
				t.Error("the client got a conflict")
			}
			noClientError(t, err)
		})
	}
}

// TestRefusedAndThenNamed: between the refusal and the deletion the holder leaves, a controller
// claims the name for the new user, and a client finds and changes that user. The user must stay,
// and the create request must succeed.
func TestRefusedAndThenNamed(t *testing.T) {
	w := newWorld(t)
	other := w.replica(t)
	var holder string
	rival := between(func(r *http.Request) bool { return r.Method == http.MethodPost }, func() { holder = createUser(t, other, "ada") })
	d := w.replica(t, rival, between(deletes("scimusers"), func() {
		if err := other.Users().Delete(t.Context(), holder, nil); err != nil {
			t.Error(err)
		}
		for _, u := range list(t, w, &v1alpha1.ScimUserList{}).Items {
			if u.Name == holder {
				continue
			}
			if taken, err := registry(w.Client).Keep(t.Context(), v1alpha1.ClaimUser, "ada", &u); taken != nil || err != nil {
				t.Error(taken, err)
			}
		}
		rename(t, other, findByName(t, other, "ada")[0].ID, "lovelace")
		rename(t, other, findByName(t, other, "lovelace")[0].ID, "ada")
	}))
	made, err := d.Users().Create(t.Context(), scim.Object{"userName": "ada"})
	if err != nil {
		t.Fatalf("the user must get the name: %v", err)
	}
	if found := findByName(t, other, "ada"); len(found) != 1 || found[0].ID != made.ID {
		t.Errorf("%s must be found: %v", made.ID, found)
	}
	w.oneNameEach(t)
}

// removeAll deletes every user and group, as a controller does with abandoned ones.
func (w world) removeAll(t *testing.T) {
	t.Helper()
	var all []client.Object
	for _, u := range list(t, w, &v1alpha1.ScimUserList{}).Items {
		all = append(all, &u)
	}
	for _, g := range list(t, w, &v1alpha1.ScimGroupList{}).Items {
		all = append(all, &g)
	}
	for _, o := range all {
		if err := w.Client.Delete(t.Context(), o); err != nil {
			t.Error(err)
		}
	}
}

// TestGroupIsNotTakenBackOnceBuiltOn: a group can be found by its name as soon as it has the claim.
// If its creation fails after that, another request's changes to it stay.
func TestGroupIsNotTakenBackOnceBuiltOn(t *testing.T) {
	w := newWorld(t)
	other := w.replica(t)
	ada, bob := createUser(t, other, "ada"), createUser(t, other, "bob")
	var group string
	d := w.replica(t, func(c *rest.Config) {
		c.Wrap(func(next http.RoundTripper) http.RoundTripper {
			return roundTrip(func(r *http.Request) (*http.Response, error) {
				response, err := next.RoundTrip(r)
				if err != nil || r.Method != http.MethodPost || !strings.HasSuffix(r.URL.Path, "/nameclaims") {
					return response, err
				}
				response.Body.Close()
				group = findGroup(t, other, "Payments")[0].ID
				if err := change(other, t, group, patch.MemberChange{Op: patch.AddMembers, IDs: []string{bob}}); err != nil {
					t.Error(err)
				}
				return nil, errFault
			})
		})
	})
	if _, err := createGroup(t, d, "Payments", ada); err == nil {
		t.Fatal("the creation must fail")
	} else {
		noClientError(t, err)
	}
	want := []string{ada, bob}
	slices.Sort(want)
	if have := members(t, other, group); !slices.Equal(have, want) {
		t.Errorf("members are %v, must be %v", have, want)
	}
}

// TestUserIsNotTakenBackOnceBuiltOn: the same for a user whose claim was created although the
// answer was lost.
func TestUserIsNotTakenBackOnceBuiltOn(t *testing.T) {
	w := newWorld(t)
	other := w.replica(t)
	d := w.replica(t, func(c *rest.Config) {
		c.Wrap(func(next http.RoundTripper) http.RoundTripper {
			return roundTrip(func(r *http.Request) (*http.Response, error) {
				response, err := next.RoundTrip(r)
				if err != nil || r.Method != http.MethodPost || !strings.HasSuffix(r.URL.Path, "/nameclaims") {
					return response, err
				}
				response.Body.Close()
				rename(t, other, findByName(t, other, "ada")[0].ID, "lovelace")
				return nil, errFault
			})
		})
	})
	if _, err := d.Users().Create(t.Context(), scim.Object{"userName": "ada"}); err == nil {
		t.Fatal("the creation must fail")
	} else {
		noClientError(t, err)
	}
	if w.living(t, "lovelace") != 1 {
		t.Error("a client's rename to lovelace succeeded, but the user is gone")
	}
	w.oneNameEach(t)
}

// TestGroupWithUnknownOutcome: the response to the create call of a ScimGroup is lost. If the group
// exists afterwards, it has all of its members, and every replica finds it.
func TestGroupWithUnknownOutcome(t *testing.T) {
	for name, tt := range map[string]struct {
		reason string
		late   bool // the create call takes effect after the request
		keeps  bool // the cleanup's DELETE fails
		exists bool
	}{
		"Erased":      {reason: "The cleanup deletes the group, and then its slices."},
		"NotErased":   {reason: "The cleanup cannot delete the group, so it keeps the slices.", keeps: true, exists: true},
		"CreatedLate": {reason: "The cleanup finds no group because the create call takes effect later, so it keeps the slices.", late: true, exists: true},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			other := w.replica(t)
			ada := createUser(t, other, "ada")
			later := func() {}
			d := w.replica(t, func(c *rest.Config) {
				c.Wrap(func(next http.RoundTripper) http.RoundTripper {
					return roundTrip(func(r *http.Request) (*http.Response, error) {
						if tt.keeps && deletes("scimgroups")(r) {
							return nil, errFault
						}
						if !creates("scimgroups")(r) {
							return next.RoundTrip(r)
						}
						send := func(r *http.Request) {
							response, err := next.RoundTrip(r)
							if err != nil {
								t.Error(err)
								return
							}
							response.Body.Close()
						}
						if !tt.late {
							send(r)
							return nil, errFault
						}
						again := r.Clone(context.WithoutCancel(r.Context()))
						var err error
						if again.Body, err = r.GetBody(); err != nil {
							t.Error(err)
						}
						later = func() { send(again) }
						return nil, errFault
					})
				})
			})
			_, err := createGroup(t, d, "Payments", ada)
			noClientError(t, err)
			if err == nil {
				t.Error("the create call failed, but the request succeeded")
			}
			later()
			all := list(t, w, &v1alpha1.ScimGroupList{}).Items
			if exists := len(all) > 0; exists != tt.exists {
				t.Fatalf("%s\na group exists: %v", tt.reason, exists)
			}
			if !tt.exists {
				if n := len(list(t, w, &v1alpha1.ScimGroupSliceList{}).Items); n != 0 {
					t.Errorf("%s\n%d slices remain", tt.reason, n)
				}
				return
			}
			group := all[0].Name
			if have := members(t, d, group); !slices.Equal(have, []string{ada}) {
				t.Errorf("%s\nthe members are %v, want %s", tt.reason, have, ada)
			}
			// The manager takes the claim for a group without one.
			if taken, err := registry(w.Client).Keep(t.Context(), v1alpha1.ClaimGroup, "Payments", &all[0]); taken != nil || err != nil {
				t.Fatal(taken, err)
			}
			for _, replica := range []*store.Directory{other, d} {
				eventually(t, func() bool { return len(findGroup(t, replica, "Payments")) == 1 })
			}
		})
	}
}
