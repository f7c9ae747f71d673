// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/kernel/portalapi"
	"lightrun.com/scim-operator/test/framework/devenv"
)

// granted are the results of a new role for a pool with many members.
type granted struct {
	members   int
	inPortal  time.Duration // until the portal gives it to them
	shown     time.Duration // until every member's status shows it
	calls     counts        // writes to the portal
	writes    counts        // to the API server, by resource
	meanwhile pushed
}

// grantRole adds a role to the pool payments, and pushes users until the status of all members
// shows it.
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
	calls, err := s.calls(ctx)
	if err != nil {
		return g, err
	}
	writes, err := s.writes(ctx)
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
	after, err := s.calls(ctx)
	if err != nil {
		return g, err
	}
	g.calls = writesOf(after.minus(calls))
	wrote, err := s.writes(ctx)
	g.writes = wrote.minus(writes)
	fmt.Printf("  in the portal after %s, shown by every status after %s; portal: %s; API server: %s; %d pushes meanwhile, in force p50 %s, p99 %s\n", milliseconds(g.inPortal), seconds(g.shown),
		g.calls, g.writes, g.meanwhile.count, milliseconds(quantile(g.meanwhile.effective, .5)), milliseconds(quantile(g.meanwhile.effective, .99)))
	return g, err
}

// pushUntilShown pushes users until every member's status shows the role.
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

// writesOf returns the calls that write.
func writesOf(calls counts) counts {
	out := counts{}
	for _, method := range []string{"PutAccount", "PutPool", "PutMemberships", "ReleaseAccount", "ReleasePool", "MarkHeld", "MarkWaiting", "PutLoginMethods"} {
		if n := calls[method]; n != 0 {
			out[method] = n
		}
	}
	return out
}

// inPortal waits until the portal shows the role on the first person's account.
func (s *suite) inPortal(ctx context.Context) error {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.env.Values.PortalURL+"/api/v1/users/"+s.first.Status.Account, http.NoBody)
		if err != nil {
			return err
		}
		request.Header.Set("Authorization", "Bearer "+s.env.Values.PortalAPIKey)
		answer, err := s.scim.Do(request)
		if err != nil {
			return err
		}
		var text bytes.Buffer
		_, err = text.ReadFrom(answer.Body)
		answer.Body.Close()
		if err != nil || bytes.Contains(text.Bytes(), []byte(portalapi.RoleManager)) {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
