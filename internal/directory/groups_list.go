package directory

import (
	"context"
	"fmt"
	"slices"

	"lightrun.com/scim-operator/internal/names"
	"lightrun.com/scim-operator/internal/scim/server"
)

// List implements server.Groups.
func (g groups) List(_ context.Context, q server.Query) (server.Page, error) {
	candidates, decided := g.candidates(q)
	if decided {
		q.Filter = nil
	}
	return q.Run(func(yield func(*server.Resource) bool) {
		for _, r := range candidates {
			if r.value.resource != nil && !yield(r.value.resource) {
				return
			}
		}
	})
}

// candidates are the pools that the filter could match. decided says that they are exactly those that it matches, so that no membership needs
// to be decoded to know it.
func (g groups) candidates(q server.Query) (records []*record[*pool], decided bool) {
	if q.Filter == nil {
		return g.pools.all(), true
	}
	decided = q.Filter.Exact()
	var tests []func(*record[*pool]) bool
	for _, eq := range equalities(q) {
		test := g.test(eq.Path, fmt.Sprint(eq.Value))
		if test == nil {
			decided = false
			continue
		}
		tests = append(tests, test)
	}
	all := g.pools.all()
	return slices.DeleteFunc(all, func(r *record[*pool]) bool {
		return slices.ContainsFunc(tests, func(test func(*record[*pool]) bool) bool { return !test(r) })
	}), decided
}

// test is an equality that can be decided without decoding a group; nil for others.
func (g groups) test(path, value string) func(*record[*pool]) bool {
	has := func(key string) func(*record[*pool]) bool {
		return func(r *record[*pool]) bool { return slices.Contains(r.keys, key) }
	}
	switch path {
	case "id":
		return func(r *record[*pool]) bool { return r.id() == value }
	case "displayName":
		return has(keyName + names.Fold(value))
	case "externalId":
		return has(keyExternalID + value)
	case "members", "members.value":
		member := g.people.get(value)
		return func(r *record[*pool]) bool {
			return member != nil && slices.Contains(member.value.asserted, r.id())
		}
	}
	return nil
}
