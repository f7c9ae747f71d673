// SPDX-License-Identifier: Apache-2.0

package store_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"lightrun.com/scim-operator/internal/gateway/server"
	"lightrun.com/scim-operator/internal/gateway/store"
	"lightrun.com/scim-operator/internal/scim"
	"lightrun.com/scim-operator/internal/scim/patch"
	"lightrun.com/scim-operator/test/framework/histories"
)

// recorder sends requests to two replicas and records the answers. The history's tags are ids.
type recorder struct {
	t        *testing.T
	history  *histories.History
	replicas []*store.Directory
}

func (r *recorder) outcome(err error) histories.Outcome {
	switch status(err) {
	case 0:
		if err == nil {
			return histories.Done
		}
	case http.StatusNotFound:
		return histories.Gone
	case http.StatusConflict:
		return histories.Taken
	}
	if s := status(err); s >= 400 && s < 500 {
		r.t.Errorf("refused: %v", err)
	}
	return histories.Unanswered
}

// do sends a request to one replica.
func (r *recorder) do(client int, request any, ask func(d *store.Directory) (histories.Answer, error)) histories.Answer {
	e := histories.Event{Client: client, Server: fmt.Sprint(client % 2), Request: request, Call: r.history.Now()}
	answer, err := ask(r.replicas[client%2])
	answer.Outcome = r.outcome(err)
	e.Answer = answer
	r.history.Add(e)
	return answer
}

func (r *recorder) change(client int, group string, c histories.Change) {
	c.Group = group
	r.do(client, c, func(d *store.Directory) (histories.Answer, error) {
		var changes []patch.MemberChange
		switch {
		case c.Replace:
			changes = append(changes, patch.MemberChange{Op: patch.ReplaceMembers, IDs: c.Add})
		default:
			changes = append(changes, patch.MemberChange{Op: patch.AddMembers, IDs: c.Add}, patch.MemberChange{Op: patch.RemoveMembers, IDs: c.Remove})
		}
		return histories.Answer{}, change(d, r.t, group, changes...)
	})
}

func (r *recorder) getGroup(client int, group string) {
	r.do(client, histories.GetGroup{Tag: group}, func(d *store.Directory) (a histories.Answer, err error) {
		have, err := d.Groups().Get(r.t.Context(), group, true)
		if err == nil {
			a.Group, a.Members = shownGroup(r.t, have), append([]string{}, linked(have)...)
		}
		return a, err
	})
}

func (r *recorder) getUser(client int, id string) {
	r.do(client, histories.Get{Tag: id}, func(d *store.Directory) (a histories.Answer, err error) {
		have, err := d.Users().Get(r.t.Context(), id)
		if err == nil {
			a.Person = &histories.Person{Tag: id, Name: id, Groups: strings.Join(linked(have), ",")}
		}
		return a, err
	})
}

// createGroup creates a group; its tag is its id, which is unknown before.
func (r *recorder) createGroup(client int, name string, members []string) string {
	e := histories.Event{Client: client, Server: fmt.Sprint(client % 2), Call: r.history.Now()}
	made, err := r.replicas[client%2].Groups().Create(r.t.Context(), scim.Object{"displayName": name}, members)
	if err != nil {
		r.t.Error(err)
		return ""
	}
	group := histories.Group{Tag: made.ID, Name: name}
	e.Request, e.Answer = histories.CreateGroup{Group: group, Members: members}, histories.Answer{Outcome: histories.Done, Group: &group}
	r.history.Add(e)
	return made.ID
}

func shownGroup(t *testing.T, r *server.Resource) *histories.Group {
	o, err := r.Object("", false)
	if err != nil {
		t.Error(err)
	}
	name, _ := o["displayName"].(string)
	return &histories.Group{Tag: r.ID, Name: name}
}

// TestHistoryOfMembers records what two replicas answer about the members of groups that are
// changed, replaced, split and deleted concurrently: each user in each group must be linearizable.
func TestHistoryOfMembers(t *testing.T) {
	w := newWorld(t)
	r := &recorder{t: t, history: histories.Begin(), replicas: []*store.Directory{w.replica(t), w.replica(t)}}
	people := createUsers(t, r.replicas[0], 310)
	for _, id := range people { // other tests cover the users themselves
		made := histories.Person{Tag: id, Name: id}
		r.history.Add(histories.Event{Request: histories.Create{Person: made}, Answer: histories.Answer{Outcome: histories.Done, Person: &made}})
	}
	staff, crowd := people[:6], people[6:]
	large := r.createGroup(0, "Large", crowd[:240])
	var wg sync.WaitGroup
	for client := range 6 {
		wg.Go(func() {
			random := rand.New(rand.NewPCG(uint64(client), 7))
			some := func() []string {
				return []string{staff[random.IntN(3)], staff[3+random.IntN(3)]}
			}
			for range 25 {
				switch choice := random.IntN(100); {
				case choice < 30:
					r.change(client, large, histories.Change{Add: some()})
				case choice < 55:
					r.change(client, large, histories.Change{Remove: some()})
				case choice < 70:
					r.getGroup(client, large)
				case choice < 85:
					r.getUser(client, staff[random.IntN(len(staff))])
				case choice < 90: // splits
					r.change(client, large, histories.Change{Add: crowd[240+random.IntN(30):]})
				case choice < 95:
					r.change(client, large, histories.Change{Replace: true, Add: slices.Concat(some(), crowd[:random.IntN(len(crowd))])})
				default:
					group := r.createGroup(client, fmt.Sprintf("Short-lived %d", r.history.Now()), some())
					r.change(client, group, histories.Change{Remove: some()})
					r.getGroup(client, group)
					r.do(client, histories.DeleteGroup{Tag: group}, func(d *store.Directory) (histories.Answer, error) {
						return histories.Answer{}, d.Groups().Delete(t.Context(), group)
					})
					r.getUser(client, staff[0])
				}
			}
		})
	}
	wg.Wait()
	if n := len(w.slicesOf(t, large)); n < 2 {
		t.Errorf("the large group must be split; it has %d slices", n)
	}
	result := histories.Check(r.history.Events(), time.Minute)
	t.Logf("%d requests, %d parts", result.Operations, result.Parts)
	for _, v := range result.Violations {
		t.Error(v)
	}
}
