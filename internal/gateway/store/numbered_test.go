// SPDX-License-Identifier: Apache-2.0

package store

import (
	"testing"

	"pgregory.net/rapid"
)

// TestNumbered: after any sequence of changes, each key has its number and its value, no two keys
// share a number, and numbers are used again.
func TestNumbered(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		table := newNumbered[string, string]()
		want := map[string]uint32{}
		most := 0
		keys := rapid.SampledFrom([]string{"a", "b", "c", "d", "e"})
		t.Repeat(map[string]func(*rapid.T){
			"number": func(t *rapid.T) {
				key := keys.Draw(t, "key")
				n := table.number(key, "value of "+key)
				if old, ok := want[key]; ok && old != n {
					t.Fatalf("%s had the number %d and has %d", key, old, n)
				}
				want[key] = n
				most = max(most, len(want))
			},
			"drop": func(t *rapid.T) {
				key := keys.Draw(t, "key")
				table.drop(key)
				delete(want, key)
			},
			"": func(t *rapid.T) {
				taken := map[uint32]string{}
				for key, n := range want {
					if got, ok := table.find(key); !ok || got != n || *table.at(n) != "value of "+key {
						t.Fatalf("%s has the number %d (%v) with %q, want %d", key, got, ok, *table.at(n), n)
					}
					if other, twice := taken[n]; twice {
						t.Fatalf("%s and %s have the number %d", key, other, n)
					}
					taken[n] = key
				}
				if len(table.numbers) != len(want) || len(table.values) > most {
					t.Fatalf("%d keys and %d values, want %d and at most %d", len(table.numbers), len(table.values), len(want), most)
				}
			},
		})
	})
}
