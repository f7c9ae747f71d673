// SPDX-License-Identifier: Apache-2.0

package rest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"

	portalv1 "lightrun.com/scim-operator/api/portal/v1"
	"lightrun.com/scim-operator/internal/kernel/portalapi"
)

// operation is one call of the port, and the schema of its response ("" if it has none).
type operation struct {
	schema string
	call   func(context.Context, *Client) error
}

// operations returns all calls of the port, by the method's name.
func operations() map[string]operation {
	owner := portalapi.Owner{UID: "uid", Name: "id", Revision: 1}
	return map[string]operation{
		"PutAccount": {"User", func(ctx context.Context, c *Client) error {
			_, err := c.PutAccount(ctx, portalapi.AccountWrite{Owner: owner})
			return err
		}},
		"ReleaseAccount": {call: func(ctx context.Context, c *Client) error {
			return c.ReleaseAccount(ctx, owner, portalapi.ReleaseDelete)
		}},
		"MarkWaiting": {call: func(ctx context.Context, c *Client) error { return c.MarkWaiting(ctx, "id", owner) }},
		"MarkAccount": {call: func(ctx context.Context, c *Client) error { return c.MarkAccount(ctx, owner, nil) }},
		"PutPool": {"Pool", func(ctx context.Context, c *Client) error {
			_, err := c.PutPool(ctx, portalapi.PoolWrite{Owner: owner})
			return err
		}},
		"ReleasePool": {call: func(ctx context.Context, c *Client) error { return c.ReleasePool(ctx, "uid", true) }},
		"MarkPool": {call: func(ctx context.Context, c *Client) error {
			return c.MarkPool(ctx, owner, nil)
		}},
		"Accounts": {"UserPage", func(ctx context.Context, c *Client) error {
			_, _, err := c.Accounts(ctx, "", 100)
			return err
		}},
		"Pools": {"PoolList", func(ctx context.Context, c *Client) error { _, err := c.Pools(ctx); return err }},
		"Roles": {"RoleList", func(ctx context.Context, c *Client) error { _, err := c.Roles(ctx); return err }},
		"Position": {"ChangePage", func(ctx context.Context, c *Client) error {
			_, err := c.Position(ctx)
			return err
		}},
		"Changes": {"ChangePage", func(ctx context.Context, c *Client) error {
			_, _, err := c.Changes(ctx, portalapi.Position{Epoch: "e", Sequence: 1}, 0)
			return err
		}},
		"Configuration": {"IdentityConfiguration", func(ctx context.Context, c *Client) error {
			_, err := c.Configuration(ctx)
			return err
		}},
		"PutLoginMethods": {"IdentityConfiguration", func(ctx context.Context, c *Client) error {
			_, err := c.PutLoginMethods(ctx, portalapi.LoginMethods{}, "")
			return err
		}},
		"PutMemberships": {"MembershipResults", func(ctx context.Context, c *Client) error {
			_, err := c.PutMemberships(ctx, "uid", []portalapi.MembershipWrite{{AccountID: "id", Add: true}}, nil)
			return err
		}},
		"Bind": {"BindingID", func(ctx context.Context, c *Client) error {
			_, err := c.Bind(ctx, portalapi.Binding{})
			return err
		}},
		"PutMigrationPlan": {call: func(ctx context.Context, c *Client) error {
			return c.PutMigrationPlan(ctx, portalapi.MigrationPlan{ID: "plan"})
		}},
		"Unbind": {call: func(ctx context.Context, c *Client) error { return c.Unbind(ctx, "uid") }},
		"Released": {"ReleasedUserPage", func(ctx context.Context, c *Client) error {
			_, _, err := c.Released(ctx, "", 1)
			return err
		}},
		"ReleasedPools": {"ReleasedPoolPage", func(ctx context.Context, c *Client) error {
			_, _, err := c.ReleasedPools(ctx, "", 1)
			return err
		}},
		"SCIMKeys": {"KeyDigestList", func(ctx context.Context, c *Client) error { _, err := c.SCIMKeys(ctx); return err }},
		"AuditHead": {"AuditHead", func(ctx context.Context, c *Client) error {
			_, err := c.AuditHead(ctx, 7)
			return err
		}},
		"Removals": {"Removals", func(ctx context.Context, c *Client) error { _, err := c.Removals(ctx, time.Hour); return err }},
	}
}

