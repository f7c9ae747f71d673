// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
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
)

// world is one story's view of an environment, with its own names.
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

// name is a user name of this story only.
func (w *world) name(who string) string { return who + "." + w.tag + "@example.test" }

// answer is the webhook's answer.
type answer struct {
	status int
	header http.Header
	body   map[string]any
}

func (a answer) id() string     { s, _ := a.body["id"].(string); return s }
func (a answer) detail() string { s, _ := a.body["detail"].(string); return s }

// scim sends one request as an identity provider does; an error means that there was no answer.
func (w *world) scim(ctx context.Context, method, path string, body any) (answer, error) {
	var content io.Reader = http.NoBody
	if body != nil {
		encoded, err := json.Marshal(body)
		if err != nil {
			return answer{}, err
		}
		content = bytes.NewReader(encoded)
	}
	request, err := http.NewRequestWithContext(ctx, method, w.env.Values.SCIMURL+path, content)
	if err != nil {
		return answer{}, err
	}
	request.Header.Set("Authorization", "Bearer "+w.token)
	request.Header.Set("Content-Type", "application/scim+json")
	if w.request != "" {
		request.Header.Set("X-Request-Id", w.request)
	}
	response, err := w.http.Do(request)
	if err != nil {
		return answer{}, err
	}
	defer response.Body.Close()
	a := answer{status: response.StatusCode, header: response.Header}
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return a, err
	}
	if len(text) > 0 {
		if err := json.Unmarshal(text, &a.body); err != nil {
			return a, fmt.Errorf("%s %s answered %d with what is no JSON: %.200s", method, path, a.status, text)
		}
	}
	return a, nil
}

// must sends a request and fails unless the answer has one of the statuses.
func (w *world) must(method, path string, body any, statuses ...int) answer {
	w.t.Helper()
	a, err := w.scim(w.t.Context(), method, path, body)
	if err != nil {
		w.t.Fatalf("%s %s: %v", method, path, err)
	}
	if !slices.Contains(statuses, a.status) {
		w.t.Fatalf("%s %s answered %d %v, must be %v", method, path, a.status, a.body, statuses)
	}
	return a
}

// person is a user as Okta pushes it.
func person(userName string) map[string]any {
	first, _, _ := strings.Cut(userName, ".")
	return map[string]any{
		"schemas": []string{"urn:ietf:params:scim:schemas:core:2.0:User"}, "userName": userName,
		"name": map[string]any{"givenName": strings.ToUpper(first[:1]) + first[1:], "familyName": "Example"}, "displayName": first,
		"emails": []any{map[string]any{"primary": true, "value": userName, "type": "work"}}, "active": true,
	}
}

// arrive pushes a user and returns the SCIM id.
func (w *world) arrive(userName string) string {
	w.t.Helper()
	return w.must("POST", "/Users", person(userName), http.StatusCreated).id()
}

func patch(operations ...map[string]any) map[string]any {
	return map[string]any{"schemas": []string{"urn:ietf:params:scim:api:messages:2.0:PatchOp"}, "Operations": operations}
}

func addMember(id string) map[string]any {
	return map[string]any{"op": "add", "path": "members", "value": []any{map[string]any{"value": id}}}
}

func removeMember(id string) map[string]any {
	return map[string]any{"op": "remove", "path": fmt.Sprintf("members[value eq %q]", id)}
}

func setActive(active bool) map[string]any {
	return map[string]any{"op": "replace", "value": map[string]any{"active": active}}
}

// search returns the resources that a filter finds.
func (w *world) search(kind, filter string) []any {
	w.t.Helper()
	a := w.must("GET", "/"+kind+"?filter="+url.QueryEscape(filter)+"&startIndex=1&count=100", nil, http.StatusOK)
	list, _ := a.body["Resources"].([]any)
	return list
}

// accounts returns the portal's accounts under a user name.
func (w *world) accounts(ctx context.Context, userName string) ([]portalv1.User, error) {
	answer, err := w.env.API.ListUsersWithResponse(ctx, &portalv1.ListUsersParams{UserName: &userName})
	if err != nil {
		return nil, err
	}
	if answer.JSON200 == nil {
		return nil, fmt.Errorf("the portal answered %s: %s", answer.Status(), answer.Body)
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

// group pushes a group with members and returns its SCIM id.
func (w *world) group(name string, members ...string) string {
	w.t.Helper()
	list := []any{}
	for _, id := range members {
		list = append(list, map[string]any{"value": id})
	}
	return w.must("POST", "/Groups", map[string]any{
		"schemas": []string{"urn:ietf:params:scim:schemas:core:2.0:Group"}, "displayName": name, "members": list,
	}, http.StatusCreated).id()
}
