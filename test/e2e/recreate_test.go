// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"sigs.k8s.io/controller-runtime/pkg/client"

	portalv1 "lightrun.com/scim-operator/api/portal/v1"
	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/kernel/conditions"
	"lightrun.com/scim-operator/test/framework/devenv"
)

// apply applies the manifests of administrators and Git.
func (c *company) apply() {
	c.t.Helper()
	kubectl(c.t, c.world, c.manifests(), "apply", "-f", "-")
}

// recreate deletes the declared pools and applies them again.
func (c *company) recreate() {
	c.t.Helper()
	kubectl(c.t, c.world, "", append([]string{"delete", "--timeout=60s", "agentpool"}, poolNames...)...)
	c.apply()
}

// reportOnly creates all pools again in ReportOnly: the first step of an
// installation.
func (c *company) reportOnly(before) {
	c.policy(v1alpha1.PolicyReportOnly)
	c.recreate()
	c.policy(v1alpha1.PolicyEnforce)
	c.settles()
}

// scimOff creates all pools again while SCIM is off in the portal.
func (c *company) scimOff(before) {
	c.loginMethods(func(m *portalv1.LoginMethods) { m.SCIM.Enabled = false })
	eventually(c.t, "the manager knows that SCIM is off", func(context.Context) error {
		if out := kubectl(c.t, c.world, "", "get", "identityconfiguration", "default", "-o", "jsonpath={.status.loginMethods.scim}"); out != "false" {
			return fmt.Errorf("SCIM is %q", out)
		}
		return nil
	})
	c.recreate()
	c.loginMethods(func(m *portalv1.LoginMethods) { m.SCIM.Enabled = true })
	c.settles()
}

// everythingOfPeople deletes the configuration and all pools and applies both again.
func (c *company) everythingOfPeople(before) {
	if out, err := c.shell("kubectl -n lightrun-system get identityconfiguration default -o yaml | sed -E '/^ {2,4}(resourceVersion|uid|generation|creationTimestamp):/d' > configuration.yaml"); err != nil {
		c.t.Fatal(out, err)
	}
	kubectl(c.t, c.world, "", "delete", "identityconfiguration", "default", "--timeout=60s")
	c.recreate()
	if out, err := c.shell("kubectl create -f configuration.yaml"); err != nil {
		c.t.Fatal(out, err)
	}
	c.configured(v1alpha1.ConditionBound, v1alpha1.ReasonBound)
	c.settles()
}

// finalizersStripped deletes all pools after removing their finalizers, so that no manager sees it.
func (c *company) finalizersStripped(before) {
	if err := c.env.Halt(devenv.Manager); err != nil {
		c.t.Fatal(err)
	}
	for _, line := range []string{
		"kubectl -n lightrun-system delete agentpools --all --wait=false",
		`kubectl -n lightrun-system patch $(kubectl -n lightrun-system get agentpools -o name) --type=merge -p '{"metadata":{"finalizers":null}}'`,
	} {
		if out, err := c.shell(line); err != nil {
			c.t.Fatal(out, err)
		}
	}
	c.apply()
	if err := c.env.Restart(c.t.Context(), devenv.Manager); err != nil {
		c.t.Fatal(err)
	}
	c.settles()
}

// settles waits until each user and pool is done, waits for a person as before, or asks
// which group was meant; it then answers with the condition's command.
func (c *company) settles() {
	c.t.Helper()
	for c.accepts() {
	}
	c.done()
}

