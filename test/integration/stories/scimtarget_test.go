// SPDX-License-Identifier: Apache-2.0

package stories_test

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/kernel/conditions"
	"lightrun.com/scim-operator/internal/operator/portalclient/connect"
	"lightrun.com/scim-operator/internal/operator/preview"
	"lightrun.com/scim-operator/internal/scim"
	"lightrun.com/scim-operator/test/framework/scimtargets"
)

// into makes a company whose portal is a SCIM target.
func into(url, token string) option {
	return func(w *world, c *v1alpha1.IdentityConfiguration, _ *loginMethods) {
		w.token, w.relist = token, relistSoon
		c.Spec.Portal.Driver, c.Spec.Portal.URL = v1alpha1.PortalDriverSCIM, url
		c.Spec.LoginMethods = &v1alpha1.LoginMethods{
			SSO:  &v1alpha1.SSO{Enabled: true, Type: v1alpha1.SSOTypeOIDC, Issuer: "https://idp.example.test", ClientID: "app"},
			SCIM: &v1alpha1.SCIM{Enabled: true},
		}
	}
}

// settled waits until the users are Ready.
func (w *world) settled(users ...*v1alpha1.ScimUser) {
	w.t.Helper()
	for _, u := range users {
		w.says(u, v1alpha1.ConditionReady, v1alpha1.ReasonReady)
	}
}

// TestSCIMChain is a chain of two: a provider pushes into one company, whose operator pushes into
// the webhook of a second one, whose operator provisions a portal.
func TestSCIMChain(t *testing.T) {
	second := newWorld(t, wideGuard)
	second.pool("fast", v1alpha1.AgentPoolSpec{Roles: []v1alpha1.Role{quota}, Groups: names("Fast")})
	first := build(t, wideGuard, into(second.provider.URL, second.provider.Token))
	first.pool("fast", v1alpha1.AgentPoolSpec{DisplayName: "Fast", Groups: names("fast")})

	var all []*v1alpha1.ScimUser
	for i := range 8 {
		all = append(all, first.push(fmt.Sprintf("p%d@example.test", i), func(s *v1alpha1.ScimUserSpec) { s.Title = "Engineer" }))
	}
	fast := first.group("fast", all[:5]...)
	first.settled(all...)
	second.reaches("p0@example.test", "Active", user, quota)
	second.reaches("p7@example.test", "Active", user)

	t.Log("a rename, a move, a deactivation and a deletion")
	first.rename(all[0], "renamed@example.test")
	first.leave(fast, all[1])
	first.change(all[2], inactive)
	first.remove(all[3])
	second.reaches("renamed@example.test", "Active", user, quota)
	second.reaches("p1@example.test", "Active", user)
	second.reaches("p2@example.test", "Deactivated")
	second.reaches("p3@example.test", "Deactivated") // onDelete is Deactivate: the second provider sees an inactive user

	var users v1alpha1.ScimUserList
	second.must(second.client.List(t.Context(), &users, client.InNamespace(second.namespace)))
	var got []string
	for _, u := range users.Items {
		if u.Spec.Title != "Engineer" {
			t.Errorf("the title of %s did not pass the chain", u.Spec.UserName)
		}
		got = append(got, u.Spec.UserName)
	}
	slices.Sort(got)
	want := []string{"p1@example.test", "p2@example.test", "p3@example.test", "p4@example.test", "p5@example.test", "p6@example.test", "p7@example.test", "renamed@example.test"}
	if !slices.Equal(got, want) {
		t.Errorf("the second company has %q, want each user once: %q", got, want)
	}
}

// reaches waits until the portal has the account with that status and, if it is active, these
// roles.
func (w *world) reaches(userName, status string, roles ...string) {
	w.t.Helper()
	slices.Sort(roles)
	w.eventually(userName+" is "+status, func() error {
		a := w.account(userName)
		if a == nil || string(a.Status) != status || len(roles) > 0 && !slices.Equal(a.Roles, roles) {
			return fmt.Errorf("%+v", a)
		}
		return nil
	})
}

