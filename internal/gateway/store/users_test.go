// SPDX-License-Identifier: Apache-2.0

package store_test

import (
	"maps"
	"testing"

	"lightrun.com/scim-operator/internal/gateway/server"
	"lightrun.com/scim-operator/internal/scim"
)

// with returns a change that sets one attribute.
func with(name string, value any) func(scim.Object) (scim.Object, error) {
	return func(have scim.Object) (scim.Object, error) {
		now := maps.Clone(have)
		now[name] = value
		return now, nil
	}
}

// TestUpdateOfKnown: a change of a user in the cache takes one call. A stale cache costs more
// calls, and nothing else.
func TestUpdateOfKnown(t *testing.T) {
	w := newWorld(t)
	d, calls := w.replicaWithFaults(t)
	other := w.replica(t)
	user, err := d.Users().Create(t.Context(), scim.Object{"schemas": []any{scim.SchemaUser}, "userName": "ada@example.test", "active": true})
	if err != nil {
		t.Fatal(err)
	}
	update := func(users server.Users, name string, value any) scim.Object {
		t.Helper()
		r, err := users.Update(t.Context(), user.ID, nil, with(name, value))
		if err != nil {
			t.Fatal(err)
		}
		o, err := r.Object("", false)
		if err != nil {
			t.Fatal(err)
		}
		return o
	}

	calls.arm(0, false)
	update(d.Users(), "active", false)
	if n := calls.arm(0, false); n != 1 {
		t.Errorf("a change of a cached user took %d calls, must be 1", n)
	}
	if update(d.Users(), "active", false); calls.arm(0, false) != 1 {
		t.Error("a change that changes nothing must read the API server, once")
	}
	for _, title := range []string{"one", "two", "three", "four", "five"} { // the cache of d may be behind each of them
		update(other.Users(), "title", title)
		if now := update(d.Users(), "nickName", title); now["title"] != title || now["active"] != false {
			t.Errorf("the other replica's title %q was lost: %v", title, now)
		}
	}
	if _, err := d.Users().Update(t.Context(), user.ID, func(version string) bool { return version == user.Version }, with("active", true)); err == nil {
		t.Error("a change of an outdated version must fail")
	}
}