// accepts answers the pools' questions about groups and users. It reports whether there was one.
func (c *company) accepts() (asked bool) {
	c.t.Helper()
	questions := map[string]string{}
	eventually(c.t, "each pool knows its groups, or asks", func(ctx context.Context) error {
		clear(questions)
		var list v1alpha1.AgentPoolList
		if err := c.env.Client.List(ctx, &list, client.InNamespace(devenv.Namespace)); err != nil {
			return err
		}
		var errs []error
		for i := range list.Items {
			p := &list.Items[i]
			if users := conditions.Find(p.Status.Conditions, v1alpha1.ConditionMembersResolved); users != nil && users.Reason == v1alpha1.ReasonMemberChanged {
				questions[p.Name] = users.Message
				continue
			}
			found := conditions.Find(p.Status.Conditions, v1alpha1.ConditionGroupsResolved)
			switch {
			case p.Name == v1alpha1.DefaultName || !slices.Contains(poolNames, p.Name):
			case found == nil || found.ObservedGeneration != p.Generation:
				errs = append(errs, fmt.Errorf("%s has %+v", p.Name, p.Status.Conditions))
			case found.Reason == v1alpha1.ReasonGroupChanged:
				questions[p.Name] = found.Message
			case found.Status != "True":
				errs = append(errs, fmt.Errorf("%s: %s: %s", p.Name, found.Reason, found.Message))
			}
		}
		return errors.Join(errs...)
	})
	for name, message := range questions {
		line := remedy(message)
		if name == "renamed" { // another group has the name now
			c.line = "id: " + c.groups["old"]
			c.apply()
			continue
		}
		if name == "heads" { // another user has the name now
			c.head = user(renamedUser)
			c.apply()
			continue
		}
		if line == "" {
			c.t.Fatalf("%s: the message has no command: %s", name, message)
		}
		if out, err := c.shell(line); err != nil {
			c.t.Fatalf("%s: the command in %q fails: %s", name, message, out)
		}
	}
	return len(questions) > 0
}

var commandLine = regexp.MustCompile(`kubectl [^\n]*`)

// remedy returns the command at the end of a condition's message.
func remedy(message string) string { return strings.TrimSpace(commandLine.FindString(message)) }

// done waits until each object reports its desired state, or the reason why not, for
// objects with a decision.
func (c *company) done() {
	c.t.Helper()
	expected := map[string]string{}
	for i := range people {
		expected[c.ids[user(i)]] = v1alpha1.ReasonReady
	}
	for reason, users := range map[string][]int{
		v1alpha1.ReasonGuardHeld:          append([]int{heldDeletion}, heldUsers...),
		v1alpha1.ReasonRemovalDropped:     droppedUsers,
		v1alpha1.ReasonSuspendedByUser:    suspendedUsers,
		v1alpha1.ReasonDeactivatedLocally: locallyOff,
	} {
		for _, i := range users {
			expected[c.ids[user(i)]] = reason
		}
	}
	delete(expected, c.ids[user(deletedUser)])
	expected[c.ids[takesOldUserName]] = v1alpha1.ReasonReady
	for _, name := range poolNames {
		expected[name] = v1alpha1.ReasonReady
	}
	expected["finance"], expected["leads"], expected["platform"] = v1alpha1.ReasonGuardHeld, v1alpha1.ReasonGuardHeld, v1alpha1.ReasonRemovalDropped
	for _, group := range []string{"Own", "old again"} { // their own pools
		expected[c.groups[group]] = v1alpha1.ReasonReady
	}
	eventually(c.t, "every object is done", func(ctx context.Context) error {
		have, err := c.reasons(ctx)
		if err != nil {
			return err
		}
		var errs []error
		for name, reason := range expected {
			if got := have[name]; !strings.HasPrefix(got, reason+": ") {
				errs = append(errs, fmt.Errorf("%s must say %s, says %q", name, reason, got))
			}
		}
		return errors.Join(errs...)
	})
}

// reasons returns the reason and message of Ready of each user and pool, once it is about the
// newest generation.
func (c *company) reasons(ctx context.Context) (map[string]string, error) {
	var users v1alpha1.ScimUserList
	var pools v1alpha1.AgentPoolList
	err := errors.Join(c.env.Client.List(ctx, &users, client.InNamespace(devenv.Namespace)), c.env.Client.List(ctx, &pools, client.InNamespace(devenv.Namespace)))
	out := map[string]string{}
	for i := range users.Items {
		u := &users.Items[i]
		if ready := conditions.Find(u.Status.Conditions, v1alpha1.ConditionReady); ready != nil && ready.ObservedGeneration == u.Generation {
			out[u.Name] = ready.Reason + ": " + ready.Message
		} else {
			out[u.Name] = fmt.Sprintf("%s, deleted: %v, with no condition of its newest generation", u.Spec.UserName, u.Spec.Deleted)
		}
	}
	for i := range pools.Items {
		p := &pools.Items[i]
		if ready := conditions.Find(p.Status.Conditions, v1alpha1.ConditionReady); ready != nil && ready.ObservedGeneration == p.Generation {
			out[p.Name] = ready.Reason + ": " + ready.Message
		}
	}
	return out, err
}
