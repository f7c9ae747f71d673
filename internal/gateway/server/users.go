// SPDX-License-Identifier: Apache-2.0

package server

import (
	"net/http"
	"strings"

	"lightrun.com/scim-operator/internal/scim"
	"lightrun.com/scim-operator/internal/scim/patch"
	"lightrun.com/scim-operator/internal/scim/quirk"
	"lightrun.com/scim-operator/internal/scim/schema"
)

// kind is what handlers need to know about a resource type.
type kind struct {
	schema *schema.ResourceType
	links  string // the attribute for Resource.Links
}

func userKind() *kind  { return &kind{schema: schema.User(), links: "groups"} }
func groupKind() *kind { return &kind{schema: schema.Group(), links: "members"} }

// showing reads the projection of a request on one resource.
func (c *call) showing(k *kind) (show, error) {
	return c.shown(c.names("attributes"), c.names("excludedAttributes"), k)
}

// resourceBody reads a POST or PUT body into canonical form.
func (c *call) resourceBody(k *kind, mode schema.Mode) (scim.Object, error) {
	body, err := c.normalised(k)
	if err != nil {
		return nil, err
	}
	return canonical(k, body, mode)
}

// canonical reads a normalised POST or PUT body.
func canonical(k *kind, body scim.Object, mode schema.Mode) (scim.Object, error) {
	out, err := schema.Canonicalize(k.schema, body, mode)
	if err == nil {
		k.schema.SetDefaults(out)
	}
	return out, err
}

// normalised reads a POST or PUT body and applies the quirks.
func (c *call) normalised(k *kind) (scim.Object, error) {
	body, err := c.object()
	if err != nil {
		return nil, err
	}
	body, fired := quirk.Resource(k.schema, body)
	return body, c.fired(fired)
}

// operations reads a PATCH body.
func (c *call) operations(k *kind) ([]patch.Operation, error) {
	body, err := c.object()
	if err != nil {
		return nil, err
	}
	body, fired := quirk.Patch(k.schema, body)
	if err := c.fired(fired); err != nil {
		return nil, err
	}
	return patch.Parse(body)
}

// createUser handles POST /Users (RFC 7644 §3.3).
func (c *call) createUser() (reply, error) {
	k := userKind()
	s, err := c.showing(k)
	if err != nil {
		return reply{}, err
	}
	user, err := c.resourceBody(k, schema.Create)
	if err != nil {
		return reply{}, err
	}
	r, err := c.Users.Create(c.ctx, user)
	if err != nil {
		return reply{}, err
	}
	return c.one(http.StatusCreated, r, s), nil
}

// getUser handles GET /Users/{id} (RFC 7644 §3.4.1).
func (c *call) getUser() (reply, error) {
	s, err := c.showing(userKind())
	if err != nil {
		return reply{}, err
	}
	r, err := c.Users.Get(c.ctx, c.segments[1])
	if err != nil {
		return reply{}, err
	}
	return c.read(r, s)
}

// read handles a GET of one resource. The status is 304 if the client has this version (RFC 7644
// §3.14), and 412 if If-Match names another version.
func (c *call) read(r *Resource, s show) (reply, error) {
	switch {
	case c.ifMatch != "" && !matchesTag(c.ifMatch, r.Version):
		return reply{}, scim.Failure(http.StatusPreconditionFailed, "The version of the resource differs from If-Match.")
	case c.ifNoneMatch != "" && matchesTag(c.ifNoneMatch, r.Version):
		return reply{status: http.StatusNotModified, etag: r.Version}, nil
	}
	return c.one(http.StatusOK, r, s), nil
}

// replaceUser handles PUT /Users/{id} (RFC 7644 §3.5.1).
func (c *call) replaceUser() (reply, error) {
	k := userKind()
	s, err := c.showing(k)
	if err != nil {
		return reply{}, err
	}
	body, err := c.resourceBody(k, schema.Replace)
	if err != nil {
		return reply{}, err
	}
	return c.updateUser(s, func(have scim.Object) (scim.Object, error) {
		return patch.Put(k.schema, have, body)
	})
}

// patchUser handles PATCH /Users/{id} (RFC 7644 §3.5.2). The response is always the complete user
// with 200.
func (c *call) patchUser() (reply, error) {
	k := userKind()
	s, err := c.showing(k)
	if err != nil {
		return reply{}, err
	}
	ops, err := c.operations(k)
	if err != nil {
		return reply{}, err
	}
	return c.updateUser(s, func(have scim.Object) (scim.Object, error) {
		return patch.Apply(k.schema, have, ops)
	})
}

func (c *call) updateUser(s show, change func(scim.Object) (scim.Object, error)) (reply, error) {
	r, err := c.Users.Update(c.ctx, c.segments[1], c.precondition(), change)
	if err != nil {
		return reply{}, err
	}
	return c.one(http.StatusOK, r, s), nil
}

// deleteUser handles DELETE /Users/{id} (RFC 7644 §3.6).
func (c *call) deleteUser() (reply, error) {
	if err := c.Users.Delete(c.ctx, c.segments[1], c.precondition()); err != nil {
		return reply{}, err
	}
	return reply{status: http.StatusNoContent}, nil
}

// precondition returns the If-Match and If-None-Match of a write (RFC 9110 §13.1), and nil if it
// has neither.
func (c *call) precondition() Precondition {
	if c.ifMatch == "" && c.ifNoneMatch == "" {
		return nil
	}
	match, noneMatch := c.ifMatch, c.ifNoneMatch
	return func(version string) bool {
		return (match == "" || matchesTag(match, version)) && (noneMatch == "" || !matchesTag(noneMatch, version))
	}
}

// matchesTag reports whether a list of entity tags contains version. The comparison is weak, as the
// tags of SCIM resources are (RFC 7644 §3.14).
func matchesTag(header, version string) bool {
	for _, tag := range strings.Split(header, ",") {
		tag = strings.TrimSpace(tag)
		if tag == "*" || tag != "" && version != "" && opaque(tag) == opaque(version) {
			return true
		}
	}
	return false
}

// opaque returns a tag without W/ and quotes. Tags without quotes are accepted.
func opaque(tag string) string {
	return strings.Trim(strings.TrimPrefix(tag, "W/"), `"`)
}
