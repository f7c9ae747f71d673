// SPDX-License-Identifier: Apache-2.0

package rest

import (
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"time"

	portalv1 "lightrun.com/scim-operator/api/portal/v1"
	"lightrun.com/scim-operator/internal/kernel/portalapi"
)

// parse decodes a response into out. out is nil if the contract has 204, without a body. All
// responses are parsed here: a response is the portal's only if it has the status, the media type
// and the required fields of the contract. A refusal by the portal is a *portalapi.Error.
func parse(response *http.Response, body []byte, out any) error {
	bad := func(format string, args ...any) error {
		return &portalapi.InvalidResponseError{Status: response.StatusCode, Problem: fmt.Sprintf(format, args...), RetryAfter: retryAfter(response.Header)}
	}
	want := http.StatusOK
	if out == nil {
		want = http.StatusNoContent
	}
	refused := response.StatusCode >= 400
	switch {
	case !refused && response.StatusCode != want:
		return bad("the contract requires status %d", want)
	case response.StatusCode == http.StatusNoContent:
		return nil
	}
	if media, _, _ := mime.ParseMediaType(response.Header.Get("Content-Type")); media != "application/json" {
		return bad("it is not application/json")
	}
	if refused {
		out = new(portalv1.Error)
	}
	if problem := read(body, out); problem != "" {
		return bad("%s", problem)
	}
	if !refused {
		return nil
	}
	e := out.(*portalv1.Error)
	if !code.MatchString(e.Code) {
		return bad("it has no valid error code")
	}
	return &portalapi.Error{Status: response.StatusCode, Code: portalapi.Code(e.Code), Message: e.Message, RetryAfter: retryAfter(response.Header)}
}

// code is the syntax of all codes of the portal, also of future ones.
var code = regexp.MustCompile(`^[A-Z][A-Z0-9]*(_[A-Z0-9]+)*$`)

// read decodes a JSON document with all required fields into out, or returns what is wrong with it.
func read(body []byte, out any) (problem string) {
	var raw any
	if json.Unmarshal(body, &raw) != nil {
		return "it is not JSON"
	}
	if field := missing(raw, reflect.TypeOf(out)); field != "" {
		return "it has no " + field
	}
	if err := json.Unmarshal(body, out); err != nil {
		return "the types of its fields are not the contract's"
	}
	if page, ok := out.(*portalv1.ChangePage); ok {
		return incomplete(page)
	}
	return ""
}

// incomplete finds a change without its record, which the contract allows only for a record that no
// longer exists.
func incomplete(page *portalv1.ChangePage) (problem string) {
	for i := range page.Items {
		c := &page.Items[i]
		switch {
		case c.Gone:
		case c.Kind == portalv1.ChangeKindUser && c.User == nil,
			c.Kind == portalv1.ChangeKindPool && c.Pool == nil,
			c.Kind == portalv1.ChangeKindIdentityConfiguration && c.Configuration == nil:
			return fmt.Sprintf("it lacks the record of change %d", c.Sequence)
		}
	}
	return ""
}

// missing returns the path of the first field that the contract requires and raw lacks; "" if raw
// is complete. The generated types show which fields are required: oapi-codegen gives all other
// fields omitempty, and TestRequiredFields compares them with the OpenAPI document.
func missing(raw any, t reflect.Type) string {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch {
	case t == reflect.TypeFor[time.Time]():
	case t.Kind() == reflect.Slice:
		items, _ := raw.([]any) // another type fails to decode
		for i, item := range items {
			if field := missing(item, t.Elem()); field != "" {
				return strconv.Itoa(i) + "." + field
			}
		}
	case t.Kind() == reflect.Struct:
		fields, ok := raw.(map[string]any)
		if !ok {
			return "object"
		}
		return missingIn(fields, t)
	}
	return ""
}

func missingIn(fields map[string]any, t reflect.Type) string {
	for i := range t.NumField() {
		name, required := wireField(t.Field(i))
		value := fields[name]
		if value == nil { // absent or null
			if required {
				return name
			}
			continue
		}
		if field := missing(value, t.Field(i).Type); field != "" {
			return name + "." + field
		}
	}
	return ""
}

// wireField returns a field's name in JSON, and whether the contract requires it.
func wireField(f reflect.StructField) (name string, required bool) {
	name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
	return name, !strings.Contains(options, "omitempty")
}
