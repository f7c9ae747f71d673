// SPDX-License-Identifier: Apache-2.0

package server

import (
	"cmp"
	"container/list"
	"slices"
	"sync"
	"time"
)

// A client that pages by startIndex sends the number of resources that it has received, but not
// which ones. If one of them is deleted, all later resources move up one position, and a next page
// by position would skip one. So the server records where each page ended. If a page of the same
// token and query ended at the startIndex of a request, the response continues after the last
// resource of that page. Any other request is served by position. docs/adr/0017-walks.md describes
// the guarantee, and why it needs memory.

const (
	// walkTimeout is the maximum pause of a walk between two pages.
	walkTimeout = CursorTimeout
	// walkPatience is the maximum pause while another walk of the same query is at the same
	// startIndex.
	walkPatience = 2 * time.Minute

	maxWalkedQueries = 1024 // maximum number of queries with recorded walks; the least recently used query is dropped
	maxWalks         = 16   // maximum number of walks per query
)

// place is the end of a page: the last resource, and the source of the list that the resource is
// from.
type place struct {
	source int
	Mark
}

// stop is a point between two pages: the startIndex that a client sends there, and the place.
type stop struct {
	index int
	place place
}

// walk is the progress of one client through a list by startIndex, or of several clients at the
// same stop.
type walk struct {
	next    stop // where the next page begins
	last    stop // where the last page began; the client may repeat the request for that page
	ended   bool // the last page was the end of the list
	clients int  // number of clients at next
	at      time.Time
}

// walkedQuery identifies the walks that are comparable: the token's holder and the query.
type walkedQuery struct {
	secret [32]byte
	digest [8]byte
}

// walks contains the walks of a server, limited by number and age.
type walks struct {
	mu      sync.Mutex
	queries map[walkedQuery]*list.Element // of *queryWalks
	recent  *list.List                    // the most recently used query first
}

type queryWalks struct {
	query walkedQuery
	walks []*walk
}

func newWalks() *walks {
	return &walks{queries: map[walkedQuery]*list.Element{}, recent: list.New()}
}

// resume finds the walk for a startIndex, and the place after which the page begins. The walk is
// nil if no page ended at that startIndex.
func (w *walks) resume(q walkedQuery, index int, now time.Time, compare func(a, b place) int) (*walk, place) {
	w.mu.Lock()
	defer w.mu.Unlock()
	e, ok := w.queries[q]
	if !ok {
		return nil, place{}
	}
	all := e.Value.(*queryWalks).walks
	found, from := pick(all, index, now, compare)
	// Any client at this startIndex may have sent the request. All of them continue from the same
	// place, so that none of them misses a resource.
	for _, other := range all {
		if found != nil && other.next.index == index && other.rank(now) == walking {
			other.next.place = from
		}
	}
	return found, from
}

// pick selects one of the walks that are at a startIndex, or were there one page ago. Of the active
// walks it selects the one that has come least far: this may return a resource twice, but skips
// none. A walk that was not continued for walkPatience may be abandoned, and must not delay another
// walk.
func pick(all []*walk, index int, now time.Time, compare func(a, b place) int) (best *walk, from place) {
	for _, k := range all {
		at := k.next
		if at.index != index {
			at = k.last
		}
		if at.index != index || now.Sub(k.at) > walkTimeout {
			continue
		}
		if best == nil || preferred(k, best, now, compare(at.place, from)) {
			best, from = k, at.place
		}
	}
	return best, from
}

// preferred reports whether k has precedence over best. distance is negative if k is less far.
func preferred(k, best *walk, now time.Time, distance int) bool {
	mine, its := k.rank(now), best.rank(now)
	switch {
	case mine != its:
		return mine > its
	case mine == walking:
		return distance < 0
	}
	return k.at.After(best.at)
}

// Ranks of walks: the higher one has precedence.
const (
	ended = iota
	paused
	walking
)

func (k *walk) rank(now time.Time) int {
	switch {
	case k.ended:
		return ended
	case now.Sub(k.at) > walkPatience:
		return paused
	}
	return walking
}

// note records where a page ended. k is the walk that the page continued; nil if the page began a
// new walk.
func (w *walks) note(q walkedQuery, k *walk, from, next stop, last bool, now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	in := w.of(q)
	if k != nil && k.next.index == from.index && k.clients == 1 && slices.Contains(in.walks, k) {
		k.last, k.next, k.ended, k.at = from, next, last, now
		return
	}
	if k != nil && k.next.index == from.index {
		k.clients--
	}
	for _, other := range in.walks {
		if other.next == next && other.ended == last {
			other.clients++
			other.at = now
			return
		}
	}
	if len(in.walks) >= maxWalks {
		in.forget(now)
	}
	in.walks = append(in.walks, &walk{next: next, last: from, ended: last, clients: 1, at: now})
}

// of returns the walks of a query and makes it the most recently used one.
func (w *walks) of(q walkedQuery) *queryWalks {
	if e, ok := w.queries[q]; ok {
		w.recent.MoveToFront(e)
		return e.Value.(*queryWalks)
	}
	if w.recent.Len() >= maxWalkedQueries {
		oldest := w.recent.Back()
		delete(w.queries, w.recent.Remove(oldest).(*queryWalks).query)
	}
	in := &queryWalks{query: q}
	w.queries[q] = w.recent.PushFront(in)
	return in
}

// forget makes room for one more walk: it drops ended walks first, and then the walk with the
// longest pause.
func (in *queryWalks) forget(now time.Time) {
	in.walks = slices.DeleteFunc(in.walks, func(k *walk) bool { return now.Sub(k.at) > walkTimeout })
	if len(in.walks) < maxWalks {
		return
	}
	worst := slices.MinFunc(in.walks, func(a, b *walk) int {
		return cmp.Or(cmp.Compare(a.rank(now), b.rank(now)), a.at.Compare(b.at))
	})
	in.walks = slices.DeleteFunc(in.walks, func(k *walk) bool { return k == worst })
}
