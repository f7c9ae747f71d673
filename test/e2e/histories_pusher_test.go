// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"lightrun.com/scim-operator/test/framework/histories"
	"lightrun.com/scim-operator/test/framework/idp"
)

// pusher is one connection of an identity provider.
type pusher struct {
	*round
	number int
	rand   *rand.Rand
	http   *http.Client
	made   int
	seen   map[string]sighting
	only   *replica // the replica to send requests to; nil for any
}

// sighting is a user as this pusher last saw it.
type sighting struct {
	person histories.Person
	etag   string
}

func (r *round) newPusher(number int) *pusher {
	return &pusher{
		round: r, number: number, rand: r.random(r.number, fmt.Sprint("pusher", number)), seen: map[string]sighting{},
		http: &http.Client{Timeout: 40 * time.Second, Transport: &http.Transport{}},
	}
}

// ask is a request, in the forms of HTTP and of the history.
type ask struct {
	request      any
	method, path string
	body         any
	ifMatch      string
}

// do sends a request to one of the webhooks and records it. It records no request that had no
// effect: one that was never sent, was refused for its rate or with "Nothing was changed", or an
// unanswered read. answered is false for those, and for an unanswered write.
func (p *pusher) do(ctx context.Context, a ask) (answer histories.Answer, answered bool) {
	to := p.only
	if to == nil {
		to = p.replicas[p.rand.IntN(len(p.replicas))]
	}
	e := histories.Event{Client: p.number, Call: p.history.Now(), Server: to.process(), Request: a.request}
	got, err := p.send(context.WithoutCancel(ctx), to.url, a) // a started request is finished
	if to.process() != e.Server {
		e.Server = "" // it was restarted meanwhile: the answering process is unknown
	}
	var refused *net.OpError
	switch {
	case errors.As(err, &refused) && refused.Op == "dial", got.Status == http.StatusTooManyRequests:
		return answer, false
	case err == nil && got.Status == http.StatusServiceUnavailable && strings.Contains(got.Detail(), "Nothing was changed"):
		return answer, false
	case err != nil || got.Status >= http.StatusInternalServerError:
		if a.method != http.MethodGet {
			p.history.Add(e)
		}
		return answer, false
	}
	e.Answer = p.understand(a, got)
	p.history.Add(e)
	return e.Answer, true
}

func (p *pusher) send(ctx context.Context, base string, a ask) (idp.Answer, error) {
	to := idp.Provider{URL: base, Token: p.token, HTTP: p.http}
	return to.Send(ctx, a.method, a.path, a.body, "If-Match", a.ifMatch)
}

// understand converts an HTTP response for the history.
func (p *pusher) understand(a ask, got idp.Answer) histories.Answer {
	body := got.Body
	shown := []any{body}
	if list, ok := body["Resources"]; ok {
		shown, _ = list.([]any)
	}
	if len(shown) > 1 {
		p.t.Errorf("%s %s shows %d resources: a user is duplicated: %v", a.method, a.path, len(shown), shown)
	}
	switch got.Status {
	case http.StatusOK, http.StatusCreated, http.StatusNoContent:
	case http.StatusNotFound:
		return histories.Answer{Outcome: histories.Gone}
	case http.StatusConflict:
		return histories.Answer{Outcome: histories.Taken}
	case http.StatusPreconditionFailed:
		return histories.Answer{Outcome: histories.Stale}
	default:
		p.t.Errorf("%s %s answered %d %v", a.method, a.path, got.Status, body)
	}
	answer := histories.Answer{Outcome: histories.Done}
	switch {
	case len(shown) != 1 || body == nil:
	case strings.HasPrefix(a.path, "/Groups"):
		group := p.meetGroup(shown[0].(map[string]any))
		answer.Group, answer.Members = &group, p.members(body)
	default:
		person := p.meet(shown[0].(map[string]any), got.Header.Get("Etag"))
		answer.Person = &person
	}
	return answer
}

// meetGroup reads a group and remembers it.
func (p *pusher) meetGroup(body map[string]any) histories.Group {
	word := func(name string) string { s, _ := body[name].(string); return s }
	group := histories.Group{Tag: word("externalId"), Name: word("displayName")}
	p.metGroup(group.Tag, word("id"))
	return group
}

// meet reads a user and remembers it.
func (p *pusher) meet(user map[string]any, etag string) histories.Person {
	word := func(name string) string { s, _ := user[name].(string); return s }
	active, _ := user["active"].(bool)
	person := histories.Person{Tag: word("externalId"), Name: word("userName"), Title: word("title"), Nick: word("nickName"), Active: active}
	var groups []string
	list, _ := user["groups"].([]any)
	for _, g := range list {
		id, _ := g.(map[string]any)["value"].(string)
		groups = append(groups, p.known(id))
	}
	slices.Sort(groups)
	person.Groups = strings.Join(groups, ",")
	p.metPerson(person.Tag, word("id"))
	p.seen[person.Tag] = sighting{person, etag}
	return person
}

// members reads the tags of a group's members.
func (p *pusher) members(group map[string]any) []string {
	tags := []string{}
	list, _ := group["members"].([]any)
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, m := range list {
		id, _ := m.(map[string]any)["value"].(string)
		if tag := p.tags[id]; tag != "" || !p.inCrowd(id) {
			tags = append(tags, tag)
		}
	}
	return tags
}

// breathe waits a moment between requests; after an unanswered one it waits until the service
// responds again, as a provider does. It returns at once when the round ends.
func (p *pusher) breathe(ctx context.Context, answered bool) {
	timer := time.NewTimer(time.Duration(p.rand.IntN(20)) * time.Millisecond)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
		case <-ctx.Done():
			return
		}
		if answered {
			return
		}
		url := p.replicas[p.rand.IntN(len(p.replicas))].url
		got, err := p.send(ctx, url, ask{method: http.MethodGet, path: "/Users?count=1"})
		answered = err == nil && got.Status == http.StatusOK
		timer.Reset(50 * time.Millisecond)
	}
}
