// SPDX-License-Identifier: Apache-2.0

// Package elimityserver is a SCIM service provider made with the library elimity-com/scim, whose
// interface leaves storing, finding and patching to the store below. Tests of the SCIM driver and
// `make run` use it as a target.
package elimityserver

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"

	elimity "github.com/elimity-com/scim"
	elimityerrors "github.com/elimity-com/scim/errors"
	"github.com/elimity-com/scim/optional"
	"github.com/elimity-com/scim/schema"
	"github.com/google/uuid"
	"github.com/scim2/filter-parser/v2"
)

// Options configure a server.
type Options struct {
	WithoutPATCH bool   // a client must use PUT
	Dir          string // existing folder for users and groups; empty: they are in memory only
}

// New returns the server's handler, with what the folder has.
func New(o Options) (http.Handler, error) {
	users, groups := newStore("userName", o.Dir, "users.json"), newStore("displayName", o.Dir, "groups.json")
	if err := errors.Join(users.load(), groups.load()); err != nil {
		return nil, err
	}
	s, err := elimity.NewServer(&elimity.ServerArgs{
		ServiceProviderConfig: &elimity.ServiceProviderConfig{MaxResults: 100, SupportFiltering: true, SupportPatch: !o.WithoutPATCH},
		ResourceTypes: []elimity.ResourceType{
			{Name: "User", Endpoint: "/Users", Schema: schema.CoreUserSchema(), Handler: users,
				SchemaExtensions: []elimity.SchemaExtension{{Schema: schema.ExtensionEnterpriseUser()}}},
			{Name: "Group", Endpoint: "/Groups", Schema: schema.CoreGroupSchema(), Handler: groups},
		},
	})
	if err != nil {
		return nil, err
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPatch && o.WithoutPATCH {
			http.Error(w, `{"schemas":["urn:ietf:params:scim:api:messages:2.0:Error"],"status":"501","detail":"no PATCH"}`, http.StatusNotImplemented)
			return
		}
		s.ServeHTTP(w, r)
	}), nil
}

// store implements elimity's ResourceHandler in memory.
type store struct {
	unique string
	file   string // empty: in memory only

	mu    sync.Mutex
	byID  map[string]elimity.ResourceAttributes
	names map[string]string // unique attribute in lower case → id
	order []string
}

func newStore(unique, dir, file string) *store {
	if dir != "" {
		file = filepath.Join(dir, file)
	} else {
		file = ""
	}
	return &store{unique: unique, file: file, byID: map[string]elimity.ResourceAttributes{}, names: map[string]string{}}
}

// stored is the content of the file.
type stored struct {
	Order []string                              `json:"order"`
	ByID  map[string]elimity.ResourceAttributes `json:"byId"`
}

func (m *store) load() error {
	if m.file == "" {
		return nil
	}
	text, err := os.ReadFile(m.file)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var s stored
	if err := json.Unmarshal(text, &s); err != nil {
		return fmt.Errorf("%s: %w", m.file, err)
	}
	for _, id := range s.Order {
		if s.ByID[id] == nil {
			continue
		}
		m.order, m.byID[id] = append(m.order, id), s.ByID[id]
		name, _ := s.ByID[id][m.unique].(string)
		m.names[strings.ToLower(name)] = id
	}
	return nil
}

// save writes the whole file: this is no server for many users. The caller has locked mu.
func (m *store) save() error {
	if m.file == "" {
		return nil
	}
	text, err := json.Marshal(stored{Order: m.order, ByID: m.byID})
	if err != nil {
		return err
	}
	part := m.file + ".part"
	if err := os.WriteFile(part, text, 0o600); err != nil {
		return err
	}
	return os.Rename(part, m.file)
}

// Create implements elimity.ResourceHandler.
func (m *store) Create(_ *http.Request, attributes elimity.ResourceAttributes) (elimity.Resource, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	id := uuid.NewString()
	m.order = append(m.order, id)
	return m.put(id, attributes)
}

// put stores the resource. The caller has locked mu.
func (m *store) put(id string, attributes elimity.ResourceAttributes) (elimity.Resource, error) {
	name, _ := attributes[m.unique].(string)
	if other := m.names[strings.ToLower(name)]; other != "" && other != id {
		return elimity.Resource{}, elimityerrors.ScimErrorUniqueness
	}
	m.free(id)
	m.names[strings.ToLower(name)] = id
	delete(attributes, "schemas")
	m.byID[id] = attributes
	return m.resource(id), m.save()
}

// free frees the name of the resource. The caller has locked mu.
func (m *store) free(id string) {
	if name, _ := m.byID[id][m.unique].(string); m.names[strings.ToLower(name)] == id {
		delete(m.names, strings.ToLower(name))
	}
}

func (m *store) resource(id string) elimity.Resource {
	r := elimity.Resource{ID: id, Attributes: maps.Clone(m.byID[id])}
	if external, ok := r.Attributes["externalId"].(string); ok {
		r.ExternalID = optional.NewString(external)
	}
	return r
}

// Get implements elimity.ResourceHandler.
func (m *store) Get(_ *http.Request, id string) (elimity.Resource, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.byID[id] == nil {
		return elimity.Resource{}, elimityerrors.ScimErrorResourceNotFound(id)
	}
	return m.resource(id), nil
}

// GetAll implements elimity.ResourceHandler.
func (m *store) GetAll(_ *http.Request, params elimity.ListRequestParams) (elimity.Page, error) {
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
func (m *store) Replace(_ *http.Request, id string, attributes elimity.ResourceAttributes) (elimity.Resource, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.byID[id] == nil {
		return elimity.Resource{}, elimityerrors.ScimErrorResourceNotFound(id)
	}
	return m.put(id, attributes)
}

// Delete implements elimity.ResourceHandler.
func (m *store) Delete(_ *http.Request, id string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.byID[id] == nil {
		return elimityerrors.ScimErrorResourceNotFound(id)
	}
	m.free(id)
	delete(m.byID, id)
	return m.save()
}

// Patch implements elimity.ResourceHandler.
func (m *store) Patch(_ *http.Request, id string, operations []elimity.PatchOperation) (elimity.Resource, error) {
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
		apply(now, op)
	}
	return m.put(id, now)
}

// apply applies one operation on a path.
func apply(attributes map[string]any, op elimity.PatchOperation) {
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
