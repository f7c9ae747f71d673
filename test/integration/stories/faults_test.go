// SPDX-License-Identifier: Apache-2.0

package stories_test

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// faults is a handler in front of the portal that injects faults.
type faults struct {
	down  atomic.Bool // every request gets 503
	calls atomic.Int64
	mu    sync.Mutex
	log   []string
	after func(r *http.Request) bool // true: the answer is lost after its effect

	refuse  func(r *http.Request) bool // true: responded with 503, without effect
	foreign http.HandlerFunc           // if not nil, it answers requests whose path ends in path, like a proxy
	path    string
}

// answer makes h respond to all requests whose path has this suffix. If h is nil, they go to the
// portal.
func (f *faults) answer(path string, h http.HandlerFunc) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.path, f.foreign = path, h
}

func (f *faults) around(next http.Handler) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if !strings.HasSuffix(r.URL.Path, "/changes") {
			f.calls.Add(1)
			f.mu.Lock()
			f.log = append(f.log, r.Method+" "+r.URL.Path)
			f.mu.Unlock()
		}
		f.mu.Lock()
		refuse := f.refuse != nil && f.refuse(r)
		foreign := f.foreign
		if !strings.HasSuffix(r.URL.Path, f.path) {
			foreign = nil
		}
		f.mu.Unlock()
		if foreign != nil {
			foreign(rw, r)
			return
		}
		if refuse || f.down.Load() {
			http.Error(rw, `{"code":"INTERNAL","message":"down"}`, http.StatusServiceUnavailable)
			return
		}
		f.mu.Lock()
		lose := f.after != nil && f.after(r)
		f.mu.Unlock()
		if lose {
			next.ServeHTTP(httptest.NewRecorder(), r)
			panic(http.ErrAbortHandler)
		}
		next.ServeHTTP(rw, r)
	})
}

// all returns the calls since the last reset, without those that follow the change feed.
func (f *faults) all() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.log)
}

// writes returns the calls since the last reset that may change something.
func (f *faults) writes() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []string
	for _, c := range f.log {
		if !strings.HasPrefix(c, "GET ") && !strings.HasSuffix(c, "/binding") {
			out = append(out, c)
		}
	}
	return out
}

func (f *faults) reset() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.log = nil
}
