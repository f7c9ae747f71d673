// SPDX-License-Identifier: Apache-2.0

package patch_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"lightrun.com/scim-operator/internal/scim"
	"lightrun.com/scim-operator/internal/scim/patch"
	"lightrun.com/scim-operator/internal/scim/schema"
)

func TestDiff(t *testing.T) {
	enterprise := scim.SchemaEnterpriseUser
	work := []any{scim.Object{"value": "ada@example.test", "type": "work", "primary": true}}
	for name, tc := range map[string]struct {
		reason   string
		from, to scim.Object
		want     []string // op and path
	}{
		"Same": {
			reason: "A resource in the desired state needs no request.",
			from:   scim.Object{"userName": "ada", "emails": work}, to: scim.Object{"userName": "ada", "emails": work},
		},
		"Single": {
			reason: "Only what differs is sent.",
			from:   scim.Object{"userName": "ada", "title": "Engineer", "active": true},
			to:     scim.Object{"userName": "ada", "title": "Director", "active": false},
			want:   []string{"replace active", "replace title"},
		},
		"Cleared": {
			reason: "An attribute without a value is removed.",
			from:   scim.Object{"userName": "ada", "title": "Engineer"}, to: scim.Object{"userName": "ada"},
			want: []string{"remove title"},
		},
		"Part": {
			reason: "The other parts of a name stay as they are.",
			from:   scim.Object{"userName": "ada", "name": scim.Object{"givenName": "Ada", "familyName": "Byron", "middleName": "A."}},
			to:     scim.Object{"userName": "ada", "name": scim.Object{"givenName": "Ada", "familyName": "Lovelace"}},
			want:   []string{"replace name.familyName", "remove name.middleName"},
		},
		"NewComplex": {
			reason: "A name that was not there is set whole.",
			from:   scim.Object{"userName": "ada"}, to: scim.Object{"userName": "ada", "name": scim.Object{"givenName": "Ada"}},
			want: []string{"replace name"},
		},
		"List": {
			reason: "A list is replaced whole, because the two sides may not identify its elements in the same way.",
			from:   scim.Object{"userName": "ada"}, to: scim.Object{"userName": "ada", "emails": work},
			want: []string{"replace emails"},
		},
		"External": {
			reason: "externalId is a common attribute, not one of the User schema.",
			from:   scim.Object{"userName": "ada"}, to: scim.Object{"userName": "ada", "externalId": "00u1"},
			want: []string{"replace externalId"},
		},
		"Extension": {
			reason: "An attribute of an extension has the URN in its path.",
			from:   scim.Object{"userName": "ada", enterprise: scim.Object{"department": "R&D", "division": "North"}},
			to:     scim.Object{"userName": "ada", enterprise: scim.Object{"department": "Sales"}},
			want:   []string{"replace " + enterprise + ":department", "remove " + enterprise + ":division"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			rt := schema.User()
			ops := patch.Diff(rt, tc.from, tc.to)
			var got []string
			for _, op := range ops {
				got = append(got, string(op.Op)+" "+op.Path)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.reason, diff)
			}
			if len(ops) == 0 {
				return
			}
			parsed, err := patch.Parse(patch.Body(ops))
			if err != nil {
				t.Fatal(err)
			}
			after, err := patch.Apply(rt, tc.from, parsed)
			if err != nil {
				t.Fatal(err)
			}
			delete(after, "schemas")
			if diff := cmp.Diff(tc.to, after); diff != "" {
				t.Errorf("the operations give another resource (-want +got):\n%s", diff)
			}
		})
	}
}

// FuzzDiff checks that the operations lead from any resource to any other one.
func FuzzDiff(f *testing.F) {
	f.Add([]byte(`{"userName":"a","title":"x","emails":[{"value":"a@b"}]}`), []byte(`{"userName":"b","name":{"givenName":"g"}}`))
	f.Add([]byte(`{"userName":"a","name":{"givenName":"g"}}`), []byte(`{"userName":"a","name":{"familyName":"f"},"active":false}`))
	f.Fuzz(func(t *testing.T, x, y []byte) {
		rt := schema.User()
		from, to := canonical(rt, x), canonical(rt, y)
		if from == nil || to == nil {
			return
		}
		ops := patch.Diff(rt, from, to)
		if len(ops) == 0 {
			return
		}
		parsed, err := patch.Parse(patch.Body(ops))
		if err != nil {
			t.Fatal(err)
		}
		after, err := patch.Apply(rt, from, parsed)
		if err != nil {
			t.Fatal(err)
		}
		if rest := patch.Diff(rt, after, to); len(rest) > 0 {
			t.Errorf("after %v the resource still differs: %v", ops, rest)
		}
	})
}

func canonical(rt *schema.ResourceType, data []byte) scim.Object {
	o, err := scim.DecodeJSON(data, scim.Limits{})
	if err != nil {
		return nil
	}
	o, err = schema.Canonicalize(rt, o, schema.Create)
	if err != nil {
		return nil
	}
	return o
}
