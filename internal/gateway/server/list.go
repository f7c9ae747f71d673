// SPDX-License-Identifier: Apache-2.0

package server

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"

	"lightrun.com/scim-operator/internal/scim"
	"lightrun.com/scim-operator/internal/scim/filter"
	"lightrun.com/scim-operator/internal/scim/path"
	"lightrun.com/scim-operator/internal/scim/quirk"
	"lightrun.com/scim-operator/internal/scim/schema"
)

// listing is the list request from the query string or a SearchRequest (RFC 7644 §3.4.2, §3.4.3).
type listing struct {
	filter, sortBy, sortOrder string
	attributes, excluded      string
	start, count              int
	countGiven                bool
	cursor                    *string // RFC 9865; empty for the first page
}

func (c *call) listUsers() (reply, error) {
	return c.list(source{userKind(), c.Users.List})
}

func (c *call) listGroups() (reply, error) {
	return c.list(source{groupKind(), c.Groups.List})
}

// listAll handles a query over all types (RFC 7644 §3.4.2.1, §3.4.3): users first, then groups.
func (c *call) listAll() (reply, error) {
	return c.list(source{userKind(), c.Users.List}, source{groupKind(), c.Groups.List})
}

// source is one resource type to list.
type source struct {
	kind *kind
	list func(context.Context, Query) (Page, error)
}

// part is the part of a page for one type, and how to write it.
type part struct {
	resources []*Resource
	show      show
}

func (c *call) list(sources ...source) (reply, error) {
	l, err := c.listing()
	if err != nil {
		return reply{}, err
	}
	queries, err := c.bind(l, sources)
	if err != nil {
		return reply{}, err
	}
	at, err := c.position(&l, queries)
	if err != nil {
		return reply{}, err
	}
	var (
		parts  []part
		listed int
		total  int
		more   bool
		last   place
	)
	for i, s := range sources {
		if queries[i] == nil {
			continue // the filter can match no resource of this type
		}
		q := *queries[i]
		q.Count = l.count - listed
		at.apply(&q, i, total)
		page, err := s.list(c.ctx, q)
		if err != nil {
			return reply{}, err
		}
		show, err := c.shown(l.attributes, l.excluded, s.kind)
		if err != nil {
			return reply{}, err
		}
		if n := len(page.Resources); n > 0 {
			parts = append(parts, part{page.Resources, show})
			listed += n
			last.source = i
			if last.Mark, err = q.mark(page.Resources[n-1]); err != nil {
				return reply{}, err
			}
		}
		more = more || page.More || q.Count == 0 && i > at.place.source && page.Total > 0
		total += page.Total
	}
	c.noteWalk(l, at, stop{l.start + listed, last}, total, more)
	return c.pageReply(l, parts, total, last, more && l.count > 0)
}

// position is where a page starts: after a place, or else at an offset.
type position struct {
	offset int
	behind bool
	place  place
	walk   *walk // the walk that this page continues; nil if there is none
}

// apply sets the start of q, which is the i-th query; before is the total of the queries before it.
func (p position) apply(q *Query, i, before int) {
	switch {
	case !p.behind:
		q.Offset = max(p.offset-before, 0)
	case i < p.place.source:
		q.Count = 0
	case i == p.place.source:
		q.After = &p.place.Mark
	}
}

// position returns where a request starts. A later page by cursor uses the count of the first page
// if the request has none.
func (c *call) position(l *listing, queries []*Query) (position, error) {
	switch {
	case l.cursor != nil && *l.cursor != "":
		return c.open(l)
	case l.cursor != nil || l.start == 1:
		return position{}, nil
	}
	at := position{offset: l.start - 1}
	at.walk, at.place = c.walks.resume(c.walkedQuery(*l), l.start, c.Now(), func(a, b place) int {
		if a.source != b.source {
			return cmp.Compare(a.source, b.source)
		}
		return queries[a.source].compare(a.Mark, b.Mark)
	})
	at.behind = at.walk != nil
	return at, nil
}

