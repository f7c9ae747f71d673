package server

import (
	"cmp"
	"iter"
	"slices"
	"strings"

	"lightrun.com/scim-operator/internal/scim"
	"lightrun.com/scim-operator/internal/scim/schema"
)

// Order is what a list is sorted by (RFC 7644 §3.4.2.3).
type Order struct {
	By         schema.Ref
	Descending bool
}

// Run answers the query over candidates, which come in the order of their Key and include everything that the filter can match. It is
// what a directory does when it has no quicker way.
func (q Query) Run(candidates iter.Seq[*Resource]) (Page, error) {
	if q.SortBy != nil {
		return q.runSorted(candidates)
	}
	var page Page
	passed := 0
	for r := range candidates {
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

// matches says whether the filter accepts r. Links are decoded for it, as a filter may ask for members or groups.
func (q Query) matches(r *Resource) (bool, error) {
	if q.Filter == nil {
		return true, nil
	}
	o, err := r.Object("", true)
	if err != nil {
		return false, err
	}
	return q.Filter.Match(o), nil
}

type sortable struct {
	resource *Resource
	key      any // nil when the attribute is unassigned
}

func (q Query) runSorted(candidates iter.Seq[*Resource]) (Page, error) {
	var all []sortable
	for r := range candidates {
		o, err := r.Object("", q.Filter != nil)
		if err != nil {
			return Page{}, err
		}
		if q.Filter == nil || q.Filter.Match(o) {
			all = append(all, sortable{r, q.SortBy.key(o)})
		}
	}
	slices.SortStableFunc(all, q.SortBy.compare)
	page := Page{Total: len(all)}
	all = all[min(q.Offset, len(all)):]
	page.More = q.Count > 0 && len(all) > q.Count
	for _, s := range all[:min(q.Count, len(all))] {
		page.Resources = append(page.Resources, s.resource)
	}
	return page, nil
}

// compare puts unassigned values last when ascending and first when descending.
func (o *Order) compare(a, b sortable) int {
	var c int
	switch {
	case a.key == nil && b.key == nil:
		return 0
	case a.key == nil:
		c = 1
	case b.key == nil:
		c = -1
	default:
		c = compareValues(a.key, b.key)
	}
	if o.Descending {
		return -c
	}
	return c
}

func compareValues(a, b any) int {
	switch a := a.(type) {
	case string:
		if b, ok := b.(string); ok {
			return cmp.Compare(a, b)
		}
	case int64:
		if b, ok := b.(int64); ok {
			return cmp.Compare(a, b)
		}
	case bool:
		if b, ok := b.(bool); ok && a != b {
			if b {
				return -1
			}
			return 1
		}
	}
	return 0
}

// key is what a resource is sorted by: the attribute's value, of a multi-valued one the primary or else the first element,
// of a complex one its `value`; without case unless the attribute is case-exact.
func (o *Order) key(r scim.Object) any {
	v := o.By.Get(r)
	leaf := o.By.Attribute
	if list, ok := v.([]any); ok {
		v = primaryOf(list)
	}
	if object, ok := v.(scim.Object); ok {
		leaf = o.By.Sub
		if leaf == nil && o.By.Attribute != nil {
			leaf = o.By.Attribute.Sub("value")
		}
		if leaf == nil {
			return nil
		}
		v = object[leaf.Name]
	}
	if s, ok := v.(string); ok && leaf != nil && !leaf.CaseExact {
		return strings.ToLower(s)
	}
	return v
}

func primaryOf(list []any) any {
	for _, e := range list {
		if o, ok := e.(scim.Object); ok && o["primary"] == true {
			return e
		}
	}
	if len(list) == 0 {
		return nil
	}
	return list[0]
}
