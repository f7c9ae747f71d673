package e2e

import (
	"net/http"
	"testing"

	"lightrun.com/scim-operator/api/v1alpha1"
)

// reinstalls applies the manifests again, the secret, the configuration and the pools of the export,
// and the provider pushes everything again under new ids.
func (c *company) reinstalls(before map[string]access, binding string) {
	c.t.Helper()
	if err := c.env.Reinstall(c.t.Context()); err != nil {
		c.t.Fatal(err)
	}
	c.follow("uninstall.md", "Install again")
	c.answers("GET", "/Users?count=1", http.StatusOK)
	kubectl(c.t, c.world, pools, "apply", "-f", "-")
	c.push()
	c.must("PATCH", "/Users/"+c.ids[user(20)], patch(setActive(false)), http.StatusOK)
	c.configured(v1alpha1.ConditionBound, v1alpha1.ReasonBound)
	c.settled()
	c.unchanged(before, "installed again")
	if now := c.binding(); now != binding {
		c.t.Errorf("the binding is %q, was %q", now, binding)
	}
}

// TestUninstall removes the product in each way that there is. Nobody loses anything in the portal,
// nothing stays in Kubernetes, and whoever installs again finds everybody as they were.
func TestUninstall(t *testing.T) {
	c := newCompany(t)
	before, binding := c.access(), c.binding()
	for _, way := range []struct{ name, section string }{
		{"InOrder", "In order"},
		{"AllAtOnce", "All at once"},
		{"Namespace", "One company of several"},
	} {
		t.Run(way.name, func(t *testing.T) {
			c := &company{world: newWorld(t, c.env), folder: t.TempDir(), ids: map[string]string{}, groups: map[string]string{}}
			c.follow("uninstall.md", "Take an export")
			c.follow("uninstall.md", way.section)
			c.uninstalled()
			c.unchanged(before, "uninstalled")
			c.reinstalls(before, binding)
		})
	}
}

// TestKindDeleted deletes one kind after the other, with everything running.
func TestKindDeleted(t *testing.T) {
	c := newCompany(t)
	before := c.access()
	for _, kind := range crds {
		if _, err := c.shell("kubectl delete crd " + kind + ".iam.lightrun.com --timeout=60s"); err != nil {
			t.Errorf("%s: %v", kind, err)
		}
		c.unchanged(before, kind+" deleted")
		if kind == "scimusers" {
			c.answers("GET", "/Users?count=1", http.StatusServiceUnavailable)
		}
	}
}
