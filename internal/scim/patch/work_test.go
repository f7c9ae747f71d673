// SPDX-License-Identifier: Apache-2.0

package patch_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"lightrun.com/scim-operator/internal/scim"
	"lightrun.com/scim-operator/internal/scim/patch"
	"lightrun.com/scim-operator/internal/scim/schema"
)

// TestWork: operations that would compare for minutes are refused, and a large honest push is not.
func TestWork(t *testing.T) {
	long := func(text string, n int) string {
		var elements []string
		for i := range n {
			elements = append(elements, fmt.Sprintf(`{"type":"t%d","value":%q}`, i, text))
		}
		return `{"op":"replace","path":"roles","value":[` + strings.Join(elements, ",") + `]}`
	}
	search := func(ops int) string {
		terms := strings.TrimSuffix(strings.Repeat(`value co \"x\" or `, 50), " or ")
		return strings.Repeat(`,{"op":"remove","path":"roles[`+terms+`]"}`, ops)
	}
	for name, test := range map[string]struct {
		reason, ops string
		refused     bool
	}{
		"Searches":  {"Each of a thousand filters asks each of 50 long texts 50 times.", long(strings.Repeat("ﷺ", 1000), 50) + search(1000), true},
		"Additions": {"Each addition looks for its like.", long(strings.Repeat("é", 1000), 50) + strings.Repeat(`,{"op":"add","path":"roles","value":[{"value":"x","type":"t1"}]}`, 9000), true},
		"Chinese": {"A person with 20 addresses, each attribute pushed on its own.",
			strings.TrimPrefix(strings.Repeat(`,{"op":"add","path":"addresses[type eq \"work\"].locality","value":"北京市"},{"op":"add","path":"addresses[type eq \"home\"].streetAddress","value":"長安街一号"}`, 60), ","), false},
	} {
		t.Run(name, func(t *testing.T) {
			ops, err := patch.Parse(object(t, `{"schemas":["`+scim.SchemaPatchOp+`"],"Operations":[`+test.ops+`]}`))
			if err != nil {
				t.Fatal(err)
			}
			_, err = patch.Apply(schema.User(), object(t, ada), ops)
			var e *scim.Error
			if refused := errors.As(err, &e) && e.Status == 413; refused != test.refused || err != nil && !refused {
				t.Errorf("%s refused %v, %v", test.reason, refused, err)
			}
		})
	}
}

// TestSearches: a removal by filter goes through all members, however many they are.
func TestSearches(t *testing.T) {
	ops := func(n int, filter string) []patch.Operation {
		body := object(t, `{"schemas":["`+scim.SchemaPatchOp+`"],"Operations":[`+strings.TrimPrefix(strings.Repeat(`,{"op":"remove","path":"members[`+filter+`]"}`, n), ",")+`]}`)
		out, err := patch.Parse(body)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	if _, _, err := patch.GroupOps(ops(patch.MaxSearches, `display sw \"x\"`)); err != nil {
		t.Error(err)
	}
	var e *scim.Error
	if _, _, err := patch.GroupOps(ops(patch.MaxSearches+1, `display sw \"x\"`)); !errors.As(err, &e) || e.Status != 413 {
		t.Errorf("too many searches: %v", err)
	}
	if _, _, err := patch.GroupOps(ops(5000, `value eq \"x\"`)); err != nil {
		t.Errorf("removals of named members are no searches: %v", err)
	}
}
