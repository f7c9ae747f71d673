// SPDX-License-Identifier: Apache-2.0

package api

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"

	"lightrun.com/scim-operator/internal/kernel/portalapi"
	"lightrun.com/scim-operator/internal/kernel/requestid"
	"lightrun.com/scim-operator/internal/portal/store"
)

// gate guards every operation. It checks, in this order: the API key, the key's scope, and the
// request against the document.
type gate struct {
	store    *store.Store
	document *openapi3.T
	mux      *http.ServeMux
	err      error // why operations could not be registered; nil if all are
}

// ServeHTTP and HandleFunc make the gate a router for the generated code.
func (g *gate) ServeHTTP(w http.ResponseWriter, r *http.Request) { g.mux.ServeHTTP(w, r) }

// HandleFunc registers an operation behind the gate.
func (g *gate) HandleFunc(pattern string, handler func(http.ResponseWriter, *http.Request)) {
	op, err := g.operation(pattern)
	if err != nil {
		g.err = errors.Join(g.err, err)
		return
	}
	g.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		ctx, err := g.admit(r, op)
		if err == nil {
			err = op.validate(w, r)
		}
		if err != nil {
			failed(w, r, err)
			return
		}
		handler(w, r.WithContext(ctx))
	})
}

// operation is one operation of the document.
type operation struct {
	route   *routers.Route
	scopes  []store.Scope
	queries []string // names of the query parameters
	paths   []string
}

func (g *gate) operation(pattern string) (*operation, error) {
	method, path, _ := strings.Cut(pattern, " ")
	path = strings.TrimPrefix(path, Base)
	item := g.document.Paths.Value(path)
	if item == nil || item.GetOperation(method) == nil {
		return nil, fmt.Errorf("the document has no operation %s", pattern)
	}
	op := &operation{route: &routers.Route{Spec: g.document, Path: path, PathItem: item, Method: method, Operation: item.GetOperation(method)}}
	scopes, _ := op.route.Operation.Extensions["x-scopes"].([]any)
	for _, scope := range scopes {
		if text, ok := scope.(string); ok {
			op.scopes = append(op.scopes, store.Scope(text))
		}
	}
	if len(op.scopes) == 0 {
		return nil, fmt.Errorf("the operation %s has no x-scopes in the document", pattern)
	}
	for _, parameters := range []openapi3.Parameters{item.Parameters, op.route.Operation.Parameters} {
		for _, p := range parameters {
			switch p.Value.In {
			case openapi3.ParameterInQuery:
				op.queries = append(op.queries, p.Value.Name)
			case openapi3.ParameterInPath:
				op.paths = append(op.paths, p.Value.Name)
			}
		}
	}
	return op, nil
}

// maxDecidedBy is the maximum length of the name in Decided-By, in bytes.
const maxDecidedBy = 1024

// agentScope is the scope of a pool's key. No API key has it.
const agentScope store.Scope = "agent"

// agent is an agent that calls with the key of its pool.
type agent struct {
	pool *store.Pool
	key  *store.PoolKey
}

// admit authenticates the request and returns its context with the caller: an actor, or an agent.
func (g *gate) admit(r *http.Request, op *operation) (context.Context, error) {
	scheme, secret, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	secret = strings.TrimSpace(secret)
	if !strings.EqualFold(scheme, "Bearer") || secret == "" {
		return nil, refusal(http.StatusUnauthorized, portalapi.CodeUnauthenticated, "send an API key as Authorization: Bearer <key>")
	}
	if slices.Contains(op.scopes, agentScope) {
		pool, key, err := g.store.AgentPool(r.Context(), secret)
		if portalapi.CodeOf(err) != portalapi.CodeUnauthenticated {
			return context.WithValue(r.Context(), agentKey, agent{pool, key}), err
		}
		if _, unknown := g.store.Authenticate(r.Context(), secret); unknown != nil {
			return nil, err // neither kind of key
		}
	}
	a, err := g.actor(r, op, secret)
	return context.WithValue(r.Context(), actorKey, a), err
}

