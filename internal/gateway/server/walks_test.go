// SPDX-License-Identifier: Apache-2.0

package server_test

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"
)

// hiker is a client that walks /Users two at a time.
type hiker struct {
	*service
	token string
	start int
	seen  []string
}

// page asks for the next page and goes on behind it.
func (h *hiker) page() {
	h.Helper()
	n := len(h.seen)
	h.again()
	h.start += len(h.seen) - n
}

// again asks for a page whose answer is lost, or was.
func (h *hiker) again() {
	h.Helper()
	a := h.do("GET", fmt.Sprintf("/scim/v2/Users?count=2&startIndex=%d", h.start), nil, "Authorization", "Bearer "+h.token).is(200)
	for _, r := range a.at("Resources").([]any) {
		h.seen = append(h.seen, r.(obj)["userName"].(string))
	}
}

// TestWalks checks sequences of requests in which a request could belong to several walks. The
// users are a to h.
func TestWalks(t *testing.T) {
	for name, test := range map[string]struct {
		reason string
		do     func(w *walkers)
		want   string // what the first client is returned
		second string // and the second one
	}{
		"Deletion": {"A deletion before the position of a walk hides no resource from it.", func(w *walkers) {
			w.first.page()
			w.delete("a")
			w.first.rest()
		}, "a b c d e f g h", ""},
		"Repeated": {"A client that repeats a request after a lost answer gets the same page.", func(w *walkers) {
			w.first.page()
			w.delete("a")
			w.first.again()
			w.first.seen = w.first.seen[:2]
			w.delete("b")
			w.first.rest()
		}, "a b c d e f g h", ""},
		"OneAfterTheOther": {"A new walk does not continue a walk that ended.", func(w *walkers) {
			w.first.rest()
			w.delete("a")
			w.second.rest()
		}, "a b c d e f g h", "b c d e f g h"},
		"AtOnce": {"Of two walks at the same startIndex, none misses a resource; the first one gets as many resources twice as were deleted on a page.", func(w *walkers) {
			w.first.page()
			w.delete("a")
			w.second.page()
			w.second.page()
			w.first.page()
			w.first.rest()
			w.second.rest()
		}, "a b c d e f g h", "b c c d e f g h"},
		"AtOnceAndAlike": {"Two walks at the same position are distinguished after one has continued.", func(w *walkers) {
			w.first.page()
			w.second.page()
			w.first.page()
			w.first.page()
			w.delete("a")
			w.second.rest()
			w.first.rest()
		}, "a b c d e f g h", "a b c d e f g h"},
		"GivenUp": {"A single first page, as connection tests request it, does not affect a walk that begins two minutes later.", func(w *walkers) {
			w.first.page()
			w.delete("a")
			w.sleep(2*time.Minute + time.Second)
			w.second.rest()
		}, "a b", "b c d e f g h"},
		"Paused": {"A walk that pauses for an hour continues without a gap.", func(w *walkers) {
			w.first.page()
			w.delete("a")
			w.sleep(time.Hour)
			w.first.rest()
		}, "a b c d e f g h", ""},
		"PausedTooLong": {"A walk that pauses for longer than an hour continues by position.", func(w *walkers) {
			w.first.page()
			w.delete("a")
			w.sleep(time.Hour + time.Second)
			w.first.rest()
		}, "a b d e f g h", ""},
		"OtherToken": {"The walks of another token do not affect a walk.", func(w *walkers) {
			w.second.token = "other"
			w.first.page()
			w.delete("a")
			w.second.page()
			w.second.page()
			w.first.rest()
			w.second.rest()
		}, "a b c d e f g h", "b c d e f g h"},
		"OnToTheEnd": {"A client that continues at the end gets the new resources, and no resource twice.", func(w *walkers) {
			w.first.rest()
			w.delete("a")
			w.user("i")
			w.first.page()
		}, "a b c d e f g h i", ""},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWalkers(t)
			test.do(w)
			if have := strings.Join(w.first.seen, " "); have != test.want {
				t.Errorf("%s\nthe first client has %q and must have %q", test.reason, have, test.want)
			}
			if have := strings.Join(w.second.seen, " "); have != test.second {
				t.Errorf("%s\nthe second client has %q and must have %q", test.reason, have, test.second)
			}
		})
	}
}

// walkers are a service with eight people and two clients.
type walkers struct {
	*service
	ids           map[string]string
	first, second *hiker
	now           time.Time
}

func newWalkers(t *testing.T) *walkers {
	t.Helper()
	w := &walkers{ids: map[string]string{}, now: time.Date(2026, 11, 26, 0, 0, 0, 0, time.UTC)}
	w.service = newService(t, func(s *service) { s.options.Now = func() time.Time { return w.now } })
	for _, name := range strings.Fields("a b c d e f g h") {
		w.ids[name] = w.user(name)
	}
	w.first = &hiker{service: w.service, token: "good", start: 1}
	w.second = &hiker{service: w.service, token: "good", start: 1}
	return w
}

func (w *walkers) delete(name string) {
	w.Helper()
	w.do("DELETE", "/scim/v2/Users/"+w.ids[name], nil).is(204)
}

func (w *walkers) sleep(d time.Duration) { w.now = w.now.Add(d) }

// rest walks on until a page is empty.
func (h *hiker) rest() {
	h.Helper()
	for n := -1; n < len(h.seen); {
		n = len(h.seen)
		h.page()
	}
}

// TestManyWalks: 4,000 other lists do not evict a walk that continues.
func TestManyWalks(t *testing.T) {
	w := newWalkers(t)
	w.first.page()
	w.delete("a")
	for i := range 2000 {
		w.do("GET", fmt.Sprintf("/scim/v2/Users?count=2&filter=userName%%20eq%%20%%22x%d%%22", i), nil).is(200, "totalResults", 0)
		w.do("GET", "/scim/v2/Users?count=1", nil).is(200, "totalResults", 7)
	}
	w.first.rest()
	if have := strings.Join(w.first.seen, " "); have != "a b c d e f g h" {
		t.Errorf("the walk returned %q", have)
	}
}

// TestCursorsAreSealed: a cursor does not contain a user name, because it appears in URLs and so in
// the logs of proxies.
func TestCursorsAreSealed(t *testing.T) {
	s := newService(t)
	for i := range 3 {
		s.user(fmt.Sprintf("ada%d@example.test", i))
	}
	cursor := s.do("GET", "/scim/v2/Users?count=2&sortBy=userName&cursor=", nil).at("nextCursor").(string)
	raw, err := base64.RawURLEncoding.DecodeString(cursor)
	if err != nil || strings.Contains(string(raw), "ada") {
		t.Errorf("the cursor is %q: %v", raw, err)
	}
}
