package directory

import (
	"context"
	"fmt"
	"slices"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/claims"
	"lightrun.com/scim-operator/internal/names"
	"lightrun.com/scim-operator/internal/scim/server"
)

// List implements server.Groups.
func (g groups) List(ctx context.Context, q server.Query) (server.Page, error) {
	candidates, decided, err := g.candidates(ctx, q)
	if err != nil {
		return server.Page{}, err
	}
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
func (g groups) candidates(ctx context.Context, q server.Query) (records []*record[*pool], decided bool, err error) {
	if q.Filter == nil {
		return g.pools.all(), true, nil
	}
	decided = q.Filter.Exact()
	var tests []func(*record[*pool]) bool
	named := false
	for _, eq := range equalities(q) {
		if eq.Path == "displayName" && !named {
			if records, err = g.byName(ctx, fmt.Sprint(eq.Value)); err != nil {
				return nil, false, err
			}
			named = true
		}
		test := g.test(eq.Path, fmt.Sprint(eq.Value))
		if test == nil {
			decided = false
			continue
		}
		tests = append(tests, test)
	}
	if !named {
		records = g.pools.all()
	}
	return slices.DeleteFunc(records, func(r *record[*pool]) bool {
		return slices.ContainsFunc(tests, func(test func(*record[*pool]) bool) bool { return !test(r) })
	}), decided, nil
}

// byName finds the pool that bears a name, as of now: through the claim, or, for one whose claim is yet to be made (declared or restored a
// moment ago), through the cache and a look at the API server. A group that is being created is not found before it has its claim, as it may
// yet be refused.
func (g groups) byName(ctx context.Context, name string) ([]*record[*pool], error) {
	holder, err := g.holder(ctx, v1alpha1.ClaimPool, name)
	if err != nil {
		return nil, err
	}
	have, ok := holder.(*v1alpha1.AgentPool)
	for _, r := range g.pools.under(keyName + names.Fold(name)) {
		if ok {
			break
		}
		var live v1alpha1.AgentPool
		found, err := g.read(ctx, r.id(), &live)
		if err != nil {
			return nil, err
		}
		have, ok = &live, found && !claims.MadeByWebhook(&live)
	}
	if !ok {
		return nil, nil
	}
	r, err := g.poolRecord(have)
	if err != nil {
		return nil, err
	}
	g.pools.wrote(r)
	return []*record[*pool]{r}, nil
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
