// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"sync"

	elimity "github.com/elimity-com/scim"
	elimityerrors "github.com/elimity-com/scim/errors"
	"github.com/elimity-com/scim/optional"
	"github.com/elimity-com/scim/schema"
	"github.com/google/uuid"
)

// serveElimity serves SCIM with elimity-com/scim and a store in memory: a map, and a slice for the
// order of lists. The library validates and encodes. Its interface leaves finding, filtering and
// patching to the store; they are written here as fast as simple code can be. Names are not unique,
// and nothing is durable.
func serveElimity(ctx context.Context, people string) error {
	n, err := strconv.Atoi(people)
	if err != nil {
		return err
	}
	users, groups := newMemory(), newMemory()
	for i := range n {
		users.put(personID(i), elimity.ResourceAttributes(person(personName(i))))
	}
	server, err := elimity.NewServer(&elimity.ServerArgs{
		ServiceProviderConfig: &elimity.ServiceProviderConfig{MaxResults: 1000, SupportFiltering: true, SupportPatch: true},
		ResourceTypes: []elimity.ResourceType{
			{Name: "User", Endpoint: "/Users", Schema: schema.CoreUserSchema(), Handler: users,
				SchemaExtensions: []elimity.SchemaExtension{{Schema: schema.ExtensionEnterpriseUser()}}},
			{Name: "Group", Endpoint: "/Groups", Schema: schema.CoreGroupSchema(), Handler: groups},
		},
	})
	if err != nil {
		return err
	}
	return serveLoopback(ctx, server)
}

// memory implements elimity's ResourceHandler.
type memory struct {
	mu    sync.RWMutex
	byID  map[string]*elimity.Resource
	order []*elimity.Resource
}

func newMemory() *memory { return &memory{byID: map[string]*elimity.Resource{}} }

func (m *memory) put(id string, attributes elimity.ResourceAttributes) elimity.Resource {
	delete(attributes, "schemas")
	r := &elimity.Resource{ID: id, Attributes: attributes}
	if external, ok := attributes["externalId"].(string); ok {
		r.ExternalID = optional.NewString(external)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.byID[id] = r
	m.order = append(m.order, r)
	return *r
}

func (m *memory) Create(_ *http.Request, attributes elimity.ResourceAttributes) (elimity.Resource, error) {
	return m.put(uuid.NewString(), attributes), nil
}

func (m *memory) Get(_ *http.Request, id string) (elimity.Resource, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if r, ok := m.byID[id]; ok {
		return *r, nil
	}
	return elimity.Resource{}, elimityerrors.ScimErrorResourceNotFound(id)
}

func (m *memory) GetAll(_ *http.Request, params elimity.ListRequestParams) (elimity.Page, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	page := elimity.Page{Resources: []elimity.Resource{}}
	if params.FilterValidator == nil {
		page.TotalResults = len(m.order)
		from := min(params.StartIndex-1, len(m.order))
		for _, r := range m.order[from:min(from+params.Count, len(m.order))] {
			page.Resources = append(page.Resources, *r)
		}
		return page, nil
	}
	for _, r := range m.order {
		if params.FilterValidator.PassesFilter(r.Attributes) != nil {
			continue
		}
		if page.TotalResults++; page.TotalResults >= params.StartIndex && len(page.Resources) < params.Count {
			page.Resources = append(page.Resources, *r)
		}
	}
	return page, nil
}

func (m *memory) Replace(_ *http.Request, id string, attributes elimity.ResourceAttributes) (elimity.Resource, error) {
	return m.change(id, func(elimity.ResourceAttributes) elimity.ResourceAttributes { return attributes })
}

func (m *memory) Delete(*http.Request, string) error {
	return fmt.Errorf("the benchmark deletes nothing")
}

// Patch supports the operations of the benchmark: replace of a simple attribute, and add and remove
// of whole lists of members.
func (m *memory) Patch(_ *http.Request, id string, operations []elimity.PatchOperation) (elimity.Resource, error) {
	return m.change(id, func(have elimity.ResourceAttributes) elimity.ResourceAttributes {
		now := elimity.ResourceAttributes{}
		for k, v := range have {
			now[k] = v
		}
		for _, op := range operations {
			name := op.Path.AttributePath.AttributeName
			if op.Op == elimity.PatchOperationRemove {
				delete(now, name)
			} else {
				now[name] = op.Value
			}
		}
		return now
	})
}

func (m *memory) change(id string, to func(elimity.ResourceAttributes) elimity.ResourceAttributes) (elimity.Resource, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r, ok := m.byID[id]
	if !ok {
		return elimity.Resource{}, elimityerrors.ScimErrorResourceNotFound(id)
	}
	r.Attributes = to(r.Attributes)
	return *r, nil
}
