// SPDX-License-Identifier: Apache-2.0

package server

import (
	"net/http"
	"strings"

	"lightrun.com/scim-operator/internal/scim"
	"lightrun.com/scim-operator/internal/scim/schema"
)

// types returns the resource types of this service.
func types() []*schema.ResourceType { return []*schema.ResourceType{schema.User(), schema.Group()} }

// noFilter refuses a filter on a discovery endpoint (RFC 7644 §4). The endpoints ignore all other
// query parameters.
func (c *call) noFilter() error {
	if c.query.Has("filter") {
		return scim.Failure(http.StatusForbidden, "Discovery endpoints can't be filtered (RFC 7644 section 4); remove the filter.")
	}
	return nil
}

// serviceProviderConfig handles GET /ServiceProviderConfig (RFC 7643 §5, RFC 9865 §4).
func (c *call) serviceProviderConfig() (reply, error) {
	if err := c.noFilter(); err != nil {
		return reply{}, err
	}
	supported := scim.Object{"supported": true}
	location := c.base + "/ServiceProviderConfig"
	return c.discoveryReply(scim.Object{
		"schemas":        []any{scim.SchemaServiceProviderConfig},
		"patch":          supported,
		"bulk":           scim.Object{"supported": true, "maxOperations": MaxOperations, "maxPayloadSize": MaxBody},
		"filter":         scim.Object{"supported": true, "maxResults": MaxCount},
		"changePassword": scim.Object{"supported": false},
		"sort":           supported,
		"etag":           supported,
		"pagination": scim.Object{
			"cursor": true, "index": true, "defaultPaginationMethod": "index",
			"defaultPageSize": DefaultCount, "maxPageSize": MaxCount, "cursorTimeout": int(CursorTimeout.Seconds()),
		},
		"authenticationSchemes": []any{scim.Object{
			"type": "oauthbearertoken", "name": "Bearer token", "primary": true,
			"description": "A bearer token in the Authorization header: a portal API key with the scope scim, or a JWT of a configured issuer.",
		}},
		"meta": scim.Object{"resourceType": "ServiceProviderConfig", "location": location},
	}, location)
}

// resourceTypes handles GET /ResourceTypes and /ResourceTypes/{name} (RFC 7643 §6).
func (c *call) resourceTypes() (reply, error) {
	if err := c.noFilter(); err != nil {
		return reply{}, err
	}
	var all []any
	for _, t := range types() {
		o := t.Object(c.base)
		if len(c.segments) == 2 && strings.EqualFold(c.segments[1], t.Name) {
			return c.discoveryReply(o, c.base+"/ResourceTypes/"+t.Name)
		}
		all = append(all, o)
	}
	return c.discoveryList("resource type", all)
}

// schemas handles GET /Schemas and /Schemas/{urn} (RFC 7643 §7).
func (c *call) schemas() (reply, error) {
	if err := c.noFilter(); err != nil {
		return reply{}, err
	}
	var all []any
	for _, s := range schema.All(types()...) {
		o := s.Object(c.base)
		if len(c.segments) == 2 && strings.EqualFold(c.segments[1], s.ID) {
			return c.discoveryReply(o, c.base+"/Schemas/"+s.ID)
		}
		all = append(all, o)
	}
	return c.discoveryList("schema", all)
}

func (c *call) discoveryReply(o any, location string) (reply, error) {
	body, err := marshal(o)
	return reply{status: http.StatusOK, body: body, location: location}, err
}

func (c *call) discoveryList(kind string, all []any) (reply, error) {
	if len(c.segments) == 2 {
		return reply{}, scim.NotFound("There is no %s %q.", kind, c.segments[1])
	}
	return c.discoveryReply(scim.Object{
		"schemas": []any{scim.SchemaListResponse}, "totalResults": len(all), "itemsPerPage": len(all), "startIndex": 1, "Resources": all,
	}, "")
}
