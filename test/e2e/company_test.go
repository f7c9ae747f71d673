// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	portalv1 "lightrun.com/scim-operator/api/portal/v1"
	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/test/framework/devenv"
	"lightrun.com/scim-operator/test/framework/idp"
)

// company is a world with users who are in pools for every possible reason, and users with every
// kind of decision.
type company struct {
	*world
	folder string
	ids    map[string]string // user name → SCIM id
	groups map[string]string // display name, when it was pushed → SCIM id
	line   string            // of the pool "renamed"
	head   string            // user name in a line of the pool "heads", once a person has changed it
	plan   string            // the last output
}

// people is the number of users that the provider creates.
const people = 210

// Users with a decision, by index.
var (
	heldUsers      = span(190, 192) // deactivated by the provider; the guard holds it
	droppedUsers   = span(193, 194) // deactivated by the provider; a person dropped it
	heldDeletion   = 195            // deleted by the provider; the guard holds it
	suspendedUsers = span(197, 199) // a person set spec.suspend; the provider pushed a change after that
	locallyOff     = span(200, 202) // deactivated in the portal by an administrator
	inactive       = span(203, 204) // deactivated by the provider; carried out
	deletedUser    = 205            // deleted by the provider; carried out
	renamedUser    = 206            // renamed after a pool with ROLE_MANAGER listed the first name, which another user has now
	heldMember     = 207            // removed from a group by the provider; the guard holds it
	droppedMember  = 208            // removed from a group by the provider; a person dropped it
	heldManager    = 209            // removed by the provider from the group of a pool with ROLE_MANAGER; the guard holds it
)

// members are the provider's groups at the first push. No pool names "Own".
var members = map[string][]int{
	"engineers": span(0, 59),
	"finance":   append(span(40, 89), suspendedUsers[2], heldMember),
	"support":   span(80, 109),
	"sre":       append(span(100, 119), droppedMember),
	"release":   span(115, 134),
	"Own":       span(130, 149),
	"leads":     append([]int{5, 45, heldUsers[0], heldManager}, span(150, 155)...),
	"old":       span(180, 184), // renamed to "new" after it fills a pool
}

// takesOldName are the members of another group, which is later pushed as "old".
var takesOldName = span(185, 189)

// takesOldUserName is the first user name of the renamed user, which another user has now.
const takesOldUserName = "user206@example.test"

// byName is the first group reference of the pool "renamed".
const byName = "displayName: old"

// manifests returns what administrators and Git declare.
func (c *company) manifests() string {
	return `
apiVersion: iam.lightrun.com/v1alpha1
kind: AgentPool
metadata: {name: default}
spec: {description: Everyone, roles: [ROLE_IGNORE_QUOTA]}
---
apiVersion: iam.lightrun.com/v1alpha1
kind: AgentPool
metadata: {name: engineering}
spec: {displayName: Engineering, groups: [{displayName: engineers}]}
---
apiVersion: iam.lightrun.com/v1alpha1
kind: AgentPool
metadata: {name: on-call}
spec: {displayName: On call, description: The engineers again, roles: [ROLE_IGNORE_QUOTA], groups: [{displayName: engineers}]}
---
apiVersion: iam.lightrun.com/v1alpha1
kind: AgentPool
metadata: {name: finance}
spec: {displayName: Finance, roles: [ROLE_IGNORE_QUOTA], groups: [{externalId: ext-finance}]}
---
apiVersion: iam.lightrun.com/v1alpha1
kind: AgentPool
metadata: {name: support}
spec: {displayName: Support, groups: [{id: ` + c.groups["support"] + `}]}
---
apiVersion: iam.lightrun.com/v1alpha1
kind: AgentPool
metadata: {name: platform}
spec: {displayName: Platform, roles: [ROLE_IGNORE_QUOTA], groups: [{displayName: sre}, {displayName: release}]}
---
apiVersion: iam.lightrun.com/v1alpha1
kind: AgentPool
metadata: {name: leads}
spec: {displayName: Leads, roles: [ROLE_MANAGER], groups: [{displayName: leads}]}
---
apiVersion: iam.lightrun.com/v1alpha1
kind: AgentPool
metadata: {name: listed}
spec: {displayName: Listed, members: [{userName: user160@example.test}, {userName: USER161@example.test}, {userName: user162@example.test}]}
---
apiVersion: iam.lightrun.com/v1alpha1
kind: AgentPool
metadata: {name: heads}
spec: {displayName: Heads, roles: [ROLE_MANAGER], members: [{userName: user163@example.test}, {userName: ` + cmp.Or(c.head, "USER206@example.test") + `}, {userName: unknown@example.test}]}
---
apiVersion: iam.lightrun.com/v1alpha1
kind: AgentPool
metadata: {name: filtered}
spec: {displayName: Filtered, roles: [ROLE_IGNORE_QUOTA], memberFilter: 'userName sw "user17"'}
---
apiVersion: iam.lightrun.com/v1alpha1
kind: AgentPool
metadata: {name: renamed}
spec: {displayName: Renamed, groups: [{` + c.line + `}]}
`
}

