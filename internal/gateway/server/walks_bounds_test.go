// SPDX-License-Identifier: Apache-2.0

package server

import (
	"cmp"
	"testing"
	"time"
)

// TestWalksAreBounded: the memory of walks is bounded by queries, and by walks of a query; the
// least recently used go.
func TestWalksAreBounded(t *testing.T) {
	w, now := newWalks(), time.Now()
	query := func(i int) walkedQuery { return walkedQuery{digest: [8]byte{byte(i), byte(i >> 8)}} }
	for i := range maxWalkedQueries + 10 {
		w.note(query(i), nil, stop{}, stop{index: 101}, false, now)
	}
	if len(w.queries) != maxWalkedQueries || w.recent.Len() != maxWalkedQueries {
		t.Errorf("%d queries are remembered, at most %d may be", len(w.queries), maxWalkedQueries)
	}
	resumes := func(q walkedQuery, index int) bool {
		k, _ := w.resume(q, index, now, func(a, b place) int { return cmp.Compare(a.Key, b.Key) })
		return k != nil
	}
	if resumes(query(0), 101) || !resumes(query(10), 101) {
		t.Error("the oldest queries must be forgotten, and no other")
	}
	q := query(10)
	for i := range maxWalks + 10 {
		w.note(q, nil, stop{}, stop{index: 200 + i}, false, now.Add(time.Duration(i)))
	}
	if have := len(w.of(q).walks); have != maxWalks || resumes(q, 101) || !resumes(q, 200+maxWalks+9) {
		t.Errorf("%d walks of one query are remembered, at most %d may be, and those the newest", have, maxWalks)
	}
}
