// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"slices"
)

// Names of the sides, in the order of the tables' columns.
const (
	sideOurs     = "scim-webhook"
	sideRaw      = "client-go"
	sidePrepared = "net/http"
	sideElimity  = "elimity"
	sideSCIMMY   = "SCIMMY"
)

// request sends the n-th request to one side.
type request func(ctx context.Context, n int) error

// operation is one kind of request, as each side makes it.
type operation struct {
	name  string
	alone bool // send one request at a time, because each causes many writes
	once  bool // send one request in a round, because it takes long
	sides map[string]request

	// prepare creates the objects that the requests need, before the first one; nil if there are
	// none.
	prepare func(ctx context.Context) error
}

// sides contains the running servers of one size.
type sides struct {
	size     int
	prepared *scim
	others   map[string]*scim
	pids     map[string]int // of each side's server
}

// someMembers is the number of users that one request adds to a group.
const someMembers = 100

// operations returns the measured operations at one size, in the order of the tables.
func (s *suite) operations(all sides) []operation {
	size := all.size
	spread := func(n int) int { return n * 7919 % size }
	start := func(n int) int { return 1 + spread(n)%(size-100) }
	ops := []operation{
		{name: "list page of 100", sides: map[string]request{
			sideRaw: func(ctx context.Context, n int) error { return s.raw.list(ctx, n) },
		}},
		{name: "list page of 100, two attributes", sides: map[string]request{}},
		{name: "GET by id", sides: map[string]request{
			sideRaw: func(ctx context.Context, n int) error { return s.raw.get(ctx, spread(n)) },
		}},
		{name: "userName eq", sides: map[string]request{
			sideRaw: func(ctx context.Context, n int) error { return s.raw.equal(ctx, spread(n)) },
		}},
		{name: "POST", sides: map[string]request{
			sideRaw: func(ctx context.Context, n int) error {
				return s.raw.post(ctx, fmt.Sprintf("raw%d-%d@example.test", size, n))
			},
		}},
		{name: "PATCH active", sides: map[string]request{
			sideRaw: func(ctx context.Context, n int) error { return s.raw.patchActive(ctx, half(n, size, 1), turn(n, size)) },
		}},
		s.rawGroupPatch(size),
		s.rawGroupPush(size),
	}
	reads := func(server *scim, name string) {
		ops[0].sides[name] = func(ctx context.Context, n int) error { return server.list(ctx, start(n)) }
		ops[1].sides[name] = func(ctx context.Context, n int) error { return server.project(ctx, start(n)) }
		ops[2].sides[name] = func(ctx context.Context, n int) error { return server.get(ctx, spread(n)) }
	}
	reads(all.prepared, sidePrepared)
	ops[3].sides[sidePrepared] = func(ctx context.Context, _ int) error { return all.prepared.equal(ctx, size/2) }
	for name, server := range all.others {
		reads(server, name)
		ops[3].sides[name] = func(ctx context.Context, n int) error { return server.equal(ctx, spread(n)) }
		ops[4].sides[name] = func(ctx context.Context, n int) error {
			return server.post(ctx, fmt.Sprintf("new%d-%d@example.test", size, n))
		}
		ops[5].sides[name] = func(ctx context.Context, n int) error {
			return server.patchActive(ctx, half(n, size, 0), turn(n, size))
		}
		ops[6].sides[name] = s.groupPatch(server, size)
		ops[7].sides[name] = func(ctx context.Context, n int) error {
			_, err := server.group(ctx, fmt.Sprintf("Large %d-%d", size, n), ids(0, min(s.large, size)))
			return err
		}
	}
	ops = append(ops, s.memberChange(size, 10))
	if s.largest <= size {
		ops = append(ops, s.largestPush(), s.memberChange(size, s.largest))
	}
	return slices.DeleteFunc(ops, func(o operation) bool { return !s.wanted(o.name) })
}

