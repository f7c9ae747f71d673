// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/gateway/server"
	"lightrun.com/scim-operator/internal/kernel/names"
	"lightrun.com/scim-operator/internal/scim/filter"
)

// List implements server.Users.
func (u users) List(ctx context.Context, q server.Query) (server.Page, error) {
	if q.Filter == nil && q.SortBy == nil {
		after := ""
		if q.After != nil {
			after = q.After.Key
		}
		records, total, more := u.users.page(after, q.Offset, q.Count)
		page := server.Page{Total: total, More: more, Resources: make([]*server.Resource, len(records))}
		for i, r := range records {
			page.Resources[i] = r.value.resource
		}
		return page, nil
	}
	candidates, err := u.candidates(ctx, q)
	if err != nil {
		return server.Page{}, err
	}
	return q.Run(func(yield func(*server.Resource) bool) {
		for _, r := range candidates {
			if !yield(r.value.resource) {
				return
			}
		}
	})
}

// candidates lists all users that the filter could match: the shortest list that an index has for
// one of its eq conditions.
func (u users) candidates(ctx context.Context, q server.Query) ([]*record[*cachedUser], error) {
	best, found := "", false
	for _, eq := range equalities(q) {
		value, ok := eq.Value.(string)
		if !ok {
			continue
		}
		var key string
		switch eq.Path {
		case "userName":
			return u.byName(ctx, value)
		case "id":
			r := u.users.get(value)
			if r == nil {
				return nil, nil
			}
			return []*record[*cachedUser]{r}, nil
		case "externalId":
			key = keyExternalID + value
		case "displayName":
			key = keyName + names.Fold(value)
		case "emails", "emails.value":
			key = keyEmail + names.Fold(value)
		default:
			continue
		}
		if !found || u.users.count(key) < u.users.count(best) {
			best, found = key, true
		}
	}
	if found {
		return u.users.under(best), nil
	}
	return u.users.all(), nil
}

// byName finds the user with a userName, linearizably: by the claim or, for a user who was restored
// from a backup and whose claim does not exist yet, by the cache and a live read. A new user is not
// found before the claim exists, because the name may be refused.
func (u users) byName(ctx context.Context, name string) ([]*record[*cachedUser], error) {
	if r, err := u.currentByName(ctx, name); err != nil {
		return nil, err
	} else if r != nil {
		return []*record[*cachedUser]{r}, nil
	}
	holder, err := u.holder(ctx, v1alpha1.ClaimUser, name)
	if err != nil {
		return nil, err
	}
	have, ok := holder.(*v1alpha1.ScimUser)
	for _, r := range u.users.under(keyUserName + names.Fold(name)) {
		if ok {
			break
		}
		var live v1alpha1.ScimUser
		found, err := u.read(ctx, r.id(), &live)
		if err != nil {
			return nil, err
		}
		if ok, err = u.unnamed(ctx, u.ofUsers, found, &live); err != nil {
			return nil, err
		}
		ok = ok && names.Fold(live.Spec.UserName) == names.Fold(name)
		have = &live
	}
	if !ok {
		return nil, nil
	}
	r, err := u.userRecord(have)
	if err != nil {
		return nil, err
	}
	u.users.storeWrite(r)
	return []*record[*cachedUser]{r}, nil
}

func equalities(q server.Query) []filter.Equality {
	if q.Filter == nil {
		return nil
	}
	return q.Filter.Equalities()
}
