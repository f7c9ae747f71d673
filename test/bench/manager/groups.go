// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/test/bench/internal/seed"
	"lightrun.com/scim-operator/test/framework/devenv"
)

// group are the results of one pushed group. No pool names it, so it gets a pool of its own.
type group struct {
	members  int
	answered time.Duration // by the webhook
	inPortal time.Duration // until its pool in the portal has all members
	shown    time.Duration // until every member's status shows the pool
	calls    counts        // writes to the portal
	writes   counts        // to the API server, by resource
}

// pushGroup pushes a group of existing users, in one request.
func (s *suite) pushGroup(ctx context.Context) (g group, err error) {
	g.members = min(s.group, s.seeded)
	fmt.Printf("Pushing a group of %d\n", g.members)
	members := make([]string, g.members)
	for i := range members {
		members[i] = seed.ID(i)
	}
	before := len(s.first.Status.Pools)
	seen, err := s.observe(ctx, func(u *v1alpha1.ScimUser) bool {
		return settled(u) && len(u.Status.Pools) > before && slices.ContainsFunc(u.Status.Pools, func(p v1alpha1.PoolMembership) bool {
			return p.Source == v1alpha1.PoolSourceGroup && p.Name != payments
		})
	})
	if err != nil {
		return g, err
	}
	defer seen.stop()
	calls, err := s.calls(ctx)
	if err != nil {
		return g, err
	}
	writes, err := s.writes(ctx)
	if err != nil {
		return g, err
	}
	begun := time.Now()
	id, err := s.postGroup(ctx, s.prefix()+"group", members)
	if err != nil {
		return g, err
	}
	g.answered = time.Since(begun)
	if err := s.poolHas(ctx, id, g.members); err != nil {
		return g, err
	}
	g.inPortal = time.Since(begun)
	if err := seen.wait(ctx, g.members); err != nil {
		return g, err
	}
	g.shown = seen.last().Sub(begun)
	after, err := s.calls(ctx)
	if err != nil {
		return g, err
	}
	g.calls = writesOf(after.minus(calls))
	wrote, err := s.writes(ctx)
	g.writes = wrote.minus(writes)
	fmt.Printf("  answered after %s, in the portal after %s, in every status after %s; portal: %s; API server: %s\n",
		milliseconds(g.answered), seconds(g.inPortal), seconds(g.shown), g.calls, g.writes)
	return g, err
}

// poolHas waits until the pool of that AgentPool has n members in the portal.
func (s *suite) poolHas(ctx context.Context, name string, n int) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for have := 0; ; {
		var pool v1alpha1.AgentPool
		err := s.env.Client.Get(ctx, client.ObjectKey{Namespace: devenv.Namespace, Name: name}, &pool)
		if client.IgnoreNotFound(err) != nil {
			return err
		}
		if pool.Status.Pool != "" {
			if have, err = s.membersInPortal(ctx, pool.Status.Pool); err != nil || have == n {
				return err
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("the pool of the pushed group has %d of %d members in the portal: %w", have, n, ctx.Err())
		}
	}
}

// membersInPortal returns the number of members of a pool in the portal.
func (s *suite) membersInPortal(ctx context.Context, id string) (int, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.env.Values.PortalURL+"/api/v1/pools/"+id, http.NoBody)
	if err != nil {
		return 0, err
	}
	request.Header.Set("Authorization", "Bearer "+s.env.Values.PortalAPIKey)
	answer, err := s.scim.Do(request)
	if err != nil {
		return 0, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return 0, fmt.Errorf("the portal answered %s for the pool %s", answer.Status, id)
	}
	var pool struct{ MemberCount int }
	return pool.MemberCount, json.NewDecoder(answer.Body).Decode(&pool)
}