// half returns the user that the n-th PATCH changes. The webhook gets even numbers and the raw side
// odd ones, so that no side undoes the other's work.
func half(n, size, odd int) int { return n%(size/2)*2 + odd }

// turn returns the next value of active, which alternates.
func turn(n, size int) bool { return n/(size/2)%2 == 1 }

// ids returns the ids of count users, from the given one.
func ids(from, count int) []string {
	out := make([]string, count)
	for i := range out {
		out[i] = personID(from + i)
	}
	return out
}

// groupPatch alternately adds 100 users to a group and removes them.
func (s *suite) groupPatch(server *scim, size int) request {
	id := ""
	return func(ctx context.Context, n int) (err error) {
		if id == "" {
			if id, err = server.group(ctx, fmt.Sprintf("Some %d", size), nil); err != nil {
				return err
			}
		}
		return server.patchGroup(ctx, id, ids(0, someMembers), n%2 == 0)
	}
}

func (s *suite) rawGroupPatch(size int) operation {
	id := ""
	return operation{name: "group PATCH of 100 members", alone: true, sides: map[string]request{
		sideRaw: func(ctx context.Context, n int) (err error) {
			if id == "" {
				if id, err = s.raw.group(ctx, fmt.Sprintf("Raw some %d", size), nil); err != nil {
					return err
				}
			}
			return s.raw.patchGroup(ctx, id, ids(size-someMembers, someMembers), n%2 == 0)
		},
	}}
}

func (s *suite) rawGroupPush(size int) operation {
	members := min(s.large, size)
	return operation{name: fmt.Sprintf("a group of %d pushed", members), alone: true, once: true, sides: map[string]request{
		sideRaw: func(ctx context.Context, n int) error {
			_, err := s.raw.group(ctx, fmt.Sprintf("Raw large %d-%d", size, n), ids(size-members, members))
			return err
		},
	}}
}

// largestPush creates a group that needs several requests. The other SCIM servers are omitted:
// their stores replace members where they should add them.
func (s *suite) largestPush() operation {
	members := ids(0, s.largest)
	return operation{name: fmt.Sprintf("a group of %d pushed", s.largest), alone: true, once: true, sides: map[string]request{
		sideOurs: func(ctx context.Context, n int) error {
			_, err := s.ours.group(ctx, fmt.Sprintf("Largest %d", n), members)
			return err
		},
		sideRaw: func(ctx context.Context, n int) error {
			_, err := s.raw.group(ctx, fmt.Sprintf("Raw largest %d", n), members)
			return err
		},
	}}
}

// moving is the number of users that are added and removed, one at a time, so that the group's size
// stays about the same.
const moving = 64

// memberChange adds one user at a time to a group, or removes one.
func (s *suite) memberChange(size, members int) operation {
	name := fmt.Sprintf("one member into or out of a group of %d", members)
	op := operation{name: name, sides: map[string]request{}}
	first := min(members, size-moving) // of the users that are added and removed
	change := func(ctx context.Context, patch func(context.Context, string, []string, bool) error, id string, n int) error {
		joins := n/moving%2 == 0
		if first < members {
			joins = !joins // they are members already
		}
		return patch(ctx, id, ids(first+n%moving, 1), joins)
	}
	var ours, theirs string
	op.prepare = func(ctx context.Context) (err error) {
		if ours, err = s.ours.group(ctx, fmt.Sprintf("Members %d of %d", members, size), ids(0, members)); err != nil {
			return err
		}
		theirs, err = s.raw.group(ctx, fmt.Sprintf("Raw members %d of %d", members, size), ids(0, members))
		return err
	}
	op.sides[sideOurs] = func(ctx context.Context, n int) error { return change(ctx, s.ours.patchGroup, ours, n) }
	op.sides[sideRaw] = func(ctx context.Context, n int) error { return change(ctx, s.raw.patchGroup, theirs, n) }
	return op
}
