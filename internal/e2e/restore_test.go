package e2e

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"testing"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/conditions"
	"lightrun.com/scim-operator/internal/devenv"
)

// TestRestoreAfterTheClusterIsLost exports, loses etcd and restores by the manual's commands: the
// same SCIM ids, the same accounts with the same access, under the same binding.
func TestRestoreAfterTheClusterIsLost(t *testing.T) {
	c := newCompany(t)
	before, binding := c.access(), c.binding()
	c.follow("backup-restore.md", "Back up")
	if err := c.env.LoseCluster(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := c.env.Reinstall(t.Context()); err != nil {
		t.Fatal(err)
	}
	c.answers("GET", "/Users?count=1", http.StatusServiceUnavailable) // until there is a configuration
	c.follow("backup-restore.md", "Restore after the cluster is lost")
	c.configured(v1alpha1.ConditionBound, v1alpha1.ReasonBound)
	c.answers("GET", "/Users/"+c.ids[user(0)], http.StatusOK)
	eventually(t, "everybody is provisioned again", func(ctx context.Context) error {
		var list v1alpha1.ScimUserList
		if err := c.env.Client.List(ctx, &list, client.InNamespace(devenv.Namespace)); err != nil {
			return err
		}
		var errs []error
		for _, u := range list.Items {
			if !conditions.IsTrue(u.Status.Conditions, v1alpha1.ConditionProvisioned) {
				errs = append(errs, fmt.Errorf("%s: %+v", u.Spec.UserName, u.Status.Conditions))
			}
		}
		if len(list.Items) != people {
			errs = append(errs, fmt.Errorf("%d users", len(list.Items)))
		}
		return errors.Join(errs...)
	})
	c.unchanged(before, "restored")
	if now := c.binding(); now != binding {
		t.Errorf("the binding is %q, was %q", now, binding)
	}
	t.Log("what the provider pushes next arrives")
	c.must("PATCH", "/Users/"+c.ids[user(10)], patch(setActive(false)), http.StatusOK)
	c.becomes(user(10), "leaves", deactivated)
}

// TestRestoreWindow: while it is open nothing is written to the portal; afterwards it is.
func TestRestoreWindow(t *testing.T) {
	c := newCompany(t)
	if out, err := c.shell("kubectl scim restore open"); err != nil {
		t.Fatal(out, err)
	}
	c.configured(v1alpha1.ConditionRestoreOpen, v1alpha1.ReasonRestoreWindow)
	before := c.access()
	c.must("PATCH", "/Users/"+c.ids[user(11)], patch(setActive(false)), http.StatusOK)
	c.condition(c.ids[user(11)], v1alpha1.ConditionReady, "False", v1alpha1.ReasonReportOnly)
	c.unchanged(before, "while the window is open")
	if out, err := c.shell("kubectl scim restore close"); err != nil {
		t.Fatal(out, err)
	}
	c.becomes(user(11), "leaves", deactivated)
}