// TestSCIMTargetInTheDesiredState counts what a target receives: one request for an arrival, and
// nothing but pages afterwards, also after a restart of the manager.
func TestSCIMTargetInTheDesiredState(t *testing.T) {
	target := scimtargets.Gateway(t)
	w := newWorld(t, wideGuard, into(target.URL, scimtargets.Token), func(w *world, _ *v1alpha1.IdentityConfiguration, _ *loginMethods) { w.relist = time.Hour })
	first := w.push("first@example.test")
	w.settled(first)
	target.Forget()
	w.settled(w.push("second@example.test"))
	if got := target.Calls(); !slices.Equal(got, []string{"POST /Users"}) {
		t.Errorf("an arrival sends %q", got)
	}
	w.stop()
	target.Forget()
	w.startManager()
	third := w.push("third@example.test")
	w.settled(third)
	for _, call := range target.Calls() {
		if !strings.HasPrefix(call, "GET ") && call != "POST /Users" {
			t.Errorf("after a restart the target receives %q", call)
		}
	}
	if n := len(target.All("/Users")); n != 3 {
		t.Errorf("the target has %d users", n)
	}
}

// TestSCIMTargetDrift edits the target behind the operator's back, with a rate limit in between.
func TestSCIMTargetDrift(t *testing.T) {
	target := scimtargets.Gateway(t)
	w := newWorld(t, wideGuard, into(target.URL, scimtargets.Token))
	w.pool("fast", v1alpha1.AgentPoolSpec{Roles: []v1alpha1.Role{quota}})
	ada, bob := w.push("ada@example.test", in("fast")), w.push("bob@example.test")
	w.settled(ada, bob)
	id := ada.Status.Account
	limited := 0
	target.Before(func(rw http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodPatch || limited >= 2 {
			return false
		}
		limited++
		rw.Header().Set("Content-Type", "application/scim+json")
		rw.Header().Set("Retry-After", "1")
		rw.WriteHeader(http.StatusTooManyRequests)
		_, _ = rw.Write([]byte(`{"status":"429"}`))
		return true
	})
	target.Do("PATCH", "/Users/"+id, scim.Object{"schemas": []any{scim.SchemaPatchOp}, "Operations": []any{
		scim.Object{"op": "replace", "path": "active", "value": false},
		scim.Object{"op": "replace", "path": "roles", "value": []any{scim.Object{"value": "ROLE_MANAGER"}}},
	}})
	w.eventually("the target is in the desired state again", func() error {
		o := target.Do("GET", "/Users/"+id, nil)
		list, _ := o["roles"].([]any)
		if o["active"] != true || len(list) != 2 || strings.Contains(fmt.Sprint(list), "MANAGER") {
			return fmt.Errorf("%v", o)
		}
		return nil
	})
	if limited != 2 {
		t.Errorf("the rate limit was met %d times", limited)
	}
}

// TestSCIMTargetReset resets the target: nothing is created there until a person accepts the loss.
func TestSCIMTargetReset(t *testing.T) {
	target := scimtargets.Gateway(t)
	w := newWorld(t, wideGuard, into(target.URL, scimtargets.Token))
	var all []*v1alpha1.ScimUser
	for i := range 4 {
		all = append(all, w.push(fmt.Sprintf("p%d@example.test", i)))
	}
	w.settled(all...)
	target.Reset()
	config := w.identity()
	w.says(config, v1alpha1.ConditionBound, v1alpha1.ReasonTargetChanged)
	late := w.push("late@example.test")
	w.says(late, v1alpha1.ConditionReady, v1alpha1.ReasonConfigurationNotOK)
	if n := len(target.All("/Users")); n != 0 {
		t.Errorf("the target was filled again without consent: %d users", n)
	}
	message := conditions.Find(config.Status.Conditions, v1alpha1.ConditionBound).Message
	_, id, found := strings.Cut(message, "--loss ")
	if !found {
		t.Fatalf("no command in %q", message)
	}
	before := config.DeepCopy()
	config.Annotations = map[string]string{v1alpha1.AnnotationAcceptLoss: strings.Fields(id)[0]}
	w.must(w.client.Patch(t.Context(), config, client.MergeFrom(before)))
	w.eventually("the target is filled again", func() error {
		if n := len(target.All("/Users")); n != 5 {
			return fmt.Errorf("it has %d users", n)
		}
		return nil
	})
	w.settled(append(all, late)...)
}

