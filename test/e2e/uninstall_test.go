// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/google/go-cmp/cmp"

	portalv1 "lightrun.com/scim-operator/api/portal/v1"
	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/test/framework/idp"
)

// uninstall removes the product by the commands of the manual's section. No user loses anything
// in the portal, nothing stays in Kubernetes, and after the product is installed again all is as it
// was.
func uninstall(section string) func(*company, before) {
	return func(c *company, b before) {
		binding := c.binding()
		c.swapNames()
		c.settles()
		c.follow("uninstall.md", "Take an export")
		c.follow("uninstall.md", section)
		c.uninstalled()
		c.unchanged(b, "uninstalled")
		c.reinstalls(binding, "uninstall.md", "Install again")
	}
}

// reinstalls applies the manifests again, and what was exported by the manual's section.
func (c *company) reinstalls(binding, page, section string) {
	c.t.Helper()
	if err := c.env.Reinstall(c.t.Context()); err != nil {
		c.t.Fatal(err)
	}
	c.follow(page, section)
	c.configured(v1alpha1.ConditionBound, v1alpha1.ReasonBound)
	c.answers("GET", "/Users?count=1", http.StatusOK)
	c.apply()
	c.settles()
	if now := c.binding(); now != binding {
		c.t.Errorf("the binding is %q, was %q", now, binding)
	}
}

// kindsDeleted deletes one kind after the other, with everything running, and installs again.
func (c *company) kindsDeleted(b before) {
	binding := c.binding()
	c.follow("uninstall.md", "Take an export")
	for _, kind := range crds {
		if _, err := c.shell("kubectl delete crd " + kind + ".iam.lightrun.com --timeout=60s"); err != nil {
			c.t.Errorf("%s: %v", kind, err)
		}
		c.unchanged(b, kind+" deleted")
		if kind == "scimusers" {
			c.answers("GET", "/Users?count=1", http.StatusServiceUnavailable)
		}
	}
	c.reinstalls(binding, "backup-restore.md", "Restore after the kinds are deleted")
}

// pushedAgain uninstalls, and installs again without the users and groups: the provider pushes them
// again, under new SCIM ids. It is the last procedure.
func (c *company) pushedAgain(b before) {
	c.follow("uninstall.md", "Take an export")
	c.follow("uninstall.md", "In order")
	c.uninstalled()
	if err := c.env.Reinstall(c.t.Context()); err != nil {
		c.t.Fatal(err)
	}
	want := c.afterPushingAgain(b)
	c.steps("uninstall.md", "Install again without users and groups", map[string]func(){
		"# Have": func() {
			c.configured(v1alpha1.ConditionRestoreOpen, v1alpha1.ReasonRestoreWindow)
			c.answers("GET", "/Users?count=1", http.StatusOK)
			c.apply() // Git still names the group of the pool support by its former id
			c.pushAgain()
		},
	})
	c.plansNoRoles()
	c.hasAccess(c.withOwnPool(want), "pushed again")
	t := c.t
	t.Log("people say which groups are meant, and consent to what groups' own pools take over")
	c.apply()
	for c.accepts() {
	}
	for _, group := range []string{"Own", "old again"} {
		c.consents(c.groups[group])
	}
	c.hasAccess(want, "accepted and consented")
	t.Log("what the provider says of those groups arrives")
	for group, pool := range map[string]string{"Own": "Own", "engineers": "Engineering"} {
		newcomer := c.ids[user(180)]
		in := func(yes bool) func(portalUser) bool {
			return func(u portalUser) bool {
				return slices.ContainsFunc(u.Pools, func(p portalv1.PoolRef) bool { return p.Name == pool }) == yes
			}
		}
		c.must("PATCH", "/Groups/"+c.groups[group], idp.Patch(idp.AddMembers(newcomer)), http.StatusNoContent)
		c.becomes(user(180), "joins "+pool, in(true))
		c.must("PATCH", "/Groups/"+c.groups[group], idp.Patch(idp.RemoveMember(newcomer)), http.StatusNoContent)
		c.becomes(user(180), "leaves "+pool, in(false))
	}
	c.hasAccess(want, "at the end")
}

