package server

import (
	"iter"
	"slices"

	"lightrun.com/scim-operator/internal/scim/path"
)

// Run answers the query over candidates, which come in the order of their Key and include everything that the filter can match. It is
// what a directory does when it has no quicker way.
func (q Query) Run(candidates iter.Seq[*Resource]) (Page, error) {
	if q.SortBy != nil {
		return q.runSorted(candidates)
	}
	var page Page
	passed, seen := 0, 0
	for r := range candidates {
		if err := q.goOn(seen); err != nil {
			return Page{}, err
		}
		seen++
		ok, err := q.matches(r)
		if err != nil {
			return Page{}, err
		}
		if !ok {
			continue
		}
		page.Total++
		switch {
		case q.After != "" && r.Key <= q.After:
		case passed < q.Offset:
			passed++
		case len(page.Resources) < q.Count:
			page.Resources = append(page.Resources, r)
		default:
			page.More = q.Count > 0
		}
	}
	return page, nil
}

// goOn asks now and then whether the list is still wanted.
func (q Query) goOn(seen int) error {
	const often = 256
	if q.Check == nil || seen%often != often-1 {
		return nil
	}
	return q.Check()
}

// matches says whether the filter accepts r. Links are decoded for it, as a filter may ask for members or groups.
func (q Query) matches(r *Resource) (bool, error) {
	if q.Filter == nil {
		return true, nil
	}
	o, err := r.Object(q.Base, true)
	if err != nil {
		return false, err
	}
	return q.Filter.Match(o), nil
}

type sortable struct {
	resource *Resource
	key      path.Key
}

func (q Query) runSorted(candidates iter.Seq[*Resource]) (Page, error) {
	var all []sortable
	seen := 0
	for r := range candidates {
		if err := q.goOn(seen); err != nil {
			return Page{}, err
		}
		seen++
		o, err := r.Object(q.Base, q.Filter != nil)
		if err != nil {
			return Page{}, err
		}
		if q.Filter == nil || q.Filter.Match(o) {
			all = append(all, sortable{r, q.SortBy.Key(o)})
		}
	}
	slices.SortStableFunc(all, func(a, b sortable) int { return q.SortBy.Compare(a.key, b.key) })
	page := Page{Total: len(all)}
	all = all[min(q.Offset, len(all)):]
	page.More = q.Count > 0 && len(all) > q.Count
	for _, s := range all[:min(q.Count, len(all))] {
		page.Resources = append(page.Resources, s.resource)
	}
	return page, nil
}
