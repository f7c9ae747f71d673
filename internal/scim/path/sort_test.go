// SPDX-License-Identifier: Apache-2.0

package path

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lightrun.com/scim-operator/internal/scim"
	"lightrun.com/scim-operator/internal/scim/schema"
)

// TestSort is RFC 7644 §3.4.2.3.
func TestSort(t *testing.T) {
	people := []scim.Object{
		object(t, `{"id":"1","userName":"bob","active":true,"emails":[{"value":"z@x"},{"value":"a@x","primary":true}],"meta":{"created":"2026-01-01T00:00:00Z"}}`),
		object(t, `{"id":"2","userName":"Ada","title":"T","active":false,"emails":[{"value":"B@x"}],"meta":{"created":"2026-01-01T00:30:00+01:00"}}`),
		object(t, `{"id":"3","userName":"carl","emails":[],"`+ent+`":{"employeeNumber":"7"}}`),
	}
	cases := map[string]struct{ reason, by, order, want string }{
		"None":        {"", "", "", "1 2 3"},
		"Folded":      {"userName is caseExact false.", "USERNAME", "", "2 1 3"},
		"Descending":  {"", "userName", "Descending", "3 1 2"},
		"MissingLast": {"", "title", "ascending", "2 1 3"},
		"MissingHead": {"", "title", "descending", "1 3 2"},
		"Primary":     {"Of several values, the primary one counts, or else the first; a resource without a value is last.", "emails", "", "1 2 3"},
		"Value":       {"", "emails.value", "descending", "3 2 1"},
		"Instant":     {"Times are ordered as instants.", "meta.created", "", "2 1 3"},
		"Boolean":     {"", "active", "", "2 1 3"},
		"Extension":   {"", ent + ":employeeNumber", "", "3 1 2"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			s, err := ParseSort(tc.by, tc.order, schema.User())
			if err != nil {
				t.Fatal(err)
			}
			sorted := slices.Clone(people)
			slices.SortStableFunc(sorted, func(a, b scim.Object) int { return s.Compare(s.Key(a), s.Key(b)) })
			var ids []string
			for _, o := range sorted {
				ids = append(ids, o["id"].(string))
			}
			if diff := cmp.Diff(tc.want, strings.Join(ids, " ")); diff != "" {
				t.Errorf("%s\n%s", tc.reason, diff)
			}
		})
	}
}

func TestSortRefuses(t *testing.T) {
	for name, tc := range map[string]struct{ by, order, says string }{
		"Unknown":  {"nosuch", "", "no attribute"},
		"Password": {"password", "", "can't be sorted by"},
		"Complex":  {"name", "", "sort by one of its sub-attributes"},
		"Schema":   {ent, "", "can't be sorted by"},
		"Order":    {"userName", "up", "must be ascending or descending"},
	} {
		if _, err := ParseSort(tc.by, tc.order, schema.User()); err == nil || !strings.Contains(err.Error(), tc.says) {
			t.Errorf("%s: got %v, want an error that says %q", name, err, tc.says)
		}
	}
}
