// SPDX-License-Identifier: Apache-2.0

// Package idp is an identity provider for tests, benchmarks and the demo: it pushes users and
// groups into a SCIM service over HTTP. The same provider pushes into the webhook as a process and
// into one inside a test.
package idp

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
)

// The schemas of pushed resources (RFC 7643 §8.7, RFC 7644 §3.5.2).
const (
	SchemaUser       = "urn:ietf:params:scim:schemas:core:2.0:User"
	SchemaEnterprise = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
	SchemaGroup      = "urn:ietf:params:scim:schemas:core:2.0:Group"
	SchemaPatch      = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
)

// Object is a JSON object.
type Object = map[string]any

// Provider sends requests to one SCIM service.
type Provider struct {
	URL   string // of the service, without a slash at its end
	Token string
	HTTP  *http.Client
}

// Answer is an answer of the service.
type Answer struct {
	Status int
	Header http.Header
	Body   Object // nil if the answer has none
}

// ID returns the id of the resource in the answer.
func (a Answer) ID() string { s, _ := a.Body["id"].(string); return s }

// Detail returns the explanation of an error.
func (a Answer) Detail() string { s, _ := a.Body["detail"].(string); return s }

// Resources returns the resources of a list.
func (a Answer) Resources() []any { list, _ := a.Body["Resources"].([]any); return list }

// Send sends one request. Headers are name, value; an empty value sends none. An error says that
// there was no answer, or that the answer was not JSON: any status is an answer.
func (p *Provider) Send(ctx context.Context, method, path string, body any, headers ...string) (Answer, error) {
	var content io.Reader = http.NoBody
	if body != nil {
		encoded, err := json.Marshal(body)
		if err != nil {
			return Answer{}, err
		}
		content = bytes.NewReader(encoded)
	}
	request, err := http.NewRequestWithContext(ctx, method, p.URL+path, content)
	if err != nil {
		return Answer{}, err
	}
	request.Header.Set("Authorization", "Bearer "+p.Token)
	request.Header.Set("Content-Type", "application/scim+json")
	for i := 0; i < len(headers); i += 2 {
		if headers[i+1] != "" {
			request.Header.Set(headers[i], headers[i+1])
		}
	}
	response, err := p.HTTP.Do(request)
	if err != nil {
		return Answer{}, err
	}
	defer response.Body.Close()
	a := Answer{Status: response.StatusCode, Header: response.Header}
	text, err := io.ReadAll(response.Body)
	if err != nil || len(text) == 0 {
		return a, err
	}
	if err := json.Unmarshal(text, &a.Body); err != nil {
		return a, fmt.Errorf("%s %s answered %d with what is not JSON: %.200s", method, path, a.Status, text)
	}
	return a, nil
}

// Push sends a request that must succeed: a status of 300 or more is an error.
func (p *Provider) Push(ctx context.Context, method, path string, body any, headers ...string) (Answer, error) {
	a, err := p.Send(ctx, method, path, body, headers...)
	if err == nil && a.Status >= http.StatusMultipleChoices {
		err = fmt.Errorf("%s %.100s answered %d: %s", method, path, a.Status, a.Detail())
	}
	return a, err
}

// Search returns the path of a search, as providers send it before they create something.
func Search(kind, filter string) string {
	return "/" + kind + "?filter=" + url.QueryEscape(filter) + "&startIndex=1&count=100"
}
