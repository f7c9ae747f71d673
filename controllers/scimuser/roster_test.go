// SPDX-License-Identifier: Apache-2.0

package scimuser

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/kernel/claims"
)

func person(id, userName string) *v1alpha1.ScimUser {
	return &v1alpha1.ScimUser{ObjectMeta: metav1.ObjectMeta{Name: id}, Spec: v1alpha1.ScimUserSpec{UserName: userName}}
}

func TestRoster(t *testing.T) {
	for name, c := range map[string]struct {
		reason string
		do     func(*roster)
		all    []string
		ada    []string // who want ada@example.test
		bob    []string
	}{
		"Empty": {reason: "Nobody wants what nobody has.", do: func(*roster) {}},
		"Folded": {
			reason: "User names differ in more than case.",
			do:     func(r *roster) { r.put(person("1", "ADA@example.test")) },
			all:    []string{"1"}, ada: []string{"1"},
		},
		"PutAgain": {
			reason: "A change that does not concern the name leaves one entry.",
			do:     func(r *roster) { r.put(person("1", "ada@example.test")); r.put(person("1", "ada@example.test")) },
			all:    []string{"1"}, ada: []string{"1"},
		},
		"Renamed": {
			reason: "The former name is nobody's.",
			do: func(r *roster) {
				r.put(person("1", "ada@example.test"))
				r.put(person("1", "bob@example.test"))
			},
			all: []string{"1"}, bob: []string{"1"},
		},
		"TwoWantOne": {
			reason: "Both must look again when the claim changes.",
			do:     func(r *roster) { r.put(person("1", "ada@example.test")); r.put(person("2", "ada@example.test")) },
			all:    []string{"1", "2"}, ada: []string{"1", "2"},
		},
		"FirstLeaves": {
			reason: "Whoever waited is still found.",
			do: func(r *roster) {
				r.put(person("1", "ada@example.test"))
				r.put(person("2", "ada@example.test"))
				r.put(person("3", "ada@example.test"))
				r.drop("1")
			},
			all: []string{"2", "3"}, ada: []string{"2", "3"},
		},
		"AnotherLeaves": {
			reason: "Who has the name stays found.",
			do: func(r *roster) {
				r.put(person("1", "ada@example.test"))
				r.put(person("2", "ada@example.test"))
				r.put(person("2", "bob@example.test"))
				r.drop("nobody")
			},
			all: []string{"1", "2"}, ada: []string{"1"}, bob: []string{"2"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRoster()
			c.do(r)
			wanting := func(userName string) []string { return r.wanting(claims.ObjectName(v1alpha1.ClaimUser, userName)) }
			for what, pair := range map[string][2][]string{
				"all": {r.all(), c.all}, "ada": {wanting("ada@example.test"), c.ada}, "bob": {wanting("bob@example.test"), c.bob},
			} {
				slices.Sort(pair[0])
				if d := cmp.Diff(pair[1], pair[0], cmp.Transformer("empty", func(in []string) []string { return append([]string{}, in...) })); d != "" {
					t.Errorf("%s: %s (-want +got):\n%s", what, c.reason, d)
				}
			}
			if people, firsts := len(r.people), len(r.first); people == 0 && firsts > 0 || len(r.others) > people {
				t.Errorf("%d people, %d claims", people, firsts)
			}
		})
	}
}
