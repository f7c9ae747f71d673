// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	portalv1 "lightrun.com/scim-operator/api/portal/v1"
	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/test/framework/devenv"
	"lightrun.com/scim-operator/test/framework/idp"
)

// world is the view of one story on an environment, with its own names.
type world struct {
	t   *testing.T
	env *devenv.Environment
	tag string
	// token is what the played identity provider sends.
	token string
	// request is the id of the provider's requests; if empty, the webhook chooses one.
	request string
	http    *http.Client
}

func newWorld(t *testing.T, env *devenv.Environment) *world {
	return &world{t: t, env: env, tag: strings.ToLower(rand.Text()[:6]), token: env.Values.SCIMToken, http: &http.Client{Timeout: 30 * time.Second}}
}

// name returns a user name of this story only.
func (w *world) name(who string) string { return who + "." + w.tag + "@example.test" }

// scim sends one request as an identity provider does; an error means that there was no answer.
func (w *world) scim(ctx context.Context, method, path string, body any) (idp.Answer, error) {
	p := idp.Provider{URL: w.env.Values.SCIMURL, Token: w.token, HTTP: w.http}
	return p.Send(ctx, method, path, body, "X-Request-Id", w.request)
}

// must sends a request and fails unless the answer has one of the statuses.
func (w *world) must(method, path string, body any, statuses ...int) idp.Answer {
	w.t.Helper()
	a, err := w.scim(w.t.Context(), method, path, body)
	if err != nil {
		w.t.Fatalf("%s %s: %v", method, path, err)
	}
	if !slices.Contains(statuses, a.Status) {
		w.t.Fatalf("%s %s answered %d %v, must be %v", method, path, a.Status, a.Body, statuses)
	}
	return a
}

// arrive pushes a user and returns the SCIM id.
func (w *world) arrive(userName string) string {
	w.t.Helper()
	return w.must("POST", "/Users", idp.User(userName), http.StatusCreated).ID()
}

// search returns the resources that a filter finds.
func (w *world) search(kind, filter string) []any {
	w.t.Helper()
	return w.must("GET", idp.Search(kind, filter), nil, http.StatusOK).Resources()
}

// accounts returns the portal's accounts under a user name.
func (w *world) accounts(ctx context.Context, userName string) ([]portalv1.User, error) {
	answer, err := w.env.API.ListUsersWithResponse(ctx, &portalv1.ListUsersParams{UserName: &userName})
	if err != nil {
		return nil, err
	}
	if answer.JSON200 == nil {
		return nil, fmt.Errorf("the portal responded with %s: %s", answer.Status(), answer.Body)
	}
	return answer.JSON200.Items, nil
}

// becomes waits until the portal has exactly one account with the name and check accepts it.
func (w *world) becomes(userName, what string, check func(portalv1.User) bool) portalv1.User {
	w.t.Helper()
	var found portalv1.User
	eventually(w.t, userName+" "+what, func(ctx context.Context) error {
		users, err := w.accounts(ctx, userName)
		if err != nil {
			return err
		}
		if len(users) != 1 {
			return fmt.Errorf("the portal has %d accounts of that name; %s", len(users), w.status(ctx, userName))
		}
		if found = users[0]; !check(found) {
			return fmt.Errorf("the account is %+v; %s", found, w.status(ctx, userName))
		}
		return nil
	})
	return found
}

func active(u portalv1.User) bool {
	return u.Status == "Active" && u.ManagedBy == "SCIM" && u.ReadOnly
}

func deactivated(u portalv1.User) bool { return u.Status == "Deactivated" }

// holding checks that the account is active and has exactly these roles.
func holding(roles ...string) func(portalv1.User) bool {
	return func(u portalv1.User) bool {
		have := slices.Sorted(slices.Values(u.Roles))
		return active(u) && slices.Equal(have, slices.Sorted(slices.Values(roles)))
	}
}

// status describes a user in Kubernetes, for messages.
func (w *world) status(ctx context.Context, userName string) string {
	found, err := w.users(ctx, userName)
	if err != nil {
		return err.Error()
	}
	var b strings.Builder
	for _, u := range found {
		fmt.Fprintf(&b, "ScimUser %s:", u.Name)
		for _, c := range u.Status.Conditions {
			fmt.Fprintf(&b, " %s=%s(%s: %s)", c.Type, c.Status, c.Reason, c.Message)
		}
	}
	if b.Len() == 0 {
		return "there is no ScimUser with this name"
	}
	return b.String()
}

// users returns the ScimUsers under a user name.
func (w *world) users(ctx context.Context, userName string) ([]v1alpha1.ScimUser, error) {
	var list v1alpha1.ScimUserList
	err := w.env.Client.List(ctx, &list, client.InNamespace(devenv.Namespace), client.MatchingFields{"spec.userName": userName})
	return list.Items, err
}

// condition waits until the user's condition has the status and reason ("" for any).
func (w *world) condition(id, kind string, status metav1.ConditionStatus, reason string) {
	w.t.Helper()
	eventually(w.t, fmt.Sprintf("%s=%s %s", kind, status, reason), func(ctx context.Context) error {
		var u v1alpha1.ScimUser
		if err := w.env.Client.Get(ctx, client.ObjectKey{Namespace: devenv.Namespace, Name: id}, &u); err != nil {
			return err
		}
		c := meta.FindStatusCondition(u.Status.Conditions, kind)
		if c == nil || c.Status != status || (reason != "" && c.Reason != reason) {
			return fmt.Errorf("conditions are %+v", u.Status.Conditions)
		}
		return nil
	})
}

// loginMethods changes and saves the portal's page Login methods.
func (w *world) loginMethods(edit func(*portalv1.LoginMethods)) {
	w.t.Helper()
	ctx := context.WithoutCancel(w.t.Context()) // also during the cleanup
	got, err := w.env.API.GetIdentityConfigurationWithResponse(ctx)
	if err != nil || got.JSON200 == nil {
		w.t.Fatalf("read the login methods: %v %s", err, got.Body)
	}
	methods := got.JSON200.LoginMethods
	edit(&methods)
	match := fmt.Sprintf("%q", fmt.Sprint(got.JSON200.Revision))
	put, err := w.env.API.PutIdentityConfigurationWithResponse(ctx, &portalv1.PutIdentityConfigurationParams{IfMatch: &match},
		portalv1.IdentityConfigurationPut{LoginMethods: methods})
	if err != nil || put.JSON200 == nil {
		w.t.Fatalf("save the login methods: %v %s", err, put.Body)
	}
}

// group creates a group with members and returns its SCIM id.
func (w *world) group(name string, members ...string) string {
	w.t.Helper()
	return w.must("POST", "/Groups", idp.Group(name, members...), http.StatusCreated).ID()
}
