// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/kernel/portalapi"
	"lightrun.com/scim-operator/test/framework/devenv"
	"lightrun.com/scim-operator/test/framework/poll"
)

// granted are the results of a new role for a pool with many members.
type granted struct {
	members  int
	inPortal time.Duration // until the portal gives it to them
	shown    time.Duration // until every member's status shows it
	cost
	meanwhile pushed
}

// grantRole adds a role to the pool payments, and creates users until the statuses of all members
// show the role.
func (s *suite) grantRole(ctx context.Context) (g granted, err error) {
	g.members = s.seeded + 1
	fmt.Printf("Granting a role to a pool of %d members\n", g.members)
	shown, err := s.observe(ctx, func(u *v1alpha1.ScimUser) bool {
		return settled(u) && slices.ContainsFunc(u.Status.Roles, func(r v1alpha1.RoleGrant) bool { return r.Name == portalapi.RoleManager })
	})
	if err != nil {
		return g, err
	}
	defer shown.stop()
	before, err := s.cost(ctx)
	if err != nil {
		return g, err
	}
	pool := &v1alpha1.AgentPool{ObjectMeta: metav1.ObjectMeta{Namespace: devenv.Namespace, Name: payments}}
	begun := time.Now()
	if err := s.env.Client.Patch(ctx, pool, client.RawPatch("application/merge-patch+json", []byte(`{"spec":{"roles":["`+portalapi.RoleManager+`"]}}`))); err != nil {
		return g, err
	}
	if err := s.inPortal(ctx); err != nil {
		return g, err
	}
	g.inPortal = time.Since(begun)
	if err := s.pushUntilShown(ctx, &g, shown); err != nil {
		return g, err
	}
	g.shown = shown.last().Sub(begun)
	after, err := s.cost(ctx)
	g.cost = after.since(before)
	fmt.Printf("  in the portal after %s, shown by every status after %s; portal: %s; API server: %s; %d pushes meanwhile, in force p50 %s, p99 %s\n", milliseconds(g.inPortal), seconds(g.shown),
		g.calls, g.writes, g.meanwhile.count, milliseconds(quantile(g.meanwhile.effective, .5)), milliseconds(quantile(g.meanwhile.effective, .99)))
	return g, err
}

// pushUntilShown creates users until every member's status shows the role.
func (s *suite) pushUntilShown(ctx context.Context, g *granted, shown *observer) error {
	all := make(chan error, 1)
	stop := make(chan struct{})
	go func() {
		all <- shown.wait(ctx, g.members)
		close(stop)
	}()
	profiled := make(chan error, 1)
	go func() { profiled <- s.profile(ctx, "roles.cpu", "profile?seconds=15") }()
	if s.rate > 0 {
		var err error
		if g.meanwhile, err = s.push(ctx, stop); err != nil {
			return err
		}
	}
	if err := <-all; err != nil {
		return err
	}
	return <-profiled
}

// inPortal waits until the portal shows the role on the first user's account.
func (s *suite) inPortal(ctx context.Context) error {
	return poll.Until(ctx, 5*time.Millisecond, func(ctx context.Context) error {
		got, err := s.env.API.GetUserWithResponse(ctx, s.first.Status.Account)
		switch {
		case err != nil:
			return err
		case got.JSON200 == nil:
			return fmt.Errorf("the portal answered %s for the first user's account", got.Status())
		case !slices.Contains(got.JSON200.Roles, portalapi.RoleManager):
			return errors.New("the first user's account does not have the role")
		}
		return nil
	})
}
