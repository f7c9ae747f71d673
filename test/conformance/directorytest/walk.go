// SPDX-License-Identifier: Apache-2.0

package directorytest

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net/url"
	"slices"
	"strconv"
	"testing"
)

// ListResponse is the part of a page that a walk reads (RFC 7644 §3.4.2).
type ListResponse struct {
	TotalResults int
	NextCursor   string
	Resources    []struct{ ID string }
}

// Walk reads a list page by page, as clients do, while others change it.
type Walk struct {
	// Style is how the client requests the next page.
	Style Style
	// Count is the requested count.
	Count int
	// Get requests the page for the parameters.
	Get func(url.Values) ListResponse
	// Between is called after each page, with that page.
	Between func(ListResponse)
}

// Style is how a client requests the next page, and how it detects the last one.
type Style int

// Styles of walking.
const (
	ByCount  Style = iota // startIndex grows by count, until a page is not full
	BySeen                // startIndex is one more than the number received, until a page is empty
	ByCursor              // RFC 9865, until there is no nextCursor
)

// Styles returns all of them.
func Styles() []Style { return []Style{ByCount, BySeen, ByCursor} }

func (s Style) String() string {
	return []string{"ByCount", "BySeen", "ByCursor"}[s]
}

// Run walks and returns the ids in the order of the responses.
func (w Walk) Run() (ids []string) {
	cursor := ""
	for page := 0; ; page++ {
		q := url.Values{"count": {strconv.Itoa(w.Count)}}
		switch w.Style {
		case ByCursor:
			q.Set("cursor", cursor)
		case ByCount:
			q.Set("startIndex", strconv.Itoa(page*w.Count+1))
		default:
			q.Set("startIndex", strconv.Itoa(len(ids)+1))
		}
		answer := w.Get(q)
		for _, r := range answer.Resources {
			ids = append(ids, r.ID)
		}
		n := len(answer.Resources)
		if n == 0 || w.Style == ByCount && n < w.Count || w.Style == ByCursor && answer.NextCursor == "" {
			return ids
		}
		cursor = answer.NextCursor
		w.Between(answer)
	}
}

// Crowd is the content of a list during a walk. It changes at random moments.
type Crowd struct {
	// Create adds a resource to the list and returns its id; Delete removes one.
	Create func() string
	Delete func(id string)
	// IDs contains the current ids of the list.
	IDs map[string]bool
	// Deletions and Arrivals are the numbers of deletions and creations that remain.
	Deletions, Arrivals int
	// Pages is the approximate number of pages over which they are spread.
	Pages int
	// Behind means that the list may be slightly out of date, as another replica's is: totalResults
	// is not checked.
	Behind bool

	Random *rand.Rand
	stayed map[string]bool
}

// Walk walks the crowd's list. It checks that each page's totalResults is the current number of
// resources, that every resource that exists throughout is returned exactly once, and that no
// resource is returned twice.
func (c *Crowd) Walk(tb testing.TB, w Walk) {
	tb.Helper()
	c.stayed = maps.Clone(c.IDs)
	now := slices.Sorted(maps.Keys(c.IDs)) // sorted, so that a seed gives one sequence of events
	c.Random.Shuffle(len(now), func(i, j int) { now[i], now[j] = now[j], now[i] })
	get := w.Get
	w.Get = func(q url.Values) ListResponse {
		answer := get(q)
		if !c.Behind && answer.TotalResults != len(c.IDs) {
			tb.Errorf("totalResults is %d and must be %d", answer.TotalResults, len(c.IDs))
		}
		return answer
	}
	w.Between = func(ListResponse) {
		for range c.share(&c.Deletions) {
			if len(now) == 0 {
				break
			}
			id := now[len(now)-1]
			now = now[:len(now)-1]
			c.Delete(id)
			delete(c.IDs, id)
			delete(c.stayed, id)
		}
		for range c.share(&c.Arrivals) {
			c.IDs[c.Create()] = true
		}
	}
	if problem := c.problem(w.Run()); problem != "" {
		tb.Errorf("%s, %d a page: %s", w.Style, w.Count, problem)
	}
}

// share returns how many of the remaining changes happen between these two pages.
func (c *Crowd) share(left *int) int {
	n := min(c.Random.IntN(2**left/max(c.Pages, 1)+2), *left)
	*left -= n
	return n
}

func (c *Crowd) problem(ids []string) string {
	times := map[string]int{}
	twice, missed := 0, 0
	for _, id := range ids {
		if times[id]++; times[id] == 2 {
			twice++
		}
	}
	for id := range c.stayed {
		if times[id] == 0 {
			missed++
		}
	}
	if twice+missed == 0 {
		return ""
	}
	return fmt.Sprintf("of %d who were there throughout %d were not returned, and %d were returned more than once", len(c.stayed), missed, twice)
}
