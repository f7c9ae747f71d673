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
		records, total, more := u.people.page(after, q.Offset, q.Count)
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

// candidates are all people whom the filter could match: the shortest list that an index gives for
// one of its equalities.
func (u users) candidates(ctx context.Context, q server.Query) ([]*record[*person], error) {
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
			r := u.people.get(value)
			if r == nil {
				return nil, nil
			}
			return []*record[*person]{r}, nil
		case "externalId":
			key = keyExternalID + value
		case "displayName":
			key = keyName + names.Fold(value)
		case "emails", "emails.value":
			key = keyEmail + names.Fold(value)
		default:
			continue
		}
		if !found || u.people.count(key) < u.people.count(best) {
			best, found = key, true
		}
	}
	if found {
		return u.people.under(best), nil
	}
	return u.people.all(), nil
}

// byName finds whoever bears a userName, as of now: through the claim, or, for somebody whose claim
// is yet to be made (restored from a backup), through the cache and a look at the API server.
// Somebody who is being created is not found before they have their claim, as they may yet be
// refused.
func (u users) byName(ctx context.Context, name string) ([]*record[*person], error) {
	if r, err := u.standingUnder(ctx, name); err != nil {
		return nil, err
	} else if r != nil {
		return []*record[*person]{r}, nil
	}
	holder, err := u.holder(ctx, v1alpha1.ClaimUser, name)
	if err != nil {
		return nil, err
	}
	have, ok := holder.(*v1alpha1.ScimUser)
	for _, r := range u.people.under(keyUserName + names.Fold(name)) {
		if ok {
			break
		}
		var live v1alpha1.ScimUser
		found, err := u.read(ctx, r.id(), &live)
		if err != nil {
			return nil, err
		}
		if ok, err = u.unnamed(ctx, u.ofPeople, found, &live); err != nil {
			return nil, err
		}
		ok = ok && names.Fold(live.Spec.UserName) == names.Fold(name)
		have = &live
	}
	if !ok {
		return nil, nil
	}
	r, err := u.personRecord(have)
	if err != nil {
		return nil, err
	}
	u.people.wrote(r)
	return []*record[*person]{r}, nil
}

func equalities(q server.Query) []filter.Equality {
	if q.Filter == nil {
		return nil
	}
	return q.Filter.Equalities()
}
