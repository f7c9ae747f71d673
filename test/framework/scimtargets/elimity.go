// SPDX-License-Identifier: Apache-2.0

package scimtargets

import (
	"fmt"
	"maps"
	"net/http"
	"strings"
	"sync"
	"testing"

	elimity "github.com/elimity-com/scim"
	elimityerrors "github.com/elimity-com/scim/errors"
	"github.com/elimity-com/scim/optional"
	"github.com/elimity-com/scim/schema"
	"github.com/google/uuid"
	"github.com/scim2/filter-parser/v2"
)

// Elimity runs a server of the library elimity-com/scim, whose interface leaves storing, finding
// and patching to the store below. Without withPatch it has no PATCH: a client must use PUT.
func Elimity(t testing.TB, withPatch bool) *Target {
	t.Helper()
	users, groups := newElimityStore("userName"), newElimityStore("displayName")
	s, err := elimity.NewServer(&elimity.ServerArgs{
		ServiceProviderConfig: &elimity.ServiceProviderConfig{MaxResults: 100, SupportFiltering: true, SupportPatch: withPatch},
		ResourceTypes: []elimity.ResourceType{
			{Name: "User", Endpoint: "/Users", Schema: schema.CoreUserSchema(), Handler: users,
				SchemaExtensions: []elimity.SchemaExtension{{Schema: schema.ExtensionEnterpriseUser()}}},
			{Name: "Group", Endpoint: "/Groups", Schema: schema.CoreGroupSchema(), Handler: groups},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	name := "elimity"
	if !withPatch {
		name = "elimity without PATCH"
	}
	return serve(t, name, "", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPatch && !withPatch {
			http.Error(w, `{"schemas":["urn:ietf:params:scim:api:messages:2.0:Error"],"status":"501","detail":"no PATCH"}`, http.StatusNotImplemented)
			return
		}
		s.ServeHTTP(w, r)
	}))
}

// elimityStore implements elimity's ResourceHandler in memory.
type elimityStore struct {
	unique string

	mu    sync.Mutex
	byID  map[string]elimity.ResourceAttributes
	names map[string]string // unique attribute in lower case → id
	order []string
}

func newElimityStore(unique string) *elimityStore {
	return &elimityStore{unique: unique, byID: map[string]elimity.ResourceAttributes{}, names: map[string]string{}}
}

// Create implements elimity.ResourceHandler.
func (m *elimityStore) Create(_ *http.Request, attributes elimity.ResourceAttributes) (elimity.Resource, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	id := uuid.NewString()
	m.order = append(m.order, id)
	return m.put(id, attributes)
}

// put stores the resource. The caller has locked mu.
func (m *elimityStore) put(id string, attributes elimity.ResourceAttributes) (elimity.Resource, error) {
	name, _ := attributes[m.unique].(string)
	if other := m.names[strings.ToLower(name)]; other != "" && other != id {
		return elimity.Resource{}, elimityerrors.ScimErrorUniqueness
	}
	m.free(id)
	m.names[strings.ToLower(name)] = id
	delete(attributes, "schemas")
	m.byID[id] = attributes
	return m.resource(id), nil
}

// free frees the name of the resource. The caller has locked mu.
func (m *elimityStore) free(id string) {
	if name, _ := m.byID[id][m.unique].(string); m.names[strings.ToLower(name)] == id {
		delete(m.names, strings.ToLower(name))
	}
}

func (m *elimityStore) resource(id string) elimity.Resource {
	r := elimity.Resource{ID: id, Attributes: maps.Clone(m.byID[id])}
	if external, ok := r.Attributes["externalId"].(string); ok {
		r.ExternalID = optional.NewString(external)
	}
	return r
}

// Get implements elimity.ResourceHandler.
func (m *elimityStore) Get(_ *http.Request, id string) (elimity.Resource, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.byID[id] == nil {
		return elimity.Resource{}, elimityerrors.ScimErrorResourceNotFound(id)
	}
	return m.resource(id), nil
}

// GetAll implements elimity.ResourceHandler.
func (m *elimityStore) GetAll(_ *http.Request, params elimity.ListRequestParams) (elimity.Page, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	page := elimity.Page{Resources: []elimity.Resource{}}
	for _, id := range m.order {
		if m.byID[id] == nil || params.FilterValidator != nil && params.FilterValidator.PassesFilter(m.byID[id]) != nil {
			continue
		}
		if page.TotalResults++; page.TotalResults >= params.StartIndex && len(page.Resources) < params.Count {
			page.Resources = append(page.Resources, m.resource(id))
		}
	}
	return page, nil
}

// Replace implements elimity.ResourceHandler.
func (m *elimityStore) Replace(_ *http.Request, id string, attributes elimity.ResourceAttributes) (elimity.Resource, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.byID[id] == nil {
		return elimity.Resource{}, elimityerrors.ScimErrorResourceNotFound(id)
	}
	return m.put(id, attributes)
}

// Delete implements elimity.ResourceHandler.
func (m *elimityStore) Delete(_ *http.Request, id string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.byID[id] == nil {
		return elimityerrors.ScimErrorResourceNotFound(id)
	}
	m.free(id)
	delete(m.byID, id)
	return nil
}

// Patch implements elimity.ResourceHandler.
func (m *elimityStore) Patch(_ *http.Request, id string, operations []elimity.PatchOperation) (elimity.Resource, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.byID[id] == nil {
		return elimity.Resource{}, elimityerrors.ScimErrorResourceNotFound(id)
	}
	now := maps.Clone(m.byID[id])
	for _, op := range operations {
		if op.Path == nil {
			return elimity.Resource{}, elimityerrors.ScimErrorInvalidPath
		}
		patchElimity(now, op)
	}
	return m.put(id, now)
}

// patchElimity applies one operation on a path.
func patchElimity(attributes map[string]any, op elimity.PatchOperation) {
	name := op.Path.AttributePath.AttributeName
	if urn := op.Path.AttributePath.URI(); urn != "" && attributes[urn] == nil {
		attributes[urn] = map[string]any{}
	}
	at := attributes
	if urn := op.Path.AttributePath.URI(); urn != "" {
		in, _ := attributes[urn].(map[string]any)
		at = maps.Clone(in)
		attributes[urn] = at
	}
	sub := op.Path.AttributePath.SubAttributeName()
	list, isList := at[name].([]any)
	switch {
	case op.Path.ValueExpression != nil:
		e, _ := op.Path.ValueExpression.(*filter.AttributeExpression)
		var left []any
		for _, element := range list {
			if o, _ := element.(map[string]any); e == nil || fmt.Sprint(o[e.AttributePath.AttributeName]) != fmt.Sprint(e.CompareValue) {
				left = append(left, element)
			}
		}
		at[name] = left
	case sub != "":
		in, _ := at[name].(map[string]any)
		now := maps.Clone(in)
		if now == nil {
			now = map[string]any{}
		}
		if op.Op == elimity.PatchOperationRemove {
			delete(now, sub)
		} else {
			now[sub] = op.Value
		}
		at[name] = now
	case op.Op == elimity.PatchOperationRemove:
		delete(at, name)
	case op.Op == elimity.PatchOperationAdd && (isList || name == "members"):
		more, _ := op.Value.([]any)
		for _, element := range more {
			o, _ := element.(map[string]any)
			known := false
			for _, have := range list {
				h, _ := have.(map[string]any)
				known = known || h["value"] == o["value"]
			}
			if !known {
				list = append(list, element)
			}
		}
		at[name] = list
	default:
		at[name] = op.Value
	}
}
