// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/test/bench/internal/seed"
	"lightrun.com/scim-operator/test/framework/devenv"
	"lightrun.com/scim-operator/test/framework/poll"
)

// group contains the results for one large group. No pool names the group, so it gets a pool of its
// own.
type group struct {
	members  int
	answered time.Duration // time until the webhook's response
	inPortal time.Duration // until its pool in the portal has all members
	shown    time.Duration // until every member's status shows the pool
	cost
}

// pushGroup creates a group of existing users, by one request.
func (s *suite) pushGroup(ctx context.Context) (g group, err error) {
	g.members = min(s.group, s.seeded)
	fmt.Printf("Pushing a group of %d\n", g.members)
	members := make([]string, g.members)
	for i := range members {
		members[i] = seed.ID(i)
	}
	pools := len(s.first.Status.Pools)
	seen, err := s.observe(ctx, func(u *v1alpha1.ScimUser) bool {
		return settled(u) && len(u.Status.Pools) > pools && slices.ContainsFunc(u.Status.Pools, func(p v1alpha1.PoolMembership) bool {
			return p.Source == v1alpha1.PoolSourceGroup && p.Name != payments
		})
	})
	if err != nil {
		return g, err
	}
	defer seen.stop()
	before, err := s.cost(ctx)
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
	after, err := s.cost(ctx)
	g.cost = after.since(before)
	fmt.Printf("  answered after %s, in the portal after %s, in every status after %s; portal: %s; API server: %s\n",
		milliseconds(g.answered), seconds(g.inPortal), seconds(g.shown), g.calls, g.writes)
	return g, err
}

// poolHas waits until the pool of that AgentPool has n members in the portal.
func (s *suite) poolHas(ctx context.Context, name string, n int) error {
	return poll.Until(ctx, 20*time.Millisecond, func(ctx context.Context) error {
		var pool v1alpha1.AgentPool
		if err := s.env.Client.Get(ctx, client.ObjectKey{Namespace: devenv.Namespace, Name: name}, &pool); err != nil {
			return err
		}
		if pool.Status.Pool == "" {
			return errors.New("the pool of the pushed group is not in the portal")
		}
		got, err := s.env.API.GetPoolWithResponse(ctx, pool.Status.Pool)
		switch {
		case err != nil:
			return err
		case got.JSON200 == nil:
			return fmt.Errorf("the portal answered %s for the pool %s", got.Status(), pool.Status.Pool)
		case got.JSON200.MemberCount != n:
			return fmt.Errorf("the pool of the pushed group has %d of %d members in the portal", got.JSON200.MemberCount, n)
		}
		return nil
	})
}
