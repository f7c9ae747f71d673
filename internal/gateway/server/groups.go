// SPDX-License-Identifier: Apache-2.0

package server

import (
	"maps"
	"net/http"
	"strings"

	"lightrun.com/scim-operator/internal/scim"
	"lightrun.com/scim-operator/internal/scim/patch"
	"lightrun.com/scim-operator/internal/scim/schema"
)

// groupBody reads a POST or PUT body: the group's own attributes and, separately, the ids of its
// members. Members are read as they were sent, so that a member without an id is an error, and is
// not dropped as an empty element.
func (c *call) groupBody(mode schema.Mode) (group scim.Object, members []string, err error) {
	k := groupKind()
	body, err := c.normalised(k)
	if err != nil {
		return nil, nil, err
	}
	members, err = patch.MemberIDs(body)
	if err != nil {
		return nil, nil, err
	}
	rest := maps.Clone(body)
	maps.DeleteFunc(rest, func(name string, _ any) bool { return strings.EqualFold(name, k.links) })
	group, err = canonical(k, rest, mode)
	return group, members, err
}

// createGroup handles POST /Groups (RFC 7644 §3.3).
func (c *call) createGroup() (reply, error) {
	s, err := c.showing(groupKind())
	if err != nil {
		return reply{}, err
	}
	group, members, err := c.groupBody(schema.Create)
	if err != nil {
		return reply{}, err
	}
	r, err := c.Groups.Create(c.ctx, group, members)
	if err != nil {
		return reply{}, err
	}
	return c.one(http.StatusCreated, r, s), nil
}

// getGroup handles GET /Groups/{id} (RFC 7644 §3.4.1).
func (c *call) getGroup() (reply, error) {
	s, err := c.showing(groupKind())
	if err != nil {
		return reply{}, err
	}
	r, err := c.Groups.Get(c.ctx, c.segments[1], s.links)
	if err != nil {
		return reply{}, err
	}
	return c.read(r, s)
}

// replaceGroup handles PUT /Groups/{id} (RFC 7644 §3.5.1). Because null, absent and [] are equal
// (RFC 7643 §2.5), a body without members empties the group.
func (c *call) replaceGroup() (reply, error) {
	s, err := c.showing(groupKind())
	if err != nil {
		return reply{}, err
	}
	body, members, err := c.groupBody(schema.Replace)
	if err != nil {
		return reply{}, err
	}
	r, err := c.updateGroup(func(have scim.Object) (scim.Object, []patch.MemberChange, error) {
		want, err := patch.Put(schema.Group(), have, body)
		return want, []patch.MemberChange{{Op: patch.ReplaceMembers, IDs: members}}, err
	})
	if err != nil {
		return reply{}, err
	}
	return c.one(http.StatusOK, r, s), nil
}

// patchGroup handles PATCH /Groups/{id} (RFC 7644 §3.5.2). Unless attributes are requested, it
// responds with 204, which Entra ID expects and which is cheapest for a large group.
func (c *call) patchGroup() (reply, error) {
	k := groupKind()
	s, err := c.showing(k)
	if err != nil {
		return reply{}, err
	}
	ops, err := c.operations(k)
	if err != nil {
		return reply{}, err
	}
	attributes, members, err := patch.GroupOps(ops)
	if err != nil {
		return reply{}, err
	}
	for i := range members {
		members[i].Base = c.base
	}
	r, err := c.updateGroup(func(have scim.Object) (scim.Object, []patch.MemberChange, error) {
		want, err := patch.Apply(k.schema, have, attributes)
		return want, members, err
	})
	switch {
	case err != nil:
		return reply{}, err
	case c.query.Has("attributes") || c.query.Has("excludedAttributes"):
		return c.one(http.StatusOK, r, s), nil
	}
	return reply{status: http.StatusNoContent, location: c.base + "/Groups/" + r.ID}, nil
}

func (c *call) updateGroup(change func(scim.Object) (scim.Object, []patch.MemberChange, error)) (*Resource, error) {
	if err := c.noVersion(); err != nil {
		return nil, err
	}
	return c.Groups.Update(c.ctx, c.segments[1], change)
}

// deleteGroup handles DELETE /Groups/{id} (RFC 7644 §3.6).
func (c *call) deleteGroup() (reply, error) {
	if err := c.noVersion(); err != nil {
		return reply{}, err
	}
	if err := c.Groups.Delete(c.ctx, c.segments[1]); err != nil {
		return reply{}, err
	}
	return reply{status: http.StatusNoContent}, nil
}

// noVersion refuses If-Match with a tag: groups have no version, because their members are stored
// separately and change one by one.
func (c *call) noVersion() error {
	if p := c.precondition(); p != nil && !p("") {
		return scim.Failure(http.StatusPreconditionFailed, "Groups have no ETag, so this condition never matches; omit If-Match and If-None-Match.")
	}
	return nil
}
