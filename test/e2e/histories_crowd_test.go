// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"

	"lightrun.com/scim-operator/test/framework/histories"
)

// In a long run some groups are large. Their members are a crowd of users who do not change
// otherwise. The history follows a few of them, spread over all slices, as it follows the staff.

const (
	crowdSize = 5200
	// mid is the size of the group with two slices; its part of the crowd is evenly spread.
	mid = 260
	// followed is the number of users of the crowd that the history follows. Each of them is in the
	// group of size mid too.
	followed = 10
)

// gather pushes the crowd, once for all rounds.
func (d *drill) gather() {
	d.t.Helper()
	names := make([]string, crowdSize)
	for i := range names {
		names[i] = d.name(fmt.Sprintf("crowd%d", i))
	}
	d.crowd = d.insistAll(names, 16, nil)
	slices.Sort(d.crowd)
}

func (d *drill) inCrowd(id string) bool {
	_, found := slices.BinarySearch(d.crowd, id)
	return found
}

// crowdTag returns the tag of a user of the crowd that the history follows; false for the others.
func crowdTag(i int) (string, bool) {
	const each = crowdSize / followed // a multiple of crowdSize / mid
	return fmt.Sprintf("crowd%d", i/each), i%each == 0
}

// many is a part of the crowd: its size, and the tags of those that the history follows.
type many struct {
	ids, tags []string
}

// part is some of the crowd of a group of this size: all of it, a half, a few or none.
func (d *drill) part(random *rand.Rand, size int) many {
	step := crowdSize / size
	every := []int{1, 2, size / 3, size + 1}[random.IntN(4)]
	var m many
	for n := every - 1; n < size; n += every {
		m.add(d.crowd, n*step)
	}
	return m
}

// whole returns all of the crowd of a group of this size.
func (d *drill) whole(size int) many {
	var m many
	for n := range size {
		m.add(d.crowd, n*(crowdSize/size))
	}
	return m
}

func (m *many) add(crowd []string, i int) {
	m.ids = append(m.ids, crowd[i])
	if tag, follows := crowdTag(i); follows {
		m.tags = append(m.tags, tag)
	}
}

// fillLarge creates the large groups of a round in a long run.
func (r *round) fillLarge(p *pusher) {
	r.large = map[string]int{}
	if !r.long {
		return
	}
	for i, id := range r.crowd {
		if tag, follows := crowdTag(i); follows {
			r.tags[id] = tag
		}
	}
	for _, size := range []int{mid, crowdSize} {
		tag := fmt.Sprintf("group-of-%d-r%d", size, r.number)
		r.groups = append(r.groups, tag)
		r.large[tag] = size
		m := r.whole(size)
		p.createGroupOf(r.t.Context(), histories.Group{Tag: tag, Name: r.userName(fmt.Sprintf("group-of-%d", size))}, nil, m)
		if r.id(tag) == "" {
			r.t.Fatalf("round %d can't begin: %s could not be pushed", r.number, tag)
		}
	}
}

// endLarge deletes the large groups, so that rounds cost the same.
func (r *round) endLarge() {
	for tag := range r.large {
		eventually(r.t, "delete "+tag, func(ctx context.Context) error {
			a, err := r.scim(ctx, http.MethodDelete, "/Groups/"+r.id(tag), nil)
			if err == nil && a.Status != http.StatusNoContent && a.Status != http.StatusNotFound {
				err = fmt.Errorf("answered %d %s", a.Status, a.Detail())
			}
			return err
		})
	}
}

// replaceTwice replaces all members of the group through both webhooks at once.
func (p *pusher) replaceTwice(ctx context.Context, group string) bool {
	other := p.newPusher(100 + p.number)
	other.rand = rand.New(rand.NewPCG(p.rand.Uint64(), 0))
	other.only = p.replicas[p.rand.IntN(len(p.replicas))]
	done := make(chan bool)
	go func() { done <- other.replaceMembers(ctx, group) }()
	answered := p.replaceMembers(ctx, group)
	return <-done && answered
}

func (p *pusher) replaceMembers(ctx context.Context, group string) bool {
	c := histories.Change{Group: group, Add: p.someStaff(), Replace: true}
	if size := p.large[group]; size > 0 {
		return p.changeOf(ctx, c, p.part(p.rand, size))
	}
	return p.change(ctx, c)
}

// pushLarge changes many members of a large group at once.
func (p *pusher) pushLarge(ctx context.Context, group string) bool {
	c := histories.Change{Group: group}
	m := p.part(p.rand, p.large[group])
	switch p.rand.IntN(4) {
	case 0, 1:
		c.Add = p.someStaff() // with them, so that the history covers splits of slices
	default:
		c.Remove = p.someStaff()
	}
	return p.changeOf(ctx, c, m)
}
