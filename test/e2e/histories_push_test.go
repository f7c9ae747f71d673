// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strings"

	"lightrun.com/scim-operator/test/framework/histories"
	"lightrun.com/scim-operator/test/framework/idp"
)

// pushUsers creates, reads, changes and deletes users until ctx ends.
func (p *pusher) pushUsers(ctx context.Context) {
	for ctx.Err() == nil {
		p.breathe(ctx, p.pushUser(ctx))
	}
}

// pushUser sends one request. It reports whether it got a response.
func (p *pusher) pushUser(ctx context.Context) bool {
	tag := p.knownUser()
	choice := p.rand.IntN(100)
	switch {
	case tag == "" || choice < 22:
		return p.arrive(ctx)
	case choice < 36:
		return p.get(ctx, tag)
	case choice < 50:
		return p.find(ctx, p.someName())
	case choice < 56:
		return p.search(ctx, tag)
	case choice < 78:
		return p.update(ctx, tag, p.someChange(tag))
	case choice < 84:
		return p.replace(ctx, tag)
	case choice < 90:
		name := p.someName()
		return p.update(ctx, tag, histories.Update{Tag: tag, Name: &name})
	case strings.HasPrefix(tag, "staff"):
		return p.get(ctx, tag)
	}
	_, answered := p.do(ctx, ask{request: histories.Delete{Tag: tag}, method: http.MethodDelete, path: "/Users/" + p.id(tag)})
	return answered
}

// knownUser returns a recently seen user, or one of the staff.
func (p *pusher) knownUser() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.late) == 0 || p.rand.IntN(5) == 0 {
		return p.staff[p.rand.IntN(len(p.staff))]
	}
	return p.late[p.rand.IntN(len(p.late))]
}

// someName returns one of a few names, in one of two spellings.
func (p *pusher) someName() string { return p.some(p.names) }

func (p *pusher) some(names []string) string {
	name := names[p.rand.IntN(len(names))]
	if p.rand.IntN(4) == 0 {
		return strings.ToUpper(name)
	}
	return name
}

// value returns a text that no other request writes.
func (p *pusher) value() *string {
	p.made++
	text := fmt.Sprintf("v%d-%d", p.number, p.made)
	return &text
}

// arrive creates a user as providers do: it repeats requests without a response, and searches for
// the user after a conflict.
func (p *pusher) arrive(ctx context.Context) bool {
	name := p.someName()
	for range 3 {
		answer, answered := p.create(ctx, histories.Person{Tag: fmt.Sprintf("t%s-r%d", (*p.value())[1:], p.round.number), Name: name, Active: true})
		if answer.Outcome == histories.Taken {
			return p.find(ctx, name)
		}
		if answered {
			return true
		}
		p.breathe(ctx, false)
	}
	return false
}

func (p *pusher) create(ctx context.Context, who histories.Person) (histories.Answer, bool) {
	return p.do(ctx, ask{request: histories.Create{Person: who}, method: http.MethodPost, path: "/Users", body: document(who)})
}

// document returns a user as a provider pushes it.
func document(who histories.Person) map[string]any {
	out := map[string]any{
		"schemas": []string{"urn:ietf:params:scim:schemas:core:2.0:User"}, "externalId": who.Tag, "userName": who.Name, "active": who.Active,
	}
	maps.DeleteFunc(out, func(_ string, v any) bool { return v == "" })
	if who.Title != "" {
		out["title"] = who.Title
	}
	if who.Nick != "" {
		out["nickName"] = who.Nick
	}
	return out
}

func (p *pusher) get(ctx context.Context, tag string) bool {
	_, answered := p.do(ctx, ask{request: histories.Get{Tag: tag}, method: http.MethodGet, path: "/Users/" + p.id(tag)})
	return answered
}

func filtered(kind, attribute, value string) string {
	return kind + "?filter=" + url.QueryEscape(fmt.Sprintf("%s eq %q", attribute, value))
}

func (p *pusher) find(ctx context.Context, name string) bool {
	_, answered := p.do(ctx, ask{request: histories.Find{Name: name}, method: http.MethodGet, path: filtered("/Users", "userName", name)})
	return answered
}

func (p *pusher) search(ctx context.Context, tag string) bool {
	_, answered := p.do(ctx, ask{request: histories.Search{Tag: tag}, method: http.MethodGet, path: filtered("/Users", "externalId", tag)})
	return answered
}

// someChange changes one attribute; sometimes only if the user's version is known.
func (p *pusher) someChange(tag string) histories.Update {
	u := histories.Update{Tag: tag}
	switch p.rand.IntN(3) {
	case 0:
		u.Title = p.value()
	case 1:
		u.Nick = p.value()
	default:
		active := p.rand.IntN(2) == 0
		u.Active = &active
	}
	if last, ok := p.seen[tag]; ok && last.etag != "" && p.rand.IntN(4) == 0 {
		u.If = &last.person
	}
	return u
}

// update sends a PATCH.
func (p *pusher) update(ctx context.Context, tag string, u histories.Update) bool {
	var operations []map[string]any
	set := func(path string, value any) {
		operations = append(operations, map[string]any{"op": "replace", "path": path, "value": value})
	}
	for path, value := range map[string]*string{"userName": u.Name, "title": u.Title, "nickName": u.Nick} {
		if value != nil {
			set(path, *value)
		}
	}
	if u.Active != nil {
		set("active", *u.Active)
	}
	a := ask{request: u, method: http.MethodPatch, path: "/Users/" + p.id(tag), body: idp.Patch(operations...)}
	if u.If != nil {
		a.ifMatch = p.seen[tag].etag
	}
	_, answered := p.do(ctx, a)
	return answered
}

// replace sends a PUT of the last known user, with another title.
func (p *pusher) replace(ctx context.Context, tag string) bool {
	last, ok := p.seen[tag]
	if !ok {
		return p.get(ctx, tag)
	}
	who := last.person
	who.Title = *p.value()
	u := histories.Update{Tag: tag, Name: &who.Name, Title: &who.Title, Nick: &who.Nick, Active: &who.Active}
	_, answered := p.do(ctx, ask{request: u, method: http.MethodPut, path: "/Users/" + p.id(tag), body: document(who)})
	return answered
}