func document(t *testing.T) *openapi3.T {
	t.Helper()
	doc, err := openapi3.NewLoader().LoadFromData(portalv1.Document)
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

func TestOperationsAreComplete(t *testing.T) {
	port, have := reflect.TypeFor[portalapi.Client](), operations()
	for i := range port.NumMethod() {
		if _, ok := have[port.Method(i).Name]; !ok {
			t.Errorf("operations lacks %s", port.Method(i).Name)
		}
	}
}

// answering returns a handler with a fixed response.
func answering(status int, contentType, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		if contentType != "" {
			w.Header().Set("Content-Type", contentType)
		}
		w.WriteHeader(status)
		if status != http.StatusNoContent {
			_, _ = w.Write([]byte(body))
		}
	}
}

func TestAnswersThatAreNotThePortals(t *testing.T) {
	const page = "<html>no such page</html>"
	hostile := map[string]struct {
		reason string
		answer http.HandlerFunc
	}{
		"NotFoundPage":     {"A proxy's 404 does not mean that the record is gone.", answering(404, "text/html", page)},
		"NotFoundText":     {"A 404 in plain text does not mean that the record is gone.", answering(404, "text/plain", "404 page not found")},
		"LoginPage":        {"A sign-in page with status 200 is no success.", answering(200, "text/html", page)},
		"Unauthorized":     {"A proxy's 401 says nothing about the API key.", answering(401, "text/html", page)},
		"Forbidden":        {"A firewall's 403 says nothing about the API key.", answering(403, "text/html", page)},
		"BadGateway":       {"A gateway's 502 says that the portal was not reached.", answering(502, "text/html", page)},
		"EmptyObject":      {"An object without the required fields is no record.", answering(200, "application/json", `{}`)},
		"EmptyObjectOther": {"An object without the required fields is no record, also with status 201.", answering(201, "application/json", `{}`)},
		"Null":             {"null is no record.", answering(200, "application/json", `null`)},
		"List":             {"A list is no object.", answering(200, "application/json", `[]`)},
		"EmptyBody":        {"An empty body is no record.", answering(200, "application/json", ``)},
		"WrongContentType": {"A body that is not declared as JSON is no response of the portal.", answering(200, "text/plain", `{"items":[]}`)},
		"Truncated":        {"A truncated response is invalid.", answering(200, "application/json", `{"items":[`)},
		"Trailing":         {"Data after the end of the document is invalid.", answering(200, "application/json", `{"items":[]}{"items":[]}`)},
		"NullItems":        {"null is no empty list.", answering(200, "application/json", `{"items":null}`)},
		"EmptyError":       {"An error without a code is no refusal.", answering(404, "application/json", `{}`)},
		"GatewayError":     {"An error of another API is no refusal.", answering(404, "application/json", `{"message":"no Route matched"}`)},
		"SpringError":      {"An error of a web framework is no refusal.", answering(404, "application/json", `{"status":404,"error":"Not Found","path":"/api/v1"}`)},
		"NumericCode":      {"A numeric code belongs to another API.", answering(404, "application/json", `{"code":404,"message":"x"}`)},
		"ForeignCode":      {"A code with another syntax belongs to another API.", answering(404, "application/json", `{"code":"ResourceNotFound","message":"x"}`)},
		"CodeOnly":         {"The contract's error has a message.", answering(404, "application/json", `{"code":"NOT_FOUND"}`)},
		"ProblemJSON":      {"RFC 9457 is not the contract.", answering(404, "application/problem+json", `{"code":"NOT_FOUND","message":"x"}`)},
		"Redirect": {"A redirect is not followed: the key would go with it.", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://elsewhere.example.test/", http.StatusFound)
		}},
		"ErrorInRedirect": {"The portal refuses with 4xx or 5xx, never with a redirect.", answering(307, "application/json", `{"code":"NOT_FOUND","message":"x"}`)},
	}
	for _, name := range slices.Sorted(maps.Keys(hostile)) {
		h := hostile[name]
		t.Run(name, func(t *testing.T) {
			c := client(t, Options{}, h.answer)
			for method, op := range operations() {
				err := op.call(t.Context(), c)
				if problem := notBad(err); problem != "" {
					t.Errorf("%s\n%s: %s", h.reason, method, problem)
				}
			}
		})
	}
	t.Run("NoContent", func(t *testing.T) {
		c := client(t, Options{}, answering(http.StatusNoContent, "", ""))
		for method, op := range operations() {
			err := op.call(t.Context(), c)
			if problem := notBad(err); op.schema != "" && problem != "" {
				t.Errorf("204 contains no record\n%s: %s", method, problem)
			} else if op.schema == "" && err != nil {
				t.Errorf("204 is the contract's response to %s: %v", method, err)
			}
		}
	})
	t.Run("Pause", func(t *testing.T) {
		c := client(t, Options{}, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "3")
			http.Error(w, page, http.StatusServiceUnavailable)
		})
		_, err := c.Pools(t.Context())
		if pause, failed := portalapi.Failure(err); !failed || pause != 3*time.Second {
			t.Errorf("the Retry-After of a proxy must be used: got the pause %v from the error %v", pause, err)
		}
	})
}

