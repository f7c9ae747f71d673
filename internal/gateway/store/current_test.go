// SPDX-License-Identifier: Apache-2.0

package store_test

import (
	"io"
	"net/http"
	"sync/atomic"
	"testing"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/gateway/store"
)

// frozen blocks all watch events once it is set.
type frozen struct{ atomic.Bool }

func (f *frozen) wrap(c *rest.Config) {
	c.Wrap(func(next http.RoundTripper) http.RoundTripper {
		return roundTrip(func(r *http.Request) (*http.Response, error) {
			answer, err := next.RoundTrip(r)
			if err == nil && r.URL.Query().Get("watch") != "" {
				answer.Body = &frozenBody{ReadCloser: answer.Body, request: r, frozen: f}
			}
			return answer, err
		})
	})
}

type frozenBody struct {
	io.ReadCloser
	request *http.Request
	frozen  *frozen
}

func (b *frozenBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if b.frozen.Load() {
		<-b.request.Context().Done()
		return 0, b.request.Context().Err()
	}
	return n, err
}

// entitle writes the status that the controller writes once a user has the claim, and waits until
// the cache contains it.
func (w world) entitle(t *testing.T, d *store.Directory, id string) {
	t.Helper()
	var u v1alpha1.ScimUser
	if err := w.Client.Get(t.Context(), types.NamespacedName{Namespace: w.namespace, Name: id}, &u); err != nil {
		t.Fatal(err)
	}
	u.Status.UserName = u.Spec.UserName
	if err := w.Client.Status().Update(t.Context(), &u); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() bool { return d.KnowsAt(id, u.ResourceVersion) })
}

// TestReadOfCurrent: a user in the cache whose status has the name is read with one call, by id and
// by name.
func TestReadOfCurrent(t *testing.T) {
	w := newWorld(t)
	d, calls := w.replicaWithFaults(t)
	id := createUser(t, d, "Ada@example.test")
	w.entitle(t, d, id)
	calls.arm(0, false)
	if r, err := d.Users().Get(t.Context(), id); err != nil || r.ID != id {
		t.Errorf("got %v, %v", r, err)
	}
	if n := calls.arm(0, false); n != 1 {
		t.Errorf("a read by id took %d calls, must be 1", n)
	}
	if found := findByName(t, d, "ADA@example.test"); len(found) != 1 || found[0].ID != id {
		t.Errorf("found %v", found)
	}
	if n := calls.arm(0, false); n != 1 {
		t.Errorf("a read by name took %d calls, must be 1", n)
	}
	if found := findByName(t, d, "unused@example.test"); len(found) != 0 {
		t.Errorf("found %v", found)
	}
	if n := calls.arm(0, false); n != 1 {
		t.Errorf("a read of an unused name took %d calls, must be 1", n)
	}
}

// TestReadBehindTheWatch: a replica without watch events still reads what another replica wrote.
func TestReadBehindTheWatch(t *testing.T) {
	w := newWorld(t)
	var f frozen
	behind, other := w.replica(t, f.wrap), w.replica(t)
	var ids []string
	for _, name := range []string{"changed", "renamed", "deleted", "returned"} {
		ids = append(ids, createUser(t, behind, name))
		w.entitle(t, behind, ids[len(ids)-1])
	}
	f.Store(true)
	update := func(id, attribute string, value any) {
		t.Helper()
		if _, err := other.Users().Update(t.Context(), id, nil, with(attribute, value)); err != nil {
			t.Fatal(err)
		}
	}
	update(ids[0], "title", "Engineer")
	update(ids[1], "userName", "new name")
	for _, id := range ids[2:] {
		if err := other.Users().Delete(t.Context(), id, nil); err != nil {
			t.Fatal(err)
		}
	}
	returned := createUser(t, other, "returned")

	for name, want := range map[string]string{"changed": ids[0], "renamed": "", "new name": ids[1], "deleted": "", "returned": returned} {
		found := findByName(t, behind, name)
		if got := len(found); want == "" && got != 0 || want != "" && (got != 1 || found[0].ID != want) {
			t.Errorf("userName eq %q found %v, must find %q", name, found, want)
		}
	}
	for _, id := range ids[2:] {
		if r, err := behind.Users().Get(t.Context(), id); status(err) != http.StatusNotFound {
			t.Errorf("a deleted user is read as %v, %v", r, err)
		}
	}
	r, err := behind.Users().Get(t.Context(), ids[0])
	if err != nil {
		t.Fatal(err)
	}
	if o, err := r.Object("", false); err != nil || o["title"] != "Engineer" {
		t.Errorf("the change is not read: %v, %v", o, err)
	}
}

// TestNameOnlyInSpecIsChecked: an object that has a name in spec only may still be refused the
// name, so the claim decides.
func TestNameOnlyInSpecIsChecked(t *testing.T) {
	w := newWorld(t)
	var f frozen
	d, other := w.replica(t, f.wrap), w.replica(t)
	holder := createUser(t, other, "first")
	w.entitle(t, d, holder)
	pending := &v1alpha1.ScimUser{}
	pending.Namespace, pending.Name = w.namespace, "00000000-0000-4000-8000-000000000001"
	pending.Spec.UserName = "second" // as the webhook creates it, before it takes the claim
	if err := w.Client.Create(t.Context(), pending); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() bool { return d.Knows(pending.Name) })
	f.Store(true)
	if _, err := other.Users().Update(t.Context(), holder, nil, with("userName", "second")); err != nil {
		t.Fatal(err)
	}
	if found := findByName(t, d, "second"); len(found) != 1 || found[0].ID != holder {
		t.Errorf("found %v, must find %s, who has the claim", found, holder)
	}
}
