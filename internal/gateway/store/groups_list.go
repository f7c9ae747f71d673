// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/gateway/server"
	"lightrun.com/scim-operator/internal/kernel/groupslice"
	"lightrun.com/scim-operator/internal/kernel/names"
)

// List implements server.Groups.
func (g groups) List(ctx context.Context, q server.Query) (server.Page, error) {
	candidates, exact, err := g.candidates(ctx, q)
	if err != nil {
		return server.Page{}, err
	}
	if exact {
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

// lookup contains the first eq condition of each kind in a filter on groups. The other conditions
// are tested on each group.
type lookup struct {
	id, name, member          string
	hasID, hasName, hasMember bool
}

// candidates returns the groups that the filter could match. exact is true if the filter matches
// all of them, so that no group needs to be decoded to test it.
func (g groups) candidates(ctx context.Context, q server.Query) (records []*record[*group], exact bool, err error) {
	if q.Filter == nil {
		return g.groups.all(), true, nil
	}
	exact = q.Filter.Exact()
	var l lookup
	var tests []func(*record[*group]) bool
	for _, eq := range equalities(q) {
		value := fmt.Sprint(eq.Value)
		added := l.add(eq.Path, value)
		test := g.test(eq.Path, value)
		switch {
		case added && eq.Path != "id": // the lookup returns only groups that match the condition
		case test == nil:
			exact = false
		default:
			tests = append(tests, test)
		}
	}
	if records, err = g.lookUpGroups(ctx, l); err != nil {
		return nil, false, err
	}
	return slices.DeleteFunc(records, func(r *record[*group]) bool {
		return slices.ContainsFunc(tests, func(test func(*record[*group]) bool) bool { return !test(r) })
	}), exact, nil
}

// add adds an eq condition if groups can be looked up by it and it is the first of its kind. It
// reports whether it added the condition.
func (l *lookup) add(path, value string) bool {
	var into *string
	var has *bool
	switch path {
	case "id":
		into, has = &l.id, &l.hasID
	case "displayName":
		into, has = &l.name, &l.hasName
	case "members", "members.value":
		into, has = &l.member, &l.hasMember
	default:
		return false
	}
	if *has {
		return false
	}
	*into, *has = value, true
	return true
}

// lookUpGroups lists the groups that match the conditions: by the name, else by the id, and then by
// the member; by the member alone; or all groups if there is no condition. A group that is found by
// name may have another id: the caller tests the id.
func (g groups) lookUpGroups(ctx context.Context, l lookup) (records []*record[*group], err error) {
	switch {
	case l.hasName:
		records, err = g.byName(ctx, l.name)
	case l.hasID:
		records, err = g.byID(ctx, l)
	case l.hasMember:
		return g.withMember(l.member), nil
	default:
		return g.groups.all(), nil
	}
	if err != nil || !l.hasMember || len(records) == 0 {
		return records, err
	}
	in, err := g.contains(ctx, records[0].id(), l.member)
	if err != nil || !in {
		return nil, err
	}
	return records, nil
}

// byID finds a group by its id. If there is a condition on a member, which is read from the API
// server anyway, it also reads a group from there that is not in the cache yet.
func (g groups) byID(ctx context.Context, l lookup) ([]*record[*group], error) {
	r := g.groups.get(l.id)
	if r == nil && l.hasMember {
		var live v1alpha1.ScimGroup
		exists, err := g.read(ctx, l.id, &live)
		if err != nil {
			return nil, err
		}
		if exists {
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

// contains reports whether an existing user is a member of a group, by a live read. A group that
// was deleted while this replica's cache still has it has no members.
func (g groups) contains(ctx context.Context, id, member string) (bool, error) {
	if _, ok := userID(member); !ok {
		return false, nil
	}
	in, err := g.store.Contains(ctx, id, member)
	switch {
	case errors.Is(err, groupslice.ErrGroupGone):
		return false, nil
	case err != nil:
		return false, storeError(id, err)
	case !in:
		return false, nil
	}
	exists := false
	err = g.lookUp(ctx, []string{member}, func(_ string, r *record[*cachedUser]) bool {
		exists = r != nil
		return true
	})
	return exists, err
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
		exists, err := g.read(ctx, r.id(), &live)
		if err != nil {
			return nil, err
		}
		if ok, err = g.unnamed(ctx, g.ofGroups, exists, &live); err != nil {
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
	g.groups.storeWrite(r)
	return []*record[*group]{r}, nil
}

// test returns a function that tests an eq condition without decoding the group, or nil if the
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
