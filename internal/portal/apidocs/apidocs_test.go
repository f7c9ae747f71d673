// SPDX-License-Identifier: Apache-2.0

package apidocs_test

import (
	"encoding/json"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	portalv1 "lightrun.com/scim-operator/api/portal/v1"
	"lightrun.com/scim-operator/internal/portal/apidocs"
	"lightrun.com/scim-operator/test/framework/portaltest"
)

// TestExamples compares each example of the document with its schema: those of schemas, and those
// that the page shows as a body and as a response.
func TestExamples(t *testing.T) {
	doc, err := openapi3.NewLoader().LoadFromData(portalv1.Document)
	if err != nil {
		t.Fatal(err)
	}
	checked := 0
	check := func(where string, ref *openapi3.SchemaRef) {
		t.Helper()
		text, err := apidocs.Example(ref)
		if err != nil {
			t.Errorf("%s: %v", where, err)
			return
		}
		var value any
		if err := json.Unmarshal([]byte(text), &value); err != nil {
			t.Fatalf("%s: %v in %s", where, err, text)
		}
		if err := ref.Value.VisitJSON(value, openapi3.MultiErrors()); err != nil {
			t.Errorf("%s: the example %s is invalid: %v", where, text, err)
		}
		object, _ := ref.Value.Example.(map[string]any)
		for name := range object {
			if ref.Value.Properties[name] == nil {
				t.Errorf("%s: the example has the property %s, which the schema does not have", where, name)
			}
		}
		checked++
	}
	for name, ref := range doc.Components.Schemas {
		if ref.Value.Example != nil {
			check(name, ref)
		}
	}
	for path, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			if op.RequestBody != nil {
				check(method+" "+path+": the body", op.RequestBody.Value.Content.Get("application/json").Schema)
			}
			for status, response := range op.Responses.Map() {
				if content := response.Value.Content.Get("application/json"); content != nil {
					check(method+" "+path+": the response "+status, content.Schema)
				}
			}
		}
	}
	if checked < 100 {
		t.Errorf("checked %d examples, want at least 100", checked)
	}
}

func TestRead(t *testing.T) {
	docs, err := apidocs.Read()
	if err != nil {
		t.Fatal(err)
	}
	var patch apidocs.Operation
	operations := 0
	for _, g := range docs.Groups {
		for _, o := range g.Operations {
			operations++
			if o.Summary == "" || len(o.Scopes) == 0 || o.Status == "" {
				t.Errorf("%s has no summary, scopes or status of success: %+v", o.ID, o)
			}
			if o.ID == "updateUser" {
				patch = o
			}
		}
	}
	if operations < 30 {
		t.Errorf("%d operations, want at least 30", operations)
	}
	if first, last := docs.Groups[0].Title, docs.Groups[len(docs.Groups)-1].Title; first != "Agent" || last != "Provisioning" {
		t.Errorf("the groups are from %q to %q, want the operator's last", first, last)
	}
	want := "curl --fail-with-body -X PATCH -H \"Authorization: Bearer $KEY\" -H 'Content-Type: application/json' \\\n" +
		"  \"$PORTAL_URL/api/v1/users/$ID\" -d @- <<'END'\n{\n  \"displayName\": \"Ada King\",\n  \"status\": \"Deactivated\"\n}\nEND"
	if patch.Curl != want {
		t.Errorf("the command is\n%s\nwant\n%s", patch.Curl, want)
	}
	if patch.BodyObject != "UserPatch" || patch.ResponseObject != "User" || !strings.HasPrefix(patch.Response, "{\n  \"id\": ") {
		t.Errorf("body %s, response %s: %s", patch.BodyObject, patch.ResponseObject, patch.Response)
	}
}

// TestRequestsAreUnderstood sends each request of the page to a portal. The portal may refuse it,
// for example because there is no such user, but not because it is malformed.
func TestRequestsAreUnderstood(t *testing.T) {
	docs, err := apidocs.Read()
	if err != nil {
		t.Fatal(err)
	}
	url := portaltest.Serve(t, portaltest.Store(t, portaltest.Options{}))
	values := map[string]string{"$WINDOW_SECONDS": "3600"}
	for _, g := range docs.Groups {
		for _, o := range g.Operations {
			target := regexp.MustCompile(`"\$PORTAL_URL([^"]*)"`).FindStringSubmatch(o.Curl)[1]
			target = regexp.MustCompile(`\$[A-Z_]+`).ReplaceAllStringFunc(target, func(name string) string {
				if values[name] != "" {
					return values[name]
				}
				return "7c0e1a34-6b1f-4a5c-9a2e-3f6d8b1c2d4e"
			})
			r, err := http.NewRequestWithContext(t.Context(), o.Method, url+target, strings.NewReader(o.Body))
			if err != nil {
				t.Fatal(err)
			}
			key := portaltest.ManageKey
			if !slices.Contains(o.Scopes, "manage") {
				key = portaltest.ProvisioningKey
			}
			r.Header.Set("Authorization", "Bearer "+key)
			if o.Body != "" {
				r.Header.Set("Content-Type", "application/json")
			}
			response, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			text, err := io.ReadAll(response.Body)
			_ = response.Body.Close()
			if err != nil {
				t.Fatal(err)
			}
			understood := response.StatusCode < 300 || slices.Contains([]int{http.StatusNotFound, http.StatusConflict, http.StatusPreconditionFailed}, response.StatusCode) ||
				response.StatusCode == http.StatusBadRequest && strings.Contains(string(text), `"code":"UNKNOWN_POOL"`) ||
				response.StatusCode == http.StatusForbidden && o.ID == "getAgentPool" // the test has no agent's key
			if !understood {
				t.Errorf("%s: %s %s is refused with %d %s", o.ID, o.Method, target, response.StatusCode, text)
			}
		}
	}
}
