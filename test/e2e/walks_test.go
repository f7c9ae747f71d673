// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"testing"

	"golang.org/x/sync/errgroup"

	"lightrun.com/scim-operator/test/conformance/directorytest"
	"lightrun.com/scim-operator/test/framework/devenv"
	"lightrun.com/scim-operator/test/framework/idp"
)

// TestWalksLoseNoUser walks a list on the built webhook while users are created and deleted: by
// startIndex on one replica, and by cursor alternately on two, one of which is killed and restarted
// during the walk.
func TestWalksLoseNoUser(t *testing.T) {
	const people, changes, count = 300, 50, 20
	w := shared(t)
	withoutManager(w)
	name, second, err := w.env.AddWebhook(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.env.Halt(name); err != nil {
			t.Error(err)
		}
	})
	ids := w.populate(people)
	t.Cleanup(func() { w.depart(ids) })
	serial := 0
	random := rand.New(rand.NewPCG(9, 11))
	walk := func(style directorytest.Style, behind bool, get func(url.Values) directorytest.ListResponse) {
		crowd := &directorytest.Crowd{
			Create: func() string {
				serial++
				return w.arrive(w.name(fmt.Sprintf("late%d", serial)))
			},
			Delete:    func(id string) { w.must("DELETE", "/Users/"+id, nil, http.StatusNoContent) },
			IDs:       ids,
			Deletions: changes, Arrivals: changes, Pages: people / count, Behind: behind, Random: random,
		}
		crowd.Walk(t, directorytest.Walk{Style: style, Count: count, Get: get})
	}
	first := w.env.Values.SCIMURL
	for _, query := range []url.Values{{}, {"sortBy": {"userName"}}} {
		query.Set("filter", fmt.Sprintf("userName co %q", w.tag))
		for _, style := range directorytest.Styles() {
			walk(style, false, func(paging url.Values) directorytest.ListResponse { return w.page(first, query, paging) })
		}
		eventually(t, "the second replica lists every user", func(context.Context) error {
			if have := w.page(second, query, nil).TotalResults; have != len(ids) {
				return fmt.Errorf("it lists %d of %d", have, len(ids))
			}
			return nil
		})
		pages := 0
		walk(directorytest.ByCursor, true, func(paging url.Values) directorytest.ListResponse {
			pages++
			if pages == people/count/2 {
				w.restart(devenv.Webhook)
			}
			return w.page([]string{first, second}[pages%2], query, paging)
		})
	}
}

// populate pushes users, several at a time, and returns their ids.
func (w *world) populate(people int) map[string]bool {
	w.t.Helper()
	created := make([]string, people)
	work, ctx := errgroup.WithContext(w.t.Context())
	work.SetLimit(8)
	for i := range created {
		work.Go(func() error {
			a, err := w.scim(ctx, "POST", "/Users", idp.User(w.name(fmt.Sprintf("walker%d", i))))
			if err == nil && a.Status != http.StatusCreated {
				err = fmt.Errorf("a POST got %d %s", a.Status, a.Detail())
			}
			created[i] = a.ID()
			return err
		})
	}
	if err := work.Wait(); err != nil {
		w.t.Fatal(err)
	}
	ids := map[string]bool{}
	for _, id := range created {
		ids[id] = true
	}
	return ids
}

// depart deletes users, so that later stories need not provision them.
func (w *world) depart(ids map[string]bool) {
	w.t.Helper()
	work, ctx := errgroup.WithContext(context.WithoutCancel(w.t.Context()))
	work.SetLimit(8)
	for id := range ids {
		work.Go(func() error {
			_, err := w.scim(ctx, "DELETE", "/Users/"+id, nil)
			return err
		})
	}
	if err := work.Wait(); err != nil {
		w.t.Error(err)
	}
}

// page reads a page of users from one replica.
func (w *world) page(base string, query, paging url.Values) (page directorytest.ListResponse) {
	w.t.Helper()
	request, err := http.NewRequestWithContext(w.t.Context(), http.MethodGet, base+"/Users?"+query.Encode()+"&"+paging.Encode(), nil)
	if err != nil {
		w.t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+w.token)
	response, err := w.http.Do(request)
	if err != nil {
		w.t.Fatal(err)
	}
	defer response.Body.Close()
	if err := json.NewDecoder(response.Body).Decode(&page); err != nil || response.StatusCode != http.StatusOK {
		w.t.Fatalf("%s %v: %s %v", base, paging, response.Status, err)
	}
	return page
}

// restart kills a program and starts it again.
func (w *world) restart(name string) {
	w.t.Helper()
	if err := w.env.Kill(name); err != nil {
		w.t.Fatal(err)
	}
	if err := w.env.Restart(w.t.Context(), name); err != nil {
		w.t.Fatal(err)
	}
}
