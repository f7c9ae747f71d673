// SPDX-License-Identifier: Apache-2.0

package requestid

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/uuid"
)

func TestOf(t *testing.T) {
	const trace = "4bf92f3577b34da6a3ce929d0e0e4736"
	cases := map[string]struct {
		id, parent string
		want       string // empty for a new one
	}{
		"Client":         {id: "okta-7.a:b_c", want: "okta-7.a:b_c"},
		"Trace":          {parent: "00-" + trace + "-00f067aa0ba902b7-01", want: trace},
		"ClientIsFirst":  {id: "mine", parent: "00-" + trace + "-00f067aa0ba902b7-01", want: "mine"},
		"FutureVersion":  {parent: "01-" + trace + "-00f067aa0ba902b7-01-more", want: trace},
		"None":           {},
		"Longest":        {id: strings.Repeat("x", 128), want: strings.Repeat("x", 128)},
		"TooLong":        {id: strings.Repeat("x", 129)},
		"EMail":          {id: "ada@example.test"},
		"Space":          {id: "a b"},
		"LineBreak":      {id: "a\nb"},
		"NotASCII":       {id: "ä"},
		"ZeroTrace":      {parent: "00-" + strings.Repeat("0", 32) + "-00f067aa0ba902b7-01"},
		"ZeroSpan":       {parent: "00-" + trace + "-0000000000000000-01"},
		"InvalidVersion": {parent: "ff-" + trace + "-00f067aa0ba902b7-01"},
		"UpperCase":      {parent: "00-" + strings.ToUpper(trace) + "-00f067aa0ba902b7-01"},
		"Short":          {parent: "00-" + trace},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			h := http.Header{}
			h.Set(Header, tc.id)
			h.Set("traceparent", tc.parent)
			have := Of(h)
			if tc.want == "" {
				if _, err := uuid.Parse(have); err != nil {
					t.Errorf("want a new id, not %q", have)
				}
			} else if have != tc.want {
				t.Errorf("the id is %q", have)
			}
			if !Usable(have) {
				t.Errorf("%q must be usable", have)
			}
		})
	}
}

func TestContext(t *testing.T) {
	if id := From(t.Context()); id != "" {
		t.Errorf("a context without an id has %q", id)
	}
	if id := From(With(t.Context(), "a")); id != "a" {
		t.Errorf("the id is %q", id)
	}
}

func TestStamped(t *testing.T) {
	for stamp, want := range map[string]string{Stamp(7, "a"): "a", Stamp(6, "a"): "", "a": "", "7/": "", "7/a b": "", "": ""} {
		if have := Stamped(stamp, 7); have != want {
			t.Errorf("the id in %q is %q, must be %q", stamp, have, want)
		}
	}
}