// TestSCIMTargetToken rotates the token without a restart.
func TestSCIMTargetToken(t *testing.T) {
	target := scimtargets.Gateway(t)
	w := newWorld(t, wideGuard, into(target.URL, "wrong"))
	w.says(w.identity(), v1alpha1.ConditionPortalReachable, v1alpha1.ReasonCredentialsRejected)
	var secret corev1.Secret
	w.must(w.client.Get(t.Context(), client.ObjectKey{Namespace: w.namespace, Name: "portal"}, &secret))
	secret.Data["token"] = []byte(scimtargets.Token)
	w.must(w.client.Update(t.Context(), &secret))
	w.settled(w.push("ada@example.test"))
}

// TestSCIMTargetLimits runs with a target that has no groups: one condition says what follows, and
// every user is Ready.
func TestSCIMTargetLimits(t *testing.T) {
	target := scimtargets.Gateway(t)
	target.Before(func(rw http.ResponseWriter, r *http.Request) bool {
		if !strings.HasSuffix(r.URL.Path, "/Schemas") {
			return false
		}
		rw.Header().Set("Content-Type", "application/scim+json")
		_, _ = fmt.Fprintf(rw, `{"totalResults":1,"Resources":[{"id":%q,"attributes":[{"name":"userName"},{"name":"active"},{"name":"displayName"},{"name":"emails","subAttributes":[{"name":"value"}]}]}]}`, scim.SchemaUser)
		return true
	})
	w := newWorld(t, wideGuard, into(target.URL, scimtargets.Token))
	w.pool("fast", v1alpha1.AgentPoolSpec{Roles: []v1alpha1.Role{quota}})
	ada := w.push("ada@example.test", in("fast"), func(s *v1alpha1.ScimUserSpec) { s.Title = "Engineer" })
	w.settled(ada)
	config := w.identity()
	w.eventually("the condition Degraded", func() error {
		w.must(w.client.Get(t.Context(), client.ObjectKeyFromObject(config), config))
		c := conditions.Find(config.Status.Conditions, v1alpha1.ConditionDegraded)
		if c == nil || !strings.Contains(c.Message, "no Groups") || !strings.Contains(c.Message, "no attribute roles") {
			return errors.New(describe(config.Status.Conditions))
		}
		return nil
	})
	for id, o := range target.All("/Users") {
		if o["title"] != nil || o["roles"] != nil {
			t.Errorf("the target was sent what it does not take: %s %v", id, o)
		}
	}
	if n := len(target.All("/Groups")); n != 0 {
		t.Errorf("the target was sent %d groups", n)
	}
}

// TestSCIMTargetPlan computes the plan as kubectl scim does, by a client that only reads.
func TestSCIMTargetPlan(t *testing.T) {
	target := scimtargets.Gateway(t)
	w := newWorld(t, wideGuard, into(target.URL, scimtargets.Token), withConfig(func(s *v1alpha1.IdentityConfigurationSpec) { s.ManagementPolicy = v1alpha1.PolicyReportOnly }))
	ada := w.push("ada@example.test")
	w.says(ada, v1alpha1.ConditionReady, v1alpha1.ReasonReportOnly)
	config := w.identity()
	w.must(w.client.Get(t.Context(), client.ObjectKeyFromObject(config), config))
	p, err := connect.Client(config.Spec.Portal, scimtargets.Token, connect.Options{Namespace: w.namespace, Cached: w.client, Live: w.client, Writer: w.client})
	w.must(err)
	report, err := preview.Compute(t.Context(), preview.Options{Objects: w.client, Portal: p, Namespace: w.namespace})
	w.must(err)
	if !strings.Contains(fmt.Sprintf("%+v", *report), "ada@example.test") {
		t.Errorf("the plan: %+v", *report)
	}
	for _, call := range target.Calls() {
		if !strings.HasPrefix(call, "GET ") {
			t.Errorf("under ReportOnly the target receives %q", call)
		}
	}
}