// noteWalk records where a page by startIndex ended. A first page that contains everything starts
// no walk: most filtered lists are like this, and would displace walks that have more pages.
func (c *call) noteWalk(l listing, at position, next stop, total int, more bool) {
	if l.cursor != nil || next.index == l.start || l.start == 1 && next.index > total {
		return
	}
	var from stop
	if at.behind {
		from = stop{l.start, at.place}
	}
	c.walks.note(c.walkedQuery(l), at.walk, from, next, !more, c.Now())
}

func (c *call) walkedQuery(l listing) walkedQuery {
	return walkedQuery{c.identity.Secret, [8]byte(c.queryDigest(l))}
}

// bind parses filter and sortBy for each type. It skips a type that lacks an attribute of the
// filter if another type has it.
func (c *call) bind(l listing, sources []source) ([]*Query, error) {
	queries := make([]*Query, len(sources))
	var failure error
	found := false
	for i, s := range sources {
		sort, err := order(l, s.kind.schema)
		if err != nil {
			return nil, err
		}
		q := &Query{SortBy: sort, Base: c.base, Check: c.patience()}
		if l.filter != "" {
			m, err := filter.Compile(l.filter, s.kind.schema)
			if err != nil {
				failure = cmp.Or(failure, err)
				continue
			}
			q.Filter = m
		}
		queries[i], found = q, true
	}
	if !found {
		return nil, c.inURL(failure)
	}
	return queries, nil
}

// inURL converts 403 sensitive, which suggests a POST (RFC 7644 §7.5.2), to 400 invalidFilter if
// the request was a POST.
func (c *call) inURL(err error) error {
	var known *scim.Error
	if c.method == http.MethodPost && errors.As(err, &known) && known.Type == scim.Sensitive {
		return scim.BadRequest(scim.InvalidFilter, "%s", known.Detail)
	}
	return err
}

// patience returns a function for Query.Check: it ends a list whose client has disconnected, or
// that takes longer than ListTime.
func (c *call) patience() func() error {
	return func() error {
		if err := c.ctx.Err(); err != nil {
			return err
		}
		if c.Now().Sub(c.start) > ListTime {
			return scim.BadRequest(scim.TooMany, "Comparing this filter with every resource takes longer than %s. Filter with eq on userName, externalId, id, displayName or an e-mail address, or restrict the filter.", ListTime)
		}
		return nil
	}
}

// order parses sortBy and sortOrder. An attribute that can't be sorted by is ignored (RFC 7644
// §3.4.2.3).
func order(l listing, rt *schema.ResourceType) (*path.Sort, error) {
	sort, err := path.ParseSort(l.sortBy, l.sortOrder, rt)
	var known *scim.Error
	switch {
	case errors.As(err, &known) && known.Type == scim.InvalidPath:
		return nil, nil
	case err != nil || l.sortBy == "":
		return nil, err
	}
	return &sort, nil
}

// pageReply writes a ListResponse (RFC 7644 §3.4.2), one resource after the other, from encoded
// bytes.
func (c *call) pageReply(l listing, parts []part, total int, last place, more bool) (reply, error) {
	listed := 0
	for _, p := range parts {
		listed += len(p.resources)
	}
	var next string
	if l.cursor != nil && more {
		var err error
		if next, err = c.seal(l, last); err != nil {
			return reply{}, err
		}
	}
	head := `{"schemas":["` + scim.SchemaListResponse + `"],"totalResults":` + strconv.Itoa(total) +
		`,"itemsPerPage":` + strconv.Itoa(listed)
	if l.cursor == nil {
		head += `,"startIndex":` + strconv.Itoa(l.start)
	} else if next != "" {
		head += `,"nextCursor":"` + next + `"`
	}
	base := c.base
	return reply{status: http.StatusOK, stream: func(w *chunks) {
		w.put(append(w.tail(), head+`,"Resources":[`...))
		separator := ""
		for _, p := range parts {
			for _, r := range p.resources {
				w.put(append(w.tail(), separator...))
				p.show.write(w, r, base)
				separator = ","
			}
		}
		w.put(append(w.tail(), "]}"...))
	}}, nil
}

