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

// ListResponse is what a walk reads of a page (RFC 7644 §3.4.2).
type ListResponse struct {
	TotalResults int
	NextCursor   string
	Resources    []struct{ ID string }
}

// Walk reads a list page by page, as clients do, while others change it.
type Walk struct {
	// Style is how the client asks for the next page.
	Style Style
	// Count is the count that it asks for.
	Count int
	// Get asks for the page that the parameters describe.
	Get func(url.Values) ListResponse
	// Between is called after each page, with that page.
	Between func(ListResponse)
}

// Style is how a client asks for the next page, and how it knows that there is none.
type Style int

// Styles of walking.
const (
	ByCount  Style = iota // startIndex grows by count, until a page is not full
	BySeen                // startIndex is one more than the number received, until a page is empty
	ByCursor              // RFC 9865, until there is no nextCursor
)

// Styles are all of them.
func Styles() []Style { return []Style{ByCount, BySeen, ByCursor} }

func (s Style) String() string {
	return []string{"ByCount", "BySeen", "ByCursor"}[s]
}

// Run walks and returns the ids in the order in which they came.
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

// Crowd is what a list contains while it is walked, and changes it at random moments.
type Crowd struct {
	// Create adds a resource that the list shows and returns its id; Delete removes one.
	Create func() string
	Delete func(id string)
	// IDs are those that the list shows now.
	IDs map[string]bool
	// Deletions and Arrivals are how many are to come.
	Deletions, Arrivals int
	// Pages is over how many pages they are spread, about.
	Pages int
	// Behind says that the list may be a moment behind, as another replica's is: totalResults is
	// not checked.
	Behind bool

	Random *rand.Rand
	stayed map[string]bool
}

// Walk walks the crowd's list, and checks that each page's totalResults is the number of resources
// at that moment and that everyone who was there throughout is returned exactly once, and nobody
// twice.
func (c *Crowd) Walk(tb testing.TB, w Walk) {
	tb.Helper()
	c.stayed = maps.Clone(c.IDs)
	now := slices.Sorted(maps.Keys(c.IDs)) // sorted, so that a seed is one course of events
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

// share is how many of what is left happen between these two pages.
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
