// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"fmt"
	"net/http"
	"slices"

	"lightrun.com/scim-operator/test/framework/histories"
	"lightrun.com/scim-operator/test/framework/idp"
)

// pushMembers changes and reads the members of the permanent groups, until ctx ends.
func (p *pusher) pushMembers(ctx context.Context) {
	for ctx.Err() == nil {
		p.breathe(ctx, p.pushMember(ctx, p.groups[p.rand.IntN(len(p.groups))]))
	}
}

// pushGroups creates, finds, renames and deletes groups, and changes their members, until ctx ends.
func (p *pusher) pushGroups(ctx context.Context) {
	for ctx.Err() == nil {
		p.breathe(ctx, p.pushGroup(ctx))
	}
}

// pushMember sends one request about the members of a group. It reports whether it got a response.
func (p *pusher) pushMember(ctx context.Context, group string) bool {
	some := p.someStaff()
	switch choice := p.rand.IntN(100); {
	case p.large[group] > 0 && choice < 25:
		return p.pushLarge(ctx, group)
	case p.large[group] > 0 && choice > 95:
		return p.replaceTwice(ctx, group)
	case choice < 20:
		return p.getGroup(ctx, group)
	case choice < 40:
		return p.get(ctx, some[0])
	case choice < 65:
		return p.change(ctx, histories.Change{Group: group, Add: some})
	case choice < 90:
		return p.change(ctx, histories.Change{Group: group, Remove: some})
	}
	return p.replaceMembers(ctx, group)
}

// pushGroup sends one request about a temporary group.
func (p *pusher) pushGroup(ctx context.Context) bool {
	group := p.someGroup()
	switch choice := p.rand.IntN(100); {
	case group == "" || choice < 20:
		return p.arriveGroup(ctx, p.some(p.teams))
	case choice < 55:
		return p.pushMember(ctx, group)
	case choice < 65:
		return p.findGroup(ctx, p.some(p.teams))
	case choice < 75:
		name := p.some(p.teams)
		return p.change(ctx, histories.Change{Group: group, Name: &name})
	case choice < 80: // and members, in one PATCH
		name := p.some(p.teams)
		return p.change(ctx, histories.Change{Group: group, Name: &name, Add: p.someStaff()})
	case choice < 86:
		name := p.some(p.teams)
		return p.replaceGroup(ctx, histories.Change{Group: group, Name: &name, Add: p.someStaff(), Replace: true})
	case choice < 93:
		return p.deleteGroup(ctx, group)
	}
	if !p.deleteGroup(ctx, group) { // and create it again at once
		return false
	}
	return p.arriveGroup(ctx, p.some(p.teams))
}

// someGroup returns a recently seen group; "" if there is none.
func (p *pusher) someGroup() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.lateTeams) == 0 {
		return ""
	}
	return p.lateTeams[p.rand.IntN(len(p.lateTeams))]
}

// arriveGroup creates a group as providers do: it repeats requests without a response, and searches
// for the group after a conflict.
func (p *pusher) arriveGroup(ctx context.Context, name string) bool {
	members := p.someStaff()
	if p.rand.IntN(2) == 0 {
		members = nil
	}
	for range 3 {
		answer, answered := p.createGroup(ctx, histories.Group{Tag: fmt.Sprintf("g%s-r%d", (*p.value())[1:], p.round.number), Name: name}, members)
		if answer.Outcome == histories.Taken {
			return p.findGroup(ctx, name)
		}
		if answered {
			return true
		}
		p.breathe(ctx, false)
	}
	return false
}

func (p *pusher) createGroup(ctx context.Context, group histories.Group, members []string) (histories.Answer, bool) {
	return p.createGroupOf(ctx, group, members, many{})
}

func (p *pusher) createGroupOf(ctx context.Context, group histories.Group, members []string, with many) (histories.Answer, bool) {
	body := p.groupDocument(group, members)
	if len(with.ids) > 0 {
		body["members"] = p.references(members, with.ids...)
	}
	request := histories.CreateGroup{Group: group, Members: slices.Concat(members, with.tags)}
	return p.do(ctx, ask{request: request, method: http.MethodPost, path: "/Groups", body: body})
}

// groupDocument returns a group as a provider pushes it.
func (p *pusher) groupDocument(group histories.Group, members []string) map[string]any {
	out := map[string]any{
		"schemas":     []string{"urn:ietf:params:scim:schemas:core:2.0:Group"},
		"displayName": group.Name, "externalId": group.Tag,
	}
	if members != nil {
		out["members"] = p.references(members)
	}
	return out
}

func (p *pusher) getGroup(ctx context.Context, group string) bool {
	_, answered := p.do(ctx, ask{request: histories.GetGroup{Tag: group}, method: http.MethodGet, path: "/Groups/" + p.id(group)})
	return answered
}

func (p *pusher) findGroup(ctx context.Context, name string) bool {
	_, answered := p.do(ctx, ask{request: histories.FindGroup{Name: name}, method: http.MethodGet, path: filtered("/Groups", "displayName", name)})
	return answered
}

func (p *pusher) deleteGroup(ctx context.Context, group string) bool {
	_, answered := p.do(ctx, ask{request: histories.DeleteGroup{Tag: group}, method: http.MethodDelete, path: "/Groups/" + p.id(group)})
	return answered
}

// change sends a PATCH, with a path for the name, as Entra ID does, or without, as Okta does.
func (p *pusher) change(ctx context.Context, c histories.Change) bool {
	return p.changeOf(ctx, c, many{})
}

// changeOf sends a PATCH that also adds, removes or replaces a part of the crowd.
func (p *pusher) changeOf(ctx context.Context, c histories.Change, with many) bool {
	var operations []map[string]any
	if c.Name != nil && p.rand.IntN(2) == 0 {
		operations = append(operations, map[string]any{"op": "Replace", "path": "displayName", "value": *c.Name})
	} else if c.Name != nil {
		operations = append(operations, map[string]any{"op": "replace", "value": map[string]any{"id": p.id(c.Group), "displayName": *c.Name}})
	}
	members := func(op string, tags []string) {
		operations = append(operations, map[string]any{"op": op, "path": "members", "value": p.references(tags, with.ids...)})
	}
	switch {
	case c.Replace:
		members("replace", c.Add)
	case c.Add != nil:
		members("add", c.Add)
	case c.Remove != nil:
		members("remove", c.Remove)
	}
	if c.Remove != nil {
		c.Remove = slices.Concat(c.Remove, with.tags)
	} else {
		c.Add = slices.Concat(c.Add, with.tags)
	}
	_, answered := p.do(ctx, ask{request: c, method: http.MethodPatch, path: "/Groups/" + p.id(c.Group), body: idp.Patch(operations...)})
	return answered
}

// replaceGroup sends a PUT.
func (p *pusher) replaceGroup(ctx context.Context, c histories.Change) bool {
	body := p.groupDocument(histories.Group{Tag: c.Group, Name: *c.Name}, c.Add)
	_, answered := p.do(ctx, ask{request: c, method: http.MethodPut, path: "/Groups/" + p.id(c.Group), body: body})
	return answered
}

// someStaff returns one to three of the staff.
func (p *pusher) someStaff() []string {
	var tags []string
	for _, i := range p.rand.Perm(len(p.staff))[:1+p.rand.IntN(3)] {
		tags = append(tags, p.staff[i])
	}
	return tags
}

func (p *pusher) references(tags []string, ids ...string) []any {
	out := []any{}
	for _, id := range ids {
		out = append(out, map[string]any{"value": id})
	}
	for _, tag := range tags {
		out = append(out, map[string]any{"value": p.id(tag)})
	}
	return out
}