// poolNames contains the pools that administrators declare.
var poolNames = []string{"default", "engineering", "on-call", "finance", "support", "platform", "leads", "listed", "heads", "filtered", "renamed"}

func span(from, to int) []int {
	var out []int
	for i := from; i <= to; i++ {
		out = append(out, i)
	}
	return out
}

// user returns the final user name of a user.
func user(i int) string {
	if i == renamedUser {
		return "renamed206@example.test"
	}
	return fmt.Sprintf("user%03d@example.test", i)
}

// poolsOf returns the user's pools in the portal, and whether the account is active.
func poolsOf(i int) (in []string, active bool) {
	if i == deletedUser {
		return nil, false
	}
	in = []string{"Default"}
	for group, pools := range map[string][]string{
		"engineers": {"Engineering", "On call"}, "finance": {"Finance"}, "support": {"Support"}, "sre": {"Platform"}, "release": {"Platform"},
		"Own": {"Own"}, "leads": {"Leads"}, "old": {"Renamed"},
	} {
		if slices.Contains(members[group], i) {
			in = append(in, pools...)
		}
	}
	switch {
	case slices.Contains(takesOldName, i):
		in = append(in, "old")
	case 160 <= i && i <= 162:
		in = append(in, "Listed")
	case i == 163, i == renamedUser:
		in = append(in, "Heads")
	case 170 <= i && i <= 179:
		in = append(in, "Filtered")
	}
	slices.Sort(in)
	return slices.Compact(in), !slices.Contains(locallyOff, i) && !slices.Contains(inactive, i)
}

// sample is one user of each kind, for sign-ins.
var sample = []int{0, 45, 60, 85, 117, 131, 152, 161, 175, 181, 186, 189,
	heldUsers[0], heldUsers[1], droppedUsers[0], heldDeletion, suspendedUsers[0], suspendedUsers[1], suspendedUsers[2],
	locallyOff[0], inactive[0], deletedUser, renamedUser, heldMember, droppedMember, heldManager}

// alone returns an environment for this test only.
func alone(t *testing.T) *world {
	t.Helper()
	env := start(t, options(t, t.TempDir()))
	t.Cleanup(func() {
		if t.Failed() {
			for _, program := range []string{devenv.Manager, devenv.Webhook} {
				log, _ := os.ReadFile(filepath.Join(env.Dir, "logs", program+".log"))
				t.Logf("%s: %s", program, log[max(0, len(log)-6000):])
			}
		}
	})
	return newWorld(t, env)
}

// newCompany creates all users and groups, and makes all decisions.
func newCompany(t *testing.T) *company {
	t.Helper()
	c := &company{world: alone(t), folder: t.TempDir()}
	c.push()
	c.guard(100, 1000)
	c.everybodyArrived()
	c.decide()
	c.guard(100, 1000) // held removals stay held; a removal by mistake is carried out, so that the test sees it
	return c
}

// in returns the company for a subtest.
func (c *company) in(t *testing.T) *company {
	w := *c.world
	w.t = t
	w.http = &http.Client{Timeout: w.http.Timeout} // no connection to a program that ended
	inner := *c
	inner.world, inner.folder = &w, t.TempDir()
	return &inner
}

// each calls f for every value, many at once, and fails the test on the first error.
func each[T any](c *company, values []T, f func(ctx context.Context, v T) error) {
	c.t.Helper()
	work, errs := make(chan T), make(chan error, len(values))
	var workers sync.WaitGroup
	for range 16 {
		workers.Go(func() {
			for v := range work {
				if err := f(c.t.Context(), v); err != nil {
					errs <- err
				}
			}
		})
	}
	for _, v := range values {
		work <- v
	}
	close(work)
	workers.Wait()
	close(errs)
	for err := range errs {
		c.t.Error(err)
	}
	if c.t.Failed() {
		c.t.FailNow()
	}
}

// answered returns an error if the answer has another status.
func answered(a idp.Answer, err error, status int) error {
	if err == nil && a.Status != status {
		err = fmt.Errorf("answered %d %s", a.Status, a.Detail())
	}
	return err
}

// push sends the provider's first data, and applies what administrators declare.
func (c *company) push() {
	c.t.Helper()
	c.ids, c.groups = map[string]string{}, map[string]string{}
	var mu sync.Mutex
	each(c, span(0, people-1), func(ctx context.Context, i int) error {
		a, err := c.scim(ctx, "POST", "/Users", idp.User(fmt.Sprintf("user%03d@example.test", i)))
		mu.Lock()
		defer mu.Unlock()
		c.ids[user(i)] = a.ID()
		return answered(a, err, http.StatusCreated)
	})
	c.pushGroups(members)
	c.line = byName
	c.apply()
}