// notBad returns what is wrong with err; "" if it is a *portalapi.InvalidResponseError that counts
// as a failure, has no code and does not quote the response.
func notBad(err error) string {
	var bad *portalapi.InvalidResponseError
	if _, failed := portalapi.Failure(err); !failed || !errors.As(err, &bad) || portalapi.CodeOf(err) != "" {
		return fmt.Sprintf("got %v", err)
	}
	if strings.Contains(err.Error(), "no such page") {
		return "the error quotes the response: " + err.Error()
	}
	return ""
}

// TestRequiredFields takes a complete response, and removes each field that the OpenAPI document
// requires, or sets it to null. It does not descend into properties that are declared with allOf.
func TestRequiredFields(t *testing.T) {
	doc := document(t)
	for method, op := range operations() {
		if op.schema == "" {
			continue
		}
		t.Run(method, func(t *testing.T) {
			schema := doc.Components.Schemas[op.schema].Value
			whole := sample(schema)
			try := func() error {
				body, err := json.Marshal(whole)
				if err != nil {
					t.Fatal(err)
				}
				return op.call(t.Context(), client(t, Options{}, answering(200, "application/json", string(body))))
			}
			if err := try(); err != nil {
				t.Fatalf("the complete response is refused: %v", err)
			}
			removed := 0
			without(schema, whole, op.schema, func(path string) {
				removed++
				if problem := notBad(try()); problem != "" {
					t.Errorf("without %s: %s", path, problem)
				}
			})
			if removed == 0 {
				t.Error("the schema has no required field, so nothing was tested")
			}
		})
	}
}

// sample returns a response with every field of the schema.
func sample(s *openapi3.Schema) any {
	switch {
	case len(s.AllOf) > 0:
		return sample(s.AllOf[0].Value)
	case len(s.Enum) > 0:
		return s.Enum[0]
	case s.Type.Is("object"):
		out := map[string]any{}
		for name, p := range s.Properties {
			out[name] = sample(p.Value)
		}
		return out
	case s.Type.Is("array"):
		return []any{sample(s.Items.Value)}
	case s.Type.Is("integer"):
		return 1
	case s.Type.Is("boolean"):
		return false
	case s.Format == "date-time":
		return "2027-01-31T00:00:00Z"
	}
	return ""
}

// without calls try for each required field, once without the field and once with null, and then
// restores the field.
func without(s *openapi3.Schema, value any, path string, try func(path string)) {
	switch v := value.(type) {
	case map[string]any:
		for name, p := range s.Properties {
			was := v[name]
			if slices.Contains(s.Required, name) {
				delete(v, name)
				try(path + "." + name)
				v[name] = nil
				try(path + "." + name + " (null)")
				v[name] = was
			}
			without(p.Value, was, path+"."+name, try)
		}
	case []any:
		without(s.Items.Value, v[0], path+"[0]", try)
	}
}

func TestChangeWithoutRecord(t *testing.T) {
	for _, kind := range []portalapi.ChangeKind{portalapi.ChangeAccount, portalapi.ChangePool, portalapi.ChangeConfiguration} {
		page := func(gone bool) string {
			return fmt.Sprintf(`{"epoch":"e","position":2,"items":[{"sequence":2,"kind":%q,"id":"x","gone":%v}]}`, kind, gone)
		}
		read := func(body string) error {
			_, _, err := client(t, Options{}, answering(200, "application/json", body)).Changes(t.Context(), portalapi.Position{Epoch: "e", Sequence: 1}, 0)
			return err
		}
		if problem := notBad(read(page(false))); problem != "" {
			t.Errorf("a change of kind %s that has no record and is not gone must be refused: %s", kind, problem)
		}
		if err := read(page(true)); err != nil {
			t.Errorf("a change of kind %s that says gone needs no record, but was refused: %v", kind, err)
		}
	}
}
