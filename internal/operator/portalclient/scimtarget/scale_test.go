// SPDX-License-Identifier: Apache-2.0

package scimtarget_test

import (
	"fmt"
	"sync"
	"testing"

	"lightrun.com/scim-operator/internal/kernel/portalapi"
	"lightrun.com/scim-operator/test/framework/scimtargets"
)

// TestTenThousand pushes 10,000 people into one group, from eight workers, and restarts. The target
// has each of them once, and the new process sends pages only.
func TestTenThousand(t *testing.T) {
	const people, page = 10_000, 100 // per page: the target's maximum
	w := start(t, scimtargets.Elimity(t, true))
	pool := w.putPool(team("Everyone"))
	accounts := make([]*portalapi.Account, people)
	w.target.Forget()
	each(people, func(i int) error {
		a, err := w.client.PutAccount(t.Context(), person(fmt.Sprintf("p%05d", i)))
		accounts[i] = a
		return err
	}, func(err error) { t.Error(err) })
	if t.Failed() {
		t.FailNow()
	}
	if n := len(w.target.Calls()); n != people {
		t.Errorf("%d arrivals take %d requests", people, n)
	}
	w.target.Forget()
	for from := 0; from < people; from += portalapi.MaxMemberships {
		var items []portalapi.MembershipWrite
		for _, a := range accounts[from : from+portalapi.MaxMemberships] {
			items = append(items, portalapi.MembershipWrite{AccountID: a.ID, IfRevision: a.Revision, Add: true})
		}
		_, err := w.client.PutMemberships(t.Context(), pool.Owner.UID, items, nil)
		w.ok(err)
	}
	if n := len(w.target.Calls()); n != people/500 {
		t.Errorf("%d members take %d requests", people, n)
	}
	if n, m := len(w.target.All("/Users")), len(w.members(pool.ID)); n != people || m != people {
		t.Errorf("the target has %d users and %d members", n, m)
	}
	w.target.Forget()
	w.restart("second")
	if n := len(w.target.Calls()); n != 2+people/page+1 { // what the target can do, the users, the groups
		t.Errorf("the listing after a restart takes %d requests", n)
	}
	w.calls("a pass over everyone", func() {
		each(people, func(i int) error {
			write := person(fmt.Sprintf("p%05d", i), pool.ID)
			_, err := w.client.PutAccount(t.Context(), write)
			return err
		}, func(err error) { t.Error(err) })
	})
}

// each calls f for 0 to n-1 from eight workers.
func each(n int, f func(int) error, failed func(error)) {
	var group sync.WaitGroup
	next := make(chan int)
	for range 8 {
		group.Go(func() {
			for i := range next {
				if err := f(i); err != nil {
					failed(err)
				}
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	group.Wait()
}