func (c *company) pushGroups(all map[string][]int) {
	c.t.Helper()
	var mu sync.Mutex
	each(c, slices.Sorted(maps.Keys(all)), func(ctx context.Context, name string) error {
		list := make([]any, 0, len(all[name]))
		for _, i := range all[name] {
			list = append(list, map[string]any{"value": c.ids[user(i)]})
		}
		a, err := c.scim(ctx, "POST", "/Groups", map[string]any{
			"schemas": []string{"urn:ietf:params:scim:schemas:core:2.0:Group"}, "displayName": name, "externalId": "ext-" + name, "members": list,
		})
		mu.Lock()
		defer mu.Unlock()
		c.groups[name] = a.ID()
		return answered(a, err, http.StatusCreated)
	})
}

// everybodyArrived waits until all users have the access that follows from the provider's first
// data. No user is deactivated yet.
func (c *company) everybodyArrived() {
	c.t.Helper()
	eventually(c.t, "every user has their pools", func(context.Context) error {
		all, err := c.read()
		if err != nil {
			return err
		}
		pushed := 0
		var errs []error
		for i := range people {
			want, _ := poolsOf(i)
			name := fmt.Sprintf("user%03d@example.test", i)
			got := all.People[name]
			if got.ID != "" {
				pushed++
			}
			have := got.poolNames()
			if !slices.Contains(takesOldName, i) && i != deletedUser && !slices.Equal(have, want) {
				errs = append(errs, fmt.Errorf("%s is in %q, must be in %q", name, have, want))
			}
		}
		if pushed != people {
			errs = append(errs, fmt.Errorf("%d of %d have an account", pushed, people))
		}
		return errors.Join(errs...)
	})
}

// decide makes the later changes of the provider and of administrators.
func (c *company) decide() {
	c.t.Helper()
	c.pushGroups(map[string][]int{"old again": takesOldName})
	c.swapNames()
	ok := func(method, path string, body any, status int) {
		c.t.Helper()
		c.must(method, path, body, status)
	}
	ok("PATCH", "/Users/"+c.ids[user(renamedUser)], idp.Patch(idp.Replace("userName", user(renamedUser))), http.StatusOK)
	for _, i := range inactive {
		ok("PATCH", "/Users/"+c.ids[user(i)], idp.Patch(idp.SetActive(false)), http.StatusOK)
	}
	ok("DELETE", "/Users/"+c.ids[user(deletedUser)], nil, http.StatusNoContent)
	for _, i := range append(slices.Clone(inactive), deletedUser) {
		c.becomes(user(i), "is deactivated", deactivated)
	}
	c.becomes(user(renamedUser), "is renamed", active)
	c.ids[takesOldUserName] = c.must("POST", "/Users", idp.User(takesOldUserName), http.StatusCreated).ID()
	c.becomes(takesOldUserName, "is there, and is no manager", holding("ROLE_USER", "ROLE_IGNORE_QUOTA"))
	c.locally()
	c.suspend()
	c.hold()
}

// swapNames renames the group that fills the pool "renamed" by its name, and gives the old name to
// another group.
func (c *company) swapNames() {
	c.t.Helper()
	c.named("old again", "other")
	c.named("old", "old")
	c.line = byName
	c.apply()
	eventually(c.t, "the group fills the pool by its name", func(context.Context) error {
		out := kubectl(c.t, c.world, "", "get", "agentpool", "renamed", "-o", "jsonpath={.status.groups[0]}")
		if !strings.Contains(out, byName[:11]) || !strings.Contains(out, c.groups["old"]) {
			return fmt.Errorf("the pool is filled by %s", out)
		}
		return nil
	})
	c.named("old", "new")
	c.named("old again", "old")
}

// named renames a group, which was pushed with the name pushed.
func (c *company) named(pushed, name string) {
	c.t.Helper()
	eventually(c.t, pushed+" gets the name "+name, func(ctx context.Context) error { // the name may still be in use
		a, err := c.scim(ctx, "PATCH", "/Groups/"+c.groups[pushed], idp.Patch(idp.Replace("displayName", name)))
		if err == nil && a.Status != http.StatusOK {
			err = answered(a, err, http.StatusNoContent)
		}
		return err
	})
}

