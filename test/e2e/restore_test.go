// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"net/http"
	"path/filepath"
	"strings"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/test/framework/idp"
)

// clusterLost exports, loses etcd and restores by the manual's commands: the same SCIM ids, the
// same accounts with the same access, under the same binding.
func (c *company) clusterLost(b before) {
	binding := c.binding()
	c.swapNames()
	c.settles()
	c.follow("backup-restore.md", "Back up")
	c.losesCluster()
	c.restoresCluster(b, binding)
}

func (c *company) losesCluster() {
	c.t.Helper()
	if err := c.env.LoseCluster(c.t.Context()); err != nil {
		c.t.Fatal(err)
	}
	if err := c.env.Reinstall(c.t.Context()); err != nil {
		c.t.Fatal(err)
	}
}

func (c *company) restoresCluster(b before, binding string) {
	c.t.Helper()
	c.answers("GET", "/Users?count=1", http.StatusServiceUnavailable) // until there is a configuration
	c.follow("backup-restore.md", "Restore after the cluster is lost")
	for _, quoted := range []string{
		"Nothing is written now: the restore window is open", "The portal's pool of this name is taken over with its members",
		"The account that this user had before is taken over with its pools", "GuardHeld", "RemovalDropped",
	} {
		if !strings.Contains(c.plan, quoted) || !strings.Contains(page(c.t, "backup-restore.md"), "`"+quoted+"`") {
			c.t.Errorf("the plan and the manual must both say %q", quoted)
		}
	}
	c.plansNoRoles()
	c.configured(v1alpha1.ConditionBound, v1alpha1.ReasonBound)
	c.settles()
	c.answers("GET", "/Users/"+c.ids[user(0)], http.StatusOK)
	if now := c.binding(); now != binding {
		c.t.Errorf("the binding is %q, was %q", now, binding)
	}
	c.apply() // Git goes on
	c.settles()
}

// portalLost loses the portal's database and restores its backup, which is older than what
// Kubernetes has.
func (c *company) portalLost(before) {
	backup := filepath.Join(c.folder, "portal.backup")
	c.backupPortal(backup)
	late := user(120)
	c.must("PATCH", "/Users/"+c.ids[late], idp.Patch(idp.Replace("displayName", "Later")), http.StatusOK)
	c.becomes(late, "has a change that is not in the backup", func(u portalUser) bool { return u.DisplayName == "Later" })
	if err := c.env.LosePortal(); err != nil {
		c.t.Fatal(err)
	}
	c.steps("backup-restore.md", "Restore after the portal is lost", map[string]func(){
		"# Restore": func() { c.restoresPortal(backup) },
	})
	c.plansNoRoles()
	c.becomes(late, "has what the backup did not know", func(u portalUser) bool { return u.DisplayName == "Later" })
	c.settles()
}

func (c *company) restoresPortal(backup string) {
	c.t.Helper()
	if err := c.env.RestorePortal(c.t.Context(), backup); err != nil {
		c.t.Fatal(err)
	}
}

// bothLost loses all and restores both.
func (c *company) bothLost(b before) {
	binding := c.binding()
	backup := filepath.Join(c.folder, "portal.backup")
	c.follow("backup-restore.md", "Back up")
	c.backupPortal(backup)
	if err := c.env.LosePortal(); err != nil {
		c.t.Fatal(err)
	}
	c.losesCluster()
	c.restoresPortal(backup)
	c.restoresCluster(b, binding)
}

// window opens the restore window, in which nothing is written to the portal; afterwards it is.
func (c *company) window(b before) {
	late := user(121)
	if out, err := c.shell("kubectl scim restore open -n lightrun-system"); err != nil {
		c.t.Fatal(out, err)
	}
	c.configured(v1alpha1.ConditionRestoreOpen, v1alpha1.ReasonRestoreWindow)
	c.must("PATCH", "/Users/"+c.ids[late], idp.Patch(idp.SetActive(false)), http.StatusOK)
	c.condition(c.ids[late], v1alpha1.ConditionReady, "False", v1alpha1.ReasonReportOnly)
	c.unchanged(b, "while the window is open")
	if out, err := c.shell("kubectl scim restore close -n lightrun-system"); err != nil {
		c.t.Fatal(out, err)
	}
	c.becomes(late, "leaves", deactivated)
	c.must("PATCH", "/Users/"+c.ids[late], idp.Patch(idp.SetActive(true)), http.StatusOK)
	c.becomes(late, "is back", active)
	c.settles()
}
