// SPDX-License-Identifier: Apache-2.0

package scimtarget

import (
	"context"
	"fmt"
	"strings"

	"lightrun.com/scim-operator/internal/kernel/portalapi"
	"lightrun.com/scim-operator/internal/scim"
	"lightrun.com/scim-operator/internal/scim/schema"
)

// abilities is what the target can do, as its discovery documents say (RFC 7644 §4).
type abilities struct {
	patch, filter, etag bool
	page                int // resources per page
	users               shape
	roles               bool // users have the attribute roles, and the driver writes it
	groups              bool // there are groups, and the driver writes them
	missing             []string
}

// shape is the attributes of a User that the target takes, in lower case: the name of an attribute,
// or URN:name of an extension's, with its sub-attributes. A nil shape is not known: all are sent.
type shape map[string]map[string]bool

// page sizes: what the driver asks for, and the most that it takes.
const (
	defaultPage = 200
	maxPage     = 500
)

// discover reads ServiceProviderConfig and Schemas. A target that has no such document is used as
// carefully as possible: PUT instead of PATCH, and every attribute.
func (c *Client) discover(ctx context.Context) (*abilities, error) {
	a := &abilities{page: defaultPage, roles: c.options.Roles, groups: c.options.Groups}
	config, err := c.document(ctx, "/ServiceProviderConfig")
	if err != nil {
		return nil, err
	}
	a.patch, a.filter, a.etag = supported(config, "patch"), supported(config, "filter"), supported(config, "etag")
	if f, ok := schema.ValueOf(config, "filter").(scim.Object); ok {
		if n, ok := schema.ValueOf(f, "maxResults").(int64); ok && n > 0 {
			a.page = int(min(n, maxPage))
		}
	}
	schemas, err := c.document(ctx, "/Schemas")
	if err != nil {
		return nil, err
	}
	var groups bool
	if a.users, groups = shapes(schemas); a.users != nil {
		if a.roles && a.users["roles"] == nil {
			a.roles = false
			a.missing = append(a.missing, "The target has no attribute roles: agent pools give no role there")
		}
		if a.groups && !groups {
			a.groups = false
			a.missing = append(a.missing, "The target has no Groups: agent pools exist only in the cluster, and give only roles")
		}
		if a.users["externalid"] == nil && !commonListed(a.users) {
			a.users["externalid"] = map[string]bool{} // a common attribute, which schemas need not list
		}
	}
	if !a.filter {
		a.missing = append(a.missing, "The target has no filter: after a lost answer, the driver lists all users to find the one that it created")
	}
	return a, nil
}

// commonListed reports whether the schema lists common attributes, which is not usual.
func commonListed(s shape) bool { return s["id"] != nil || s["meta"] != nil }

// document reads a discovery document. nil means that the target has none.
func (c *Client) document(ctx context.Context, path string) (scim.Object, error) {
	a, err := c.endpoint.do(ctx, "GET", path, nil, "")
	switch code := portalapi.CodeOf(err); {
	case err == nil:
		return a.Object, nil
	case code == portalapi.CodeNotFound, code == portalapi.CodeInvalid:
		return nil, nil
	}
	return nil, fmt.Errorf("read what the target can do: %w", err)
}

func supported(config scim.Object, feature string) bool {
	f, _ := schema.ValueOf(config, feature).(scim.Object)
	is, _ := schema.ValueOf(f, "supported").(bool)
	return is
}

// shapes returns the attributes of User in the document of schemas, and whether there is a Group.
func shapes(doc scim.Object) (user shape, group bool) {
	list, _ := schema.ValueOf(doc, "Resources").([]any)
	for _, e := range list {
		s, _ := e.(scim.Object)
		id, _ := schema.ValueOf(s, "id").(string)
		attributes, _ := schema.ValueOf(s, "attributes").([]any)
		switch {
		case strings.EqualFold(id, scim.SchemaGroup):
			group = true
		case strings.EqualFold(id, scim.SchemaUser):
			user = user.with("", attributes)
		case strings.EqualFold(id, scim.SchemaEnterpriseUser):
			user = user.with(strings.ToLower(scim.SchemaEnterpriseUser)+":", attributes)
		}
	}
	return user, group
}

func (s shape) with(prefix string, attributes []any) shape {
	if s == nil {
		s = shape{}
	}
	for _, e := range attributes {
		a, _ := e.(scim.Object)
		name, _ := schema.ValueOf(a, "name").(string)
		if m, _ := schema.ValueOf(a, "mutability").(string); strings.EqualFold(m, "readOnly") {
			continue
		}
		subs := map[string]bool{}
		parts, _ := schema.ValueOf(a, "subAttributes").([]any)
		for _, p := range parts {
			part, _ := p.(scim.Object)
			if sub, _ := schema.ValueOf(part, "name").(string); sub != "" {
				subs[strings.ToLower(sub)] = true
			}
		}
		s[prefix+strings.ToLower(name)] = subs
	}
	return s
}

// takes returns the part of the value that the target takes, and nil if it takes none of it.
func (s shape) takes(name string, v any) any {
	if s == nil {
		return v
	}
	subs, known := s[strings.ToLower(name)]
	if !known {
		return nil
	}
	if len(subs) == 0 {
		return v
	}
	switch v := v.(type) {
	case scim.Object:
		out := scim.Object{}
		for k, part := range v {
			if subs[strings.ToLower(k)] {
				out[k] = part
			}
		}
		if len(out) == 0 {
			return nil
		}
		return out
	case []any:
		out := make([]any, 0, len(v))
		for _, e := range v {
			o, ok := e.(scim.Object)
			if !ok {
				out = append(out, e)
				continue
			}
			if part, ok := s.takes(name, o).(scim.Object); ok {
				out = append(out, part)
			}
		}
		if len(out) == 0 {
			return nil
		}
		return out
	}
	return v
}
