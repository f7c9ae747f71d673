// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"lightrun.com/scim-operator/test/framework/histories"
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
	status, etag, body, err := p.send(context.WithoutCancel(ctx), to.url, a) // a started request is finished
	if to.process() != e.Server {
		e.Server = "" // it was restarted meanwhile: the answering process is unknown
	}
	var refused *net.OpError
	switch {
	case errors.As(err, &refused) && refused.Op == "dial", status == http.StatusTooManyRequests:
		return answer, false
	case err == nil && status == http.StatusServiceUnavailable && unchanged(body):
		return answer, false
	case err != nil || status >= http.StatusInternalServerError:
		if a.method != http.MethodGet {
			p.history.Add(e)
		}
		return answer, false
	}
	e.Answer = p.understand(a, status, etag, body)
	p.history.Add(e)
	return e.Answer, true
}

// unchanged says whether a refusal promises that it had no effect, as a webhook does whose cache is
// not filled yet.
func unchanged(body map[string]any) bool {
	detail, _ := body["detail"].(string)
	return strings.Contains(detail, "Nothing was changed")
}

func (p *pusher) send(ctx context.Context, base string, a ask) (status int, etag string, body map[string]any, err error) {
	var content io.Reader = http.NoBody
	if a.body != nil {
		encoded, err := json.Marshal(a.body)
		if err != nil {
			return 0, "", nil, err
		}
		content = bytes.NewReader(encoded)
	}
	request, err := http.NewRequestWithContext(ctx, a.method, base+a.path, content)
	if err != nil {
		return 0, "", nil, err
	}
	request.Header.Set("Authorization", "Bearer "+p.token)
	request.Header.Set("Content-Type", "application/scim+json")
	if a.ifMatch != "" {
		request.Header.Set("If-Match", a.ifMatch)
	}
	response, err := p.http.Do(request)
	if err != nil {
		return 0, "", nil, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err == nil && len(text) > 0 {
		err = json.Unmarshal(text, &body)
	}
	return response.StatusCode, response.Header.Get("Etag"), body, err
}

// understand converts an HTTP response for the history.
func (p *pusher) understand(a ask, status int, etag string, body map[string]any) histories.Answer {
	shown := []any{body}
	if list, ok := body["Resources"]; ok {
		shown, _ = list.([]any)
	}
	if len(shown) > 1 {
		p.t.Errorf("%s %s shows %d resources: a user is duplicated: %v", a.method, a.path, len(shown), shown)
	}
	switch status {
	case http.StatusOK, http.StatusCreated, http.StatusNoContent:
	case http.StatusNotFound:
		return histories.Answer{Outcome: histories.Gone}
	case http.StatusConflict:
		return histories.Answer{Outcome: histories.Taken}
	case http.StatusPreconditionFailed:
		return histories.Answer{Outcome: histories.Stale}
	default:
		p.t.Errorf("%s %s answered %d %v", a.method, a.path, status, body)
	}
	answer := histories.Answer{Outcome: histories.Done}
	switch {
	case len(shown) != 1 || body == nil:
	case strings.HasPrefix(a.path, "/Groups"):
		group := p.meetGroup(shown[0].(map[string]any))
		answer.Group, answer.Members = &group, p.members(body)
	default:
		person := p.meet(shown[0].(map[string]any), etag)
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
// answers again, as a provider does. It returns at once when the round ends.
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
		status, _, _, err := p.send(ctx, url, ask{method: http.MethodGet, path: "/Users?count=1"})
		answered = err == nil && status == http.StatusOK
		timer.Reset(50 * time.Millisecond)
	}
}
