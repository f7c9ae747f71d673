// SPDX-License-Identifier: Apache-2.0

package store

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func rec(id string, version uint64, keys ...string) *record[string] {
	slices.Sort(keys)
	return &record[string]{key: listKey(int64(len(id)), id), version: version, keys: keys, value: fmt.Sprint(id, "@", version)}
}

func values(records []*record[string]) string {
	var out []string
	for _, r := range records {
		out = append(out, r.value)
	}
	return strings.Join(out, " ")
}

// TestTable: whichever input comes first, the newer version wins, and a deleted object stays
// deleted.
func TestTable(t *testing.T) {
	for name, test := range map[string]struct {
		reason string
		do     func(*table[string])
		want   string
	}{
		"WriteThenItsEvent":   {"The event of this replica's own write changes nothing.", func(t *table[string]) { t.storeWrite(rec("a", 5)); t.watched(rec("a", 5)) }, "a@5"},
		"LateOldEvent":        {"An event that is older than a write does not undo the write.", func(t *table[string]) { t.storeWrite(rec("a", 5)); t.watched(rec("a", 3)) }, "a@5"},
		"LateAnswer":          {"The response to a write that comes after the event of a later write does not undo that one.", func(t *table[string]) { t.watched(rec("a", 7)); t.storeWrite(rec("a", 5)) }, "a@7"},
		"AnswerAfterDeletion": {"The response to a write does not bring an object back whose deletion the watch has passed.", func(t *table[string]) { t.watchedGone("a", 9, true); t.storeWrite(rec("a", 5)) }, ""},
		"OwnDeletion":         {"Late events from before this replica's deletion do not bring the object back.", func(t *table[string]) { t.watched(rec("a", 3)); t.removed("a", untilDeleted); t.watched(rec("a", 4)) }, ""},
		"OwnDeletionDone": {"The DELETED event removes the tombstone, so that a restored object is seen.", func(t *table[string]) {
			t.storeWrite(rec("a", 3))
			t.removed("a", untilDeleted)
			t.watchedGone("a", 5, true)
			t.watched(rec("a", 8))
		}, "a@8"},
		"FinalizerStillWorks": {"A status write of an object that is being deleted does not bring it back.", func(t *table[string]) {
			t.watched(rec("a", 3))
			t.watchedGone("a", 4, false)
			t.watchedGone("a", 5, false)
			t.watchedGone("a", 6, true)
		}, ""},
		"RelistForgets":    {"A list without an object removes it.", func(t *table[string]) { t.watched(rec("a", 3)); t.relisted([]*record[string]{rec("b", 4)}, 9) }, "b@4"},
		"RelistIsBehind":   {"A write that is newer than a list stays after the list.", func(t *table[string]) { t.storeWrite(rec("a", 12)); t.relisted([]*record[string]{rec("b", 4)}, 9) }, "a@12 b@4"},
		"RelistAfterWrite": {"A list with an older version of an object does not undo a write.", func(t *table[string]) { t.storeWrite(rec("a", 12)); t.relisted([]*record[string]{rec("a", 4)}, 9) }, "a@12"},
		"RelistClearsTombstones": {"A list without an object removes its tombstone, so that a restored object is seen.", func(t *table[string]) {
			t.watched(rec("a", 3))
			t.removed("a", untilDeleted)
			t.relisted(nil, 9)
			t.watched(rec("a", 12))
		}, "a@12"},
		"RelistBeforeDeletion": {"A list from before the deletion does not bring the object back.", func(t *table[string]) {
			t.watched(rec("a", 3))
			t.removed("a", untilDeleted)
			t.relisted([]*record[string]{rec("a", 3)}, 9)
		}, ""},
		"Order": {"Records are in order of their keys.", func(t *table[string]) {
			t.storeWrite(rec("ccc", 3))
			t.storeWrite(rec("a", 1))
			t.storeWrite(rec("bb", 2))
		}, "a@1 bb@2 ccc@3"},
	} {
		t.Run(name, func(t *testing.T) {
			table := newTable[string]()
			test.do(table)
			if have := values(table.all()); have != test.want {
				t.Errorf("the table has %q, must have %q: %s", have, test.want, test.reason)
			}
		})
	}
}

func TestTableKeys(t *testing.T) {
	table := newTable[string]()
	table.storeWrite(rec("a", 1, "p:x", "u:ada"))
	table.storeWrite(rec("bb", 2, "p:x", "u:bob"))
	table.storeWrite(rec("a", 3, "p:y", "u:ada"))
	for key, want := range map[string]string{"p:x": "bb@2", "p:y": "a@3", "u:ada": "a@3", "u:unknown": ""} {
		if have := values(table.under(key)); have != want || table.count(key) != len(strings.Fields(want)) {
			t.Errorf("under %s: %q, want %q", key, have, want)
		}
	}
	table.removed("bb", untilDeleted)
	if len(table.index) != 2 {
		t.Errorf("keys without records must go: %v", table.index)
	}
}

// TestTableAgainstModel compares the table with a map, over random changes.
func TestTableAgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		table, model := newTable[string](), map[string]*record[string]{}
		for version := range uint64(rapid.IntRange(1, 60).Draw(t, "changes")) {
			id := strings.Repeat("i", rapid.IntRange(1, 8).Draw(t, "id"))
			if rapid.Bool().Draw(t, "delete") {
				table.watchedGone(id, version+1, true)
				delete(model, id)
				continue
			}
			r := rec(id, version+1, rapid.SampledFrom([]string{"p:x", "p:y"}).Draw(t, "key"), "u:"+id)
			table.watched(r)
			model[id] = r
		}
		index := map[string][]string{}
		for _, id := range slices.Sorted(mapKeys(model)) {
			for _, k := range append(model[id].keys, "") {
				index[k] = append(index[k], model[id].value)
			}
		}
		for key, want := range index {
			have := table.all()
			if key != "" {
				have = table.under(key)
			}
			if values(have) != strings.Join(want, " ") {
				t.Fatalf("under %q: %q, want %v", key, values(have), want)
			}
		}
	})
}

func mapKeys(m map[string]*record[string]) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}