// actor returns the actor of an API key, and checks that the scope of the key allows the operation.
// A change without the scope is audited.
func (g *gate) actor(r *http.Request, op *operation, secret string) (store.Actor, error) {
	a, err := g.store.Authenticate(r.Context(), secret)
	if err != nil {
		return a, err
	}
	a.RequestID = requestID(r.Context())
	if a.Leader = r.Header.Get("Operator-Leader"); a.Leader != "" && !requestid.Usable(a.Leader) {
		return a, invalid("Operator-Leader must be 1 to 128 letters, digits, dots, underscores, colons and hyphens")
	}
	if a.DecidedBy, err = url.PathUnescape(r.Header.Get("Decided-By")); err != nil || len(a.DecidedBy) > maxDecidedBy {
		return a, invalid("Decided-By must be a percent-encoded name of at most %d bytes", maxDecidedBy)
	}
	if a.Cause = store.Cause(r.Header.Get("Cause")); a.Cause != "" && a.Cause != store.CauseProvider && a.Cause != store.CauseGit {
		return a, invalid("Cause must be Provider or Git")
	}
	if slices.ContainsFunc(op.scopes, a.May) {
		return a, nil
	}
	wanted := make([]string, len(op.scopes))
	for i, s := range op.scopes {
		wanted[i] = string(s)
	}
	no := refusal(http.StatusForbidden, portalapi.CodeForbidden, fmt.Sprintf("the API key %q has the scope %s; this needs %s", a.Name, a.Scopes[0], strings.Join(wanted, " or ")))
	if op.route.Method != http.MethodGet {
		if err := g.store.RecordRefusal(r.Context(), a, op.route.Operation.OperationID, no); err != nil {
			return a, err
		}
	}
	return a, no
}

// validate checks the request against the document and refuses parameters that the document does
// not define.
func (op *operation) validate(w http.ResponseWriter, r *http.Request) error {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return invalid("the query cannot be read: %v", err)
	}
	for name, values := range query {
		if !slices.Contains(op.queries, name) {
			return invalid("there is no query parameter %q here; known are: %s", name, strings.Join(op.queries, ", "))
		}
		if len(values) > 1 {
			return invalid("the query parameter %q is given %d times", name, len(values))
		}
	}
	if err := op.readBody(w, r); err != nil {
		return err
	}
	paths := make(map[string]string, len(op.paths))
	for _, name := range op.paths {
		paths[name] = r.PathValue(name)
	}
	err = openapi3filter.ValidateRequest(r.Context(), &openapi3filter.RequestValidationInput{
		Request: r, PathParams: paths, QueryParams: query, Route: op.route,
		Options: &openapi3filter.Options{AuthenticationFunc: openapi3filter.NoopAuthenticationFunc, SkipSettingDefaults: true},
	})
	if err != nil {
		return invalid("%s", explain(err))
	}
	return nil
}

// readBody reads the body within its bound and checks that it is JSON text.
func (op *operation) readBody(w http.ResponseWriter, r *http.Request) error {
	if op.route.Operation.RequestBody == nil {
		return nil
	}
	media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || media != "application/json" {
		return refusal(http.StatusUnsupportedMediaType, portalapi.CodeInvalid, "the body must be JSON: send Content-Type: application/json")
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, MaxBody))
	if tooLong := new(http.MaxBytesError); errors.As(err, &tooLong) {
		return refusal(http.StatusRequestEntityTooLarge, portalapi.CodeInvalid, fmt.Sprintf("the body is longer than %d bytes", MaxBody))
	}
	if err != nil {
		return invalid("the body cannot be read: %v", err)
	}
	if len(bytes.TrimSpace(body)) == 0 {
		return invalid("%v", errNoBody)
	}
	if !utf8.Valid(body) {
		return invalid("the body is not valid UTF-8")
	}
	r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	return nil
}

// explain describes in one sentence how a request differs from the document.
func explain(err error) string {
	where, why := "the request", err.Error()
	if e := new(openapi3filter.RequestError); errors.As(err, &e) {
		switch {
		case e.Parameter != nil:
			where = fmt.Sprintf("the %s parameter %q", e.Parameter.In, e.Parameter.Name)
		case e.RequestBody != nil:
			where = "the body"
		}
		why = e.Reason
		if e.Err != nil {
			why = e.Err.Error()
		}
	}
	if e := new(openapi3.SchemaError); errors.As(err, &e) {
		if pointer := e.JSONPointer(); len(pointer) > 0 {
			where += " at /" + strings.Join(pointer, "/")
		}
		why = e.Reason
	}
	return where + ": " + why
}

// unknown responds to requests for paths and methods that are not in the document.
func (g *gate) unknown(w http.ResponseWriter, r *http.Request) {
	var allowed []string
	for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete} {
		probe := &http.Request{Method: method, URL: r.URL, Host: r.Host}
		if _, pattern := g.mux.Handler(probe); strings.HasPrefix(pattern, method+" ") {
			allowed = append(allowed, method)
		}
	}
	if len(allowed) == 0 {
		failed(w, r, refusal(http.StatusNotFound, portalapi.CodeNotFound, "there is nothing at "+r.URL.Path+"; "+Base+"/openapi.yaml describes the API"))
		return
	}
	w.Header().Set("Allow", strings.Join(allowed, ", "))
	failed(w, r, refusal(http.StatusMethodNotAllowed, portalapi.CodeInvalid, "the method "+r.Method+" is not supported here; use "+strings.Join(allowed, " or ")))
}
