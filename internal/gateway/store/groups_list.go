// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"fmt"
	"slices"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/gateway/server"
	"lightrun.com/scim-operator/internal/kernel/names"
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
			if !yield(r.value.resource) {
				return
			}
		}
	})
}

// asked contains the first eq condition of each kind in a filter on groups. The other conditions
// are tested on each group.
type asked struct {
	id, name, member       string
	hasID, hasName, hasAny bool // hasAny is true if there is a condition on a member
}

// candidates returns the groups that the filter could match. decided means that the filter matches
// all of them, so that no group needs to be decoded to test it.
func (g groups) candidates(ctx context.Context, q server.Query) (records []*record[*group], decided bool, err error) {
	if q.Filter == nil {
		return g.groups.all(), true, nil
	}
	decided = q.Filter.Exact()
	var a asked
	var tests []func(*record[*group]) bool
	for _, eq := range equalities(q) {
		value := fmt.Sprint(eq.Value)
		taken := a.take(eq.Path, value)
		test := g.test(eq.Path, value)
		switch {
		case taken && eq.Path != "id": // the search for the candidates decides it
		case test == nil:
			decided = false
		default:
			tests = append(tests, test)
		}
	}
	if records, err = g.found(ctx, a); err != nil {
		return nil, false, err
	}
	return slices.DeleteFunc(records, func(r *record[*group]) bool {
		return slices.ContainsFunc(tests, func(test func(*record[*group]) bool) bool { return !test(r) })
	}), decided, nil
}

// take records an eq condition that candidates are found by. It reports whether the condition was
// the first of its kind.
func (a *asked) take(path, value string) bool {
	var into *string
	var has *bool
	switch path {
	case "id":
		into, has = &a.id, &a.hasID
	case "displayName":
		into, has = &a.name, &a.hasName
	case "members", "members.value":
		into, has = &a.member, &a.hasAny
	default:
		return false
	}
	if *has {
		return false
	}
	*into, *has = value, true
	return true
}

// found lists the groups that match the name, the id and the member of the conditions.
func (g groups) found(ctx context.Context, a asked) (records []*record[*group], err error) {
	switch {
	case a.hasName:
		records, err = g.byName(ctx, a.name)
	case a.hasID:
		records, err = g.byID(ctx, a)
	case a.hasAny:
		return g.withMember(a.member), nil
	default:
		return g.groups.all(), nil
	}
	if err != nil || !a.hasAny || len(records) == 0 {
		return records, err
	}
	in, err := g.contains(ctx, records[0].id(), a.member)
	if err != nil || !in {
		return nil, err
	}
	return records, nil
}

// byID finds a group by its id. If there is a condition on a member, which is read from the API
// server anyway, it also reads a group from there that is not in the cache yet.
func (g groups) byID(ctx context.Context, a asked) ([]*record[*group], error) {
	r := g.groups.get(a.id)
	if r == nil && a.hasAny {
		var live v1alpha1.ScimGroup
		found, err := g.read(ctx, a.id, &live)
		if err != nil {
			return nil, err
		}
		if found {
			if r, err = g.groupRecord(&live); err != nil {
				return nil, err
			}
		}
	}
	if r == nil {
		return nil, nil
	}
	return []*record[*group]{r}, nil
}

// contains reports whether an existing user is a member of a group, by a live read.
func (g groups) contains(ctx context.Context, id, member string) (bool, error) {
	if _, ok := userID(member); !ok {
		return false, nil
	}
	in, err := g.store.Contains(ctx, id, member)
	if err != nil {
		return false, storeError(id, err)
	}
	if !in {
		return false, nil
	}
	alive := false
	err = g.lookUp(ctx, []string{member}, func(_ string, r *record[*cachedUser]) bool {
		alive = r != nil
		return true
	})
	return alive, err
}

// withMember lists a user's groups from the cache.
func (g groups) withMember(member string) []*record[*group] {
	user, ok := userID(member)
	if !ok || g.users.get(member) == nil {
		return nil
	}
	return g.groupsContaining(user)
}

// byName finds the group that has a name, linearizably: by the claim or, for a restored group whose
// claim does not exist yet, by the cache and a live read. A new group is not found before it has
// its claim, because its name may be refused.
func (g groups) byName(ctx context.Context, name string) ([]*record[*group], error) {
	holder, err := g.holder(ctx, v1alpha1.ClaimGroup, name)
	if err != nil {
		return nil, err
	}
	have, ok := holder.(*v1alpha1.ScimGroup)
	for _, r := range g.groups.under(keyName + names.Fold(name)) {
		if ok {
			break
		}
		var live v1alpha1.ScimGroup
		found, err := g.read(ctx, r.id(), &live)
		if err != nil {
			return nil, err
		}
		if ok, err = g.unnamed(ctx, g.ofGroups, found, &live); err != nil {
			return nil, err
		}
		ok = ok && names.Fold(live.Spec.DisplayName) == names.Fold(name)
		have = &live
	}
	if !ok {
		return nil, nil
	}
	r, err := g.groupRecord(have)
	if err != nil {
		return nil, err
	}
	g.groups.wrote(r)
	return []*record[*group]{r}, nil
}

// test returns a function that tests an eq condition without decoding the group; nil if the
// condition needs a decoded group.
func (g groups) test(path, value string) func(*record[*group]) bool {
	has := func(key string) func(*record[*group]) bool {
		return func(r *record[*group]) bool { return slices.Contains(r.keys, key) }
	}
	switch path {
	case "id":
		return func(r *record[*group]) bool { return r.id() == value }
	case "displayName":
		return has(keyName + names.Fold(value))
	case "externalId":
		return has(keyExternalID + value)
	case "members", "members.value":
		user, ok := userID(value)
		return func(r *record[*group]) bool {
			return ok && g.users.get(value) != nil && g.members.contains(r.id(), user)
		}
	}
	return nil
}