// listing reads the request, from the query string of a GET or from the body of a POST.
func (c *call) listing() (listing, error) {
	if c.method == http.MethodPost {
		return c.searchRequest()
	}
	l := listing{
		filter: c.param("filter"), sortBy: c.param("sortBy"), sortOrder: c.param("sortOrder"),
		attributes: c.names("attributes"), excluded: c.names("excludedAttributes"),
	}
	start, err := integer("startIndex", c.param("startIndex"))
	if err != nil {
		return listing{}, err
	}
	count, err := integer("count", c.param("count"))
	if err != nil {
		return listing{}, err
	}
	if c.query.Has("cursor") {
		cursor := c.param("cursor")
		l.cursor = &cursor
	}
	return l.bounded(start, count)
}

// integer parses a number in the query string. It returns nil if the number is absent.
func integer(name, text string) (*int64, error) {
	if text == "" {
		return nil, nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil && !errors.Is(err, strconv.ErrRange) { // a number out of range becomes the largest or smallest number

		return nil, scim.BadRequest(scim.InvalidValue, "%s must be a whole number.", name)
	}
	return &n, nil
}

// bounded applies defaults and limits (RFC 7644 §3.4.2.4, RFC 9865 §2).
func (l listing) bounded(start, count *int64) (listing, error) {
	l.start, l.count = 1, DefaultCount
	if start != nil {
		l.start = int(min(max(*start, 1), 1<<31-1))
	}
	if count != nil {
		l.countGiven = true
		if l.cursor != nil && *count > MaxCount {
			return listing{}, scim.BadRequest(scim.InvalidCount, "count is at most %d.", MaxCount)
		}
		l.count = int(min(max(*count, 0), MaxCount))
	}
	return l, nil
}

// searchRequest reads the body of a POST to .search (RFC 7644 §3.4.3). Names are case-insensitive.
func (c *call) searchRequest() (listing, error) {
	body, err := c.object()
	if err != nil {
		return listing{}, err
	}
	c.countSchemas(body)
	var l listing
	var start, count *int64
	for name, v := range body {
		switch strings.ToLower(name) {
		case "filter":
			err = text(name, v, &l.filter)
		case "sortby":
			err = text(name, v, &l.sortBy)
		case "sortorder":
			err = text(name, v, &l.sortOrder)
		case "cursor":
			var cursor string
			err = text(name, v, &cursor)
			l.cursor = &cursor
		case "attributes":
			err = nameList(name, v, &l.attributes)
		case "excludedattributes":
			err = nameList(name, v, &l.excluded)
		case "startindex":
			err = number(name, v, &start)
		case "count":
			err = number(name, v, &count)
		case "schemas":
			err = hasSchema(v, scim.SchemaSearchRequest)
		}
		if err != nil {
			return listing{}, err
		}
	}
	return l.bounded(start, count)
}

// text, nameList and number read one member of a message; null means absent.
func text(name string, v any, into *string) error {
	s, ok := v.(string)
	if !ok && v != nil {
		return scim.BadRequest(scim.InvalidSyntax, "%s must be a string.", name)
	}
	*into = s
	return nil
}

func nameList(name string, v any, into *string) error {
	switch v := v.(type) {
	case nil:
	case string:
		*into = v
	case []any:
		names := make([]string, 0, len(v))
		for _, e := range v {
			s, ok := e.(string)
			if !ok {
				return scim.BadRequest(scim.InvalidSyntax, "%s must be a list of attribute names.", name)
			}
			names = append(names, s)
		}
		*into = strings.Join(names, ",")
	default:
		return scim.BadRequest(scim.InvalidSyntax, "%s must be a list of attribute names.", name)
	}
	return nil
}

func number(name string, v any, into **int64) error {
	switch v := v.(type) {
	case nil:
	case int64:
		*into = &v
	default:
		return scim.BadRequest(scim.InvalidSyntax, "%s must be a whole number.", name)
	}
	return nil
}

// countSchemas counts a message without schemas, which is accepted.
func (c *call) countSchemas(message scim.Object) {
	if schema.ValueOf(message, "schemas") == nil {
		c.metrics.quirk(string(quirk.MissingSchemas))
	}
}

// hasSchema checks the schemas of a message.
func hasSchema(v any, urn string) error {
	list, _ := v.([]any)
	for _, e := range list {
		if s, ok := e.(string); ok && strings.EqualFold(s, urn) {
			return nil
		}
	}
	return scim.BadRequest(scim.InvalidSyntax, "schemas must contain %s.", urn)
}
