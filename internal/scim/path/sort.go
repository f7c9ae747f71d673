// SPDX-License-Identifier: Apache-2.0

package path

import (
	"cmp"
	"encoding/json"
	"strings"

	"lightrun.com/scim-operator/internal/kernel/names"
	"lightrun.com/scim-operator/internal/scim"
	"lightrun.com/scim-operator/internal/scim/schema"
)

// Sort orders resources by an attribute (RFC 7644 §3.4.2.3). The zero value keeps the order.
type Sort struct {
	ref        schema.Ref
	descending bool
}

// ParseSort parses sortBy and sortOrder, "ascending" by default. A complex attribute is sorted by
// its sub-attribute "value". An empty sortBy means no order. Errors: 400 invalidPath for an unknown
// attribute, one that is never returned, or a complex one without "value"; 400 invalidValue for
// another sortOrder.
func ParseSort(by, order string, rt *schema.ResourceType) (Sort, error) {
	if by == "" {
		return Sort{}, nil
	}
	ref, err := resolve(by, by, rt)
	if err != nil {
		return Sort{}, err
	}
	if leaf := ref.Leaf(); leaf == nil || leaf.Returned == schema.Never {
		return Sort{}, invalid(by, "it can't be sorted by")
	}
	if ref.Leaf().Type == schema.Complex {
		if ref.Sub = ref.Attribute.Sub("value"); ref.Sub == nil {
			return Sort{}, invalid(by, "sort by one of its sub-attributes")
		}
	}
	switch strings.ToLower(order) {
	case "", "ascending":
		return Sort{ref: ref}, nil
	case "descending":
		return Sort{ref: ref, descending: true}, nil
	}
	return Sort{}, scim.BadRequest(scim.InvalidValue, "sortOrder must be ascending or descending.")
}

// Key is the sort key of a resource. Compute it once for each resource, then Compare keys. It can
// be encoded as JSON, so that a cursor can contain it.
type Key struct {
	there bool
	text  string
	unix  int64
	nano  int
}

// keyJSON is the JSON form of a Key.
type keyJSON struct {
	There bool   `json:"p,omitempty"`
	Text  string `json:"t,omitempty"`
	Unix  int64  `json:"u,omitempty"`
	Nano  int    `json:"n,omitempty"`
}

// MarshalJSON implements json.Marshaler.
func (k Key) MarshalJSON() ([]byte, error) {
	return json.Marshal(keyJSON{k.there, k.text, k.unix, k.nano})
}

// UnmarshalJSON implements json.Unmarshaler.
func (k *Key) UnmarshalJSON(data []byte) error {
	var j keyJSON
	err := json.Unmarshal(data, &j)
	*k = Key{j.There, j.Text, j.Unix, j.Nano}
	return err
}

// Key returns o's key. For a multi-valued attribute it is that of the primary element, or else of
// the first.
func (s Sort) Key(o scim.Object) Key {
	if s.ref.Attribute == nil {
		return Key{}
	}
	v := s.ref.Get(o)
	if list, ok := v.([]any); ok {
		v = preferred(list)
	}
	if s.ref.Sub != nil {
		inner, _ := v.(scim.Object)
		v = inner[s.ref.Sub.Name]
	}
	switch v := v.(type) {
	case string:
		return s.text(v)
	case bool:
		if v {
			return Key{there: true, unix: 1}
		}
		return Key{there: true}
	case int64:
		return Key{there: true, unix: v}
	}
	return Key{}
}

func (s Sort) text(v string) Key {
	leaf := s.ref.Leaf()
	if leaf.Type == schema.DateTime {
		t, ok := schema.ParseTime(v)
		return Key{there: ok, unix: t.Unix(), nano: t.Nanosecond()}
	}
	if !leaf.CaseExact {
		v = names.Fold(v)
	}
	return Key{there: true, text: v}
}

func preferred(list []any) any {
	for _, e := range list {
		if schema.IsPrimary(e) {
			return e
		}
	}
	if len(list) == 0 {
		return nil
	}
	return list[0]
}

// Compare compares two keys of s: negative if a comes first. A missing value sorts last in
// ascending and first in descending order. Equal resources need a tie-break, such as their id, so
// that pages are stable.
func (s Sort) Compare(a, b Key) int {
	var c int
	switch {
	case a.there != b.there:
		if c = 1; a.there {
			c = -1
		}
	default:
		c = cmp.Or(cmp.Compare(a.unix, b.unix), cmp.Compare(a.nano, b.nano), strings.Compare(a.text, b.text))
	}
	if s.descending {
		return -c
	}
	return c
}
