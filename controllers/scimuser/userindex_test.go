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

func TestUserIndex(t *testing.T) {
	for name, c := range map[string]struct {
		reason string
		do     func(*userIndex)
		all    []string
		ada    []string // users that claim ada@example.test
		bob    []string
	}{
		"Empty": {reason: "An empty index has no users and no claimants.", do: func(*userIndex) {}},
		"Folded": {
			reason: "User names are compared without regard to case.",
			do:     func(x *userIndex) { x.put(person("1", "ADA@example.test")) },
			all:    []string{"1"}, ada: []string{"1"},
		},
		"PutAgain": {
			reason: "A change that does not concern the name leaves one entry.",
			do:     func(x *userIndex) { x.put(person("1", "ada@example.test")); x.put(person("1", "ada@example.test")) },
			all:    []string{"1"}, ada: []string{"1"},
		},
		"Renamed": {
			reason: "No user claims the former name.",
			do: func(x *userIndex) {
				x.put(person("1", "ada@example.test"))
				x.put(person("1", "bob@example.test"))
			},
			all: []string{"1"}, bob: []string{"1"},
		},
		"TwoWantOne": {
			reason: "A change of the claim must enqueue both.",
			do:     func(x *userIndex) { x.put(person("1", "ada@example.test")); x.put(person("2", "ada@example.test")) },
			all:    []string{"1", "2"}, ada: []string{"1", "2"},
		},
		"FirstLeaves": {
			reason: "After the user with the claim leaves, the users that wait for the name are found.",
			do: func(x *userIndex) {
				x.put(person("1", "ada@example.test"))
				x.put(person("2", "ada@example.test"))
				x.put(person("3", "ada@example.test"))
				x.drop("1")
			},
			all: []string{"2", "3"}, ada: []string{"2", "3"},
		},
		"AnotherLeaves": {
			reason: "After a user that waits leaves, the user with the claim is found.",
			do: func(x *userIndex) {
				x.put(person("1", "ada@example.test"))
				x.put(person("2", "ada@example.test"))
				x.put(person("2", "bob@example.test"))
				x.drop("unknown")
			},
			all: []string{"1", "2"}, ada: []string{"1"}, bob: []string{"2"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			x := newUserIndex()
			c.do(x)
			claimants := func(userName string) []string { return x.claimants(claims.ObjectName(v1alpha1.ClaimUser, userName)) }
			for what, pair := range map[string][2][]string{
				"all": {x.all(), c.all}, "ada": {claimants("ada@example.test"), c.ada}, "bob": {claimants("bob@example.test"), c.bob},
			} {
				slices.Sort(pair[0])
				if d := cmp.Diff(pair[1], pair[0], cmp.Transformer("empty", func(in []string) []string { return append([]string{}, in...) })); d != "" {
					t.Errorf("%s: %s (-want +got):\n%s", what, c.reason, d)
				}
			}
			if people, firsts := len(x.people), len(x.first); people == 0 && firsts > 0 || len(x.others) > people {
				t.Errorf("%d people, %d claims", people, firsts)
			}
		})
	}
}