// locally deactivates accounts in the portal, which it allows while SCIM is off.
func (c *company) locally() {
	c.t.Helper()
	c.loginMethods(func(m *portalv1.LoginMethods) { m.SCIM.Enabled = false })
	for _, i := range locallyOff {
		off := portalv1.Status("Deactivated")
		id := c.becomes(user(i), "is there", func(portalv1.User) bool { return true }).ID
		if got, err := c.env.API.UpdateUserWithResponse(c.t.Context(), id, nil, portalv1.UserPatch{Status: &off}); err != nil || got.JSON200 == nil {
			c.t.Fatalf("deactivate in the portal: %v %s", err, got.Body)
		}
	}
	c.loginMethods(func(m *portalv1.LoginMethods) { m.SCIM.Enabled = true })
	c.answers("GET", "/Users?count=1", http.StatusOK)
	c.condition(c.ids[user(locallyOff[0])], v1alpha1.ConditionReady, "False", v1alpha1.ReasonDeactivatedLocally)
}

// suspend sets spec.suspend of users. Then the provider changes these users.
func (c *company) suspend() {
	c.t.Helper()
	for _, i := range suspendedUsers {
		kubectl(c.t, c.world, "", "patch", "scimuser", c.ids[user(i)], "--type=merge", "-p", `{"spec":{"suspend":true}}`)
		c.condition(c.ids[user(i)], v1alpha1.ConditionSuspended, "True", "")
	}
	c.must("PATCH", "/Users/"+c.ids[user(suspendedUsers[1])], idp.Patch(idp.SetActive(false)), http.StatusOK)
	c.must("PATCH", "/Groups/"+c.groups["finance"], idp.Patch(idp.RemoveMember(c.ids[user(suspendedUsers[2])])), http.StatusNoContent)
}

// hold closes the guard, removes access by the provider, and drops a part of the removals.
func (c *company) hold() {
	c.t.Helper()
	c.guard(0, 0)
	for _, i := range append(slices.Clone(heldUsers), droppedUsers...) {
		c.must("PATCH", "/Users/"+c.ids[user(i)], idp.Patch(idp.SetActive(false)), http.StatusOK)
	}
	c.must("DELETE", "/Users/"+c.ids[user(heldDeletion)], nil, http.StatusNoContent)
	for i, group := range map[int]string{heldMember: "finance", droppedMember: "sre", heldManager: "leads"} {
		c.must("PATCH", "/Groups/"+c.groups[group], idp.Patch(idp.RemoveMember(c.ids[user(i)])), http.StatusNoContent)
	}
	c.marked("Held", append(append([]int{heldDeletion}, heldUsers...), droppedUsers...), "Finance", "Platform", "Leads")
	line := "kubectl scim drop agentpool/platform -n lightrun-system"
	for _, i := range droppedUsers {
		line += " " + user(i)
	}
	eventually(c.t, "the held removals can be dropped", func(context.Context) error {
		out, err := c.shell(line)
		if err != nil {
			return errors.New(out)
		}
		return nil
	})
	c.marked("Dropped", droppedUsers, "Platform")
}

// marked waits until the portal has the mark on those users and pools.
func (c *company) marked(state string, users []int, pools ...string) {
	c.t.Helper()
	eventually(c.t, state+" is marked in the portal", func(context.Context) error {
		all, err := c.read()
		if err != nil {
			return err
		}
		var errs []error
		for _, i := range users {
			if mark := all.People[user(i)].Mark; !strings.Contains(mark, state) {
				errs = append(errs, fmt.Errorf("%s has the mark %q", user(i), mark))
			}
		}
		for _, name := range pools {
			if mark := all.Pools[name].Mark; !strings.Contains(mark, state) {
				errs = append(errs, fmt.Errorf("%s has the mark %q", name, mark))
			}
		}
		return errors.Join(errs...)
	})
}

// guard sets the budget of the deprovisioning guard.
func (c *company) guard(percent, users int) {
	c.t.Helper()
	kubectl(c.t, c.world, "", "patch", "identityconfiguration", v1alpha1.DefaultName, "--type=merge", "-p",
		fmt.Sprintf(`{"spec":{"deprovisioningGuard":{"maxPercent":%d,"minUsers":%d}}}`, percent, users))
	c.observed()
}

// policy sets the management policy and waits until it takes effect.
func (c *company) policy(p v1alpha1.ManagementPolicy) {
	c.t.Helper()
	kubectl(c.t, c.world, "", "patch", "identityconfiguration", v1alpha1.DefaultName, "--type=merge", "-p", fmt.Sprintf(`{"spec":{"managementPolicy":%q}}`, p))
	c.observed()
}

// observed waits until the manager has observed the current configuration.
func (c *company) observed() {
	c.t.Helper()
	kubectl(c.t, c.world, "", "wait", "identityconfiguration", v1alpha1.DefaultName, "--timeout=60s",
		"--for=jsonpath={.status.observedGeneration}="+kubectl(c.t, c.world, "", "get", "identityconfiguration", v1alpha1.DefaultName, "-o", "jsonpath={.metadata.generation}"))
}
