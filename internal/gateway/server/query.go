// SPDX-License-Identifier: Apache-2.0

package server

import (
	"iter"
	"slices"
	"strings"
)

// Run answers the query from candidates, which are in the order of their Key and include every
// possible match of the filter. A directory uses it when it has no faster way.
func (q Query) Run(candidates iter.Seq[*Resource]) (Page, error) {
	if q.SortBy != nil {
		return q.runSorted(candidates)
	}
	var page Page
	passed, seen, after := 0, 0, ""
	if q.After != nil {
		after = q.After.Key
	}
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
		case r.Key <= after:
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

// goOn calls Check periodically; an error ends the list.
func (q Query) goOn(seen int) error {
	const often = 256
	if q.Check == nil || seen%often != often-1 {
		return nil
	}
	return q.Check()
}

// matches reports whether the filter matches r. It decodes the links, since a filter may use
// members or groups.
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

// mark returns the place of r in the order of the query.
func (q Query) mark(r *Resource) (Mark, error) {
	m := Mark{Key: r.Key}
	if q.SortBy == nil {
		return m, nil
	}
	o, err := r.Object(q.Base, q.Filter != nil)
	if err != nil {
		return Mark{}, err
	}
	m.Sort = q.SortBy.Key(o)
	return m, nil
}

// compare compares two places of the query: negative if a comes first. Equal sort keys are in the
// order of Key, for both sort orders.
func (q Query) compare(a, b Mark) int {
	if q.SortBy != nil {
		if c := q.SortBy.Compare(a.Sort, b.Sort); c != 0 {
			return c
		}
	}
	return strings.Compare(a.Key, b.Key)
}

type sortable struct {
	resource *Resource
	mark     Mark
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
			all = append(all, sortable{r, Mark{q.SortBy.Key(o), r.Key}})
		}
	}
	slices.SortFunc(all, func(a, b sortable) int { return q.compare(a.mark, b.mark) })
	page := Page{Total: len(all)}
	all = all[q.start(all):]
	page.More = q.Count > 0 && len(all) > q.Count
	for _, s := range all[:min(q.Count, len(all))] {
		page.Resources = append(page.Resources, s.resource)
	}
	return page, nil
}

// start returns the number of sorted matches before the page.
func (q Query) start(sorted []sortable) int {
	if q.After == nil {
		return min(q.Offset, len(sorted))
	}
	i, found := slices.BinarySearchFunc(sorted, *q.After, func(s sortable, m Mark) int { return q.compare(s.mark, m) })
	if found {
		i++
	}
	return i
}