// afterPushingAgain returns the access that users have once the provider has pushed them again. A
// user that an administrator deactivated is active, because the provider says so. A suspended user
// has what the provider says.
func (c *company) afterPushingAgain(b before) map[string]personRecord {
	want := accessOf(b.records)
	for _, i := range locallyOff {
		p := want[user(i)]
		p.Status = "Active"
		want[user(i)] = p
	}
	p := want[user(suspendedUsers[1])]
	p.Status = "Deactivated"
	want[user(suspendedUsers[1])] = p
	return want
}

// plansNoRoles checks that by the plan that was printed last every user keeps their roles.
func (c *company) plansNoRoles() {
	c.t.Helper()
	if strings.Contains(c.plan, " roles: ") {
		c.t.Errorf("the plan changes roles: %s", c.plan)
	}
}

// withOwnPool returns the access of want while Git names the group "new" by its former id or name:
// no line of a pool means it, so it has a pool of its own, without roles, until a person decides
// which pool it fills.
func (c *company) withOwnPool(want map[string]personRecord) map[string]personRecord {
	c.t.Helper()
	var id string
	eventually(c.t, "the group that no pool names has its own", func(context.Context) error {
		all, err := c.read()
		if err != nil {
			return err
		}
		if id = all.Pools["new"].ID; id == "" {
			return errors.New("the portal has no pool of its name")
		}
		return nil
	})
	out := maps.Clone(want)
	for _, i := range members["old"] {
		p := out[user(i)]
		p.Pools = append(slices.Clone(p.Pools), "new | "+id+" 1")
		out[user(i)] = p
	}
	return out
}

// accessOf returns what users have, without what the portal remembers about it.
func accessOf(all *records) map[string]personRecord {
	out := map[string]personRecord{}
	for name, p := range all.People {
		p.Owner, p.DeactivatedBy, p.Mark = "", "", ""
		out[name] = p
	}
	return out
}

func (c *company) hasAccess(want map[string]personRecord, what string) {
	c.t.Helper()
	eventually(c.t, what+": everybody has the same access", func(context.Context) error {
		all, err := c.read()
		if err != nil {
			return err
		}
		if diff := cmp.Diff(want, accessOf(all)); diff != "" {
			return errors.New(diff)
		}
		return nil
	})
}

// pushAgain sends all users and groups that the provider has.
func (c *company) pushAgain() {
	c.t.Helper()
	inactiveNow := slices.Concat(heldUsers, droppedUsers, inactive, suspendedUsers[1:2])
	var mu sync.Mutex
	c.ids, c.groups = map[string]string{}, map[string]string{}
	all := slices.DeleteFunc(span(0, people-1), func(i int) bool { return i == heldDeletion || i == deletedUser })
	each(c, all, func(ctx context.Context, i int) error {
		body := idp.User(user(i))
		body["active"] = !slices.Contains(inactiveNow, i)
		a, err := c.scim(ctx, "POST", "/Users", body)
		mu.Lock()
		defer mu.Unlock()
		c.ids[user(i)] = a.ID()
		return answered(a, err, http.StatusCreated)
	})
	c.ids[takesOldUserName] = c.must("POST", "/Users", idp.User(takesOldUserName), http.StatusCreated).ID()
	now := map[string][]int{"new": members["old"], "old": takesOldName}
	out := map[string]int{"finance": heldMember, "sre": droppedMember, "leads": heldManager}
	for name, list := range members {
		if name != "old" {
			now[name] = slices.DeleteFunc(slices.Clone(list), func(i int) bool {
				return i == out[name] && out[name] != 0 || name == "finance" && i == suspendedUsers[2]
			})
		}
	}
	c.pushGroups(now)
	c.groups["old"], c.groups["old again"] = c.groups["new"], c.groups["old"]
}

// consents lets the own pool of a group take over what the portal has, by the words of its
// condition.
func (c *company) consents(group string) {
	c.t.Helper()
	var message string
	eventually(c.t, "the own pool asks for consent", func(ctx context.Context) error {
		all, err := c.reasons(ctx)
		if message = all[group]; err == nil && !strings.HasPrefix(message, v1alpha1.ReasonConsentRequired) {
			err = errors.New(message)
		}
		return err
	})
	if out, err := c.shell(remedy(message)); err != nil {
		c.t.Fatalf("the command in %q fails: %s", message, out)
	}
	eventually(c.t, "the own pool has taken over", func(ctx context.Context) error {
		all, err := c.reasons(ctx)
		if err == nil && !strings.HasPrefix(all[group], v1alpha1.ReasonReady) {
			err = errors.New(all[group])
		}
		return err
	})
}
