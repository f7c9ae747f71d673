// SPDX-License-Identifier: Apache-2.0

package store

import (
	"math"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// table is the watch cache of one kind: records in a stable order, and by secondary keys.
//
// It has two inputs: the events of the watch, in order, and the responses to this replica's own
// writes, which come before their events. Resource versions of one kind are comparable, so the
// newer version always wins. A removal leaves a tombstone until the watch has passed its version.
// Readers get pointers to immutable records, and need no lock to use them.
type table[T any] struct {
	mu    sync.RWMutex
	byID  map[string]*entry[T]
	order []*entry[T]            // all entries, by key
	index map[string][]*entry[T] // entries by secondary key; each list is in order of key
	gone  map[string]uint64      // tombstones: events up to this version are ignored
	seen  uint64                 // version up to which the watch has delivered events
	lag   lag
	// stored, if set, is called with the lock taken when a record replaces another; either may be
	// nil.
	stored func(old, now *record[T])
}

// record is the cache entry of one object at one resource version.
type record[T any] struct {
	key     string // creation time and id: the order of lists
	uid     string
	version uint64
	keys    []string // secondary keys, sorted
	value   T
}

// entry is the place of one id. Its record is replaced as a whole, and is nil after the object is
// deleted.
type entry[T any] struct {
	key    string
	record atomic.Pointer[record[T]]
}

// createdDigits is the width of the creation time in a key.
const createdDigits = 11

func (r *record[T]) id() string { return r.key[createdDigits:] }

// untilDeleted is the version of a tombstone that only a DELETED event of the watch or a new list
// removes.
const untilDeleted = math.MaxUint64

func newTable[T any]() *table[T] {
	return &table[T]{
		byID: map[string]*entry[T]{}, index: map[string][]*entry[T]{},
		gone: map[string]uint64{},
	}
}

// storeWrite stores the response to a write of this replica.
func (t *table[T]) storeWrite(r *record[T]) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, known := t.byID[r.id()]; !known && r.version <= t.seen {
		return // the watch has passed this version: the object is deleted
	}
	t.lag.known(r.version, t.seen)
	t.put(r)
}

// removed records that this replica deleted an object. version is the object's version while it is
// being deleted, or untilDeleted.
func (t *table[T]) removed(id string, version uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.drop(id, version)
	if version > t.seen {
		t.gone[id] = version
	}
}

// watched stores an object from a watch event.
func (t *table[T]) watched(r *record[T]) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.put(r)
	t.advance(r.version)
}

// watchedGone records an event of an object that is deleted or being deleted.
func (t *table[T]) watchedGone(id string, version uint64, deleted bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.drop(id, version)
	if deleted || t.gone[id] <= version {
		delete(t.gone, id)
	}
	t.advance(version)
}

// relisted replaces all records by a list at version.
func (t *table[T]) relisted(all []*record[T], version uint64) {
	slices.SortFunc(all, func(a, b *record[T]) int { return strings.Compare(a.key, b.key) })
	t.mu.Lock()
	defer t.mu.Unlock()
	listed := make(map[string]bool, len(all))
	for _, r := range all {
		listed[r.id()] = true
	}
	for id := range t.byID {
		if !listed[id] {
			t.drop(id, version) // unless this replica wrote it after the list was made
		}
	}
	for id, v := range t.gone {
		if v <= version || v == untilDeleted && !listed[id] {
			delete(t.gone, id)
		}
	}
	for _, r := range all {
		t.put(r)
	}
	t.advance(version)
}

// put stores r, unless a newer version is stored. The caller has the lock.
func (t *table[T]) put(r *record[T]) {
	id := r.id()
	if r.version <= t.gone[id] {
		return
	}
	e, ok := t.byID[id]
	if ok {
		old := e.record.Load()
		if r.version <= old.version {
			return
		}
		if e.key == r.key {
			t.rekey(e, old.keys, r.keys)
			t.store(e, r)
			return
		}
		t.drop(id, r.version) // created again with the same id: restored from a backup
	}
	e = &entry[T]{key: r.key}
	t.store(e, r)
	t.byID[id] = e
	t.order = inserted(t.order, e)
	t.rekey(e, nil, r.keys)
}

// drop removes an id, unless a version newer than version is stored. The caller has the lock.
func (t *table[T]) drop(id string, version uint64) {
	e, ok := t.byID[id]
	if !ok {
		return
	}
	old := e.record.Load()
	if old.version > version {
		return
	}
	delete(t.byID, id)
	t.order = without(t.order, e)
	t.rekey(e, old.keys, nil)
	t.store(e, nil)
}

// store replaces an entry's record. The caller has the lock.
func (t *table[T]) store(e *entry[T], r *record[T]) {
	if t.stored != nil {
		t.stored(e.record.Load(), r)
	}
	e.record.Store(r)
}

// rekey moves an entry from its old secondary keys to its new ones, both sorted. The caller has the
// lock.
func (t *table[T]) rekey(e *entry[T], old, now []string) {
	for _, k := range old {
		if _, keep := slices.BinarySearch(now, k); keep {
			continue
		}
		if rest := without(t.index[k], e); len(rest) > 0 {
			t.index[k] = rest
		} else {
			delete(t.index, k)
		}
	}
	for _, k := range now {
		if _, have := slices.BinarySearch(old, k); !have {
			t.index[k] = inserted(t.index[k], e)
		}
	}
}

func position[T any](list []*entry[T], key string) (int, bool) {
	return slices.BinarySearchFunc(list, key, func(e *entry[T], key string) int { return strings.Compare(e.key, key) })
}

// inserted and without change a list that is sorted by key. They change the list in place, because
// readers copy it under the lock.
func inserted[T any](list []*entry[T], e *entry[T]) []*entry[T] {
	i, found := position(list, e.key)
	if found {
		return list
	}
	return slices.Insert(list, i, e)
}

func without[T any](list []*entry[T], e *entry[T]) []*entry[T] {
	i, found := position(list, e.key)
	if !found {
		return list
	}
	return slices.Delete(list, i, i+1)
}

// advance records the version up to which the watch has delivered events. The caller has the lock.
func (t *table[T]) advance(version uint64) {
	t.lag.came(version)
	if version <= t.seen {
		return
	}
	t.seen = version
	for id, v := range t.gone {
		if v <= version {
			delete(t.gone, id)
		}
	}
}

// get returns the record of an id, or nil.
func (t *table[T]) get(id string) *record[T] {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if e, ok := t.byID[id]; ok {
		return e.record.Load()
	}
	return nil
}

// under returns a copy of the records that have a secondary key, in order.
func (t *table[T]) under(key string) []*record[T] {
	t.mu.RLock()
	list := slices.Clone(t.index[key])
	t.mu.RUnlock()
	return loaded(list)
}

// count returns the number of records with a secondary key.
func (t *table[T]) count(key string) int {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return len(t.index[key])
}

// all returns a copy of all records, in order.
func (t *table[T]) all() []*record[T] {
	t.mu.RLock()
	list := slices.Clone(t.order)
	t.mu.RUnlock()
	return loaded(list)
}

// page returns at most count records after the key after (or from offset, if after is empty), and
// the number of all records. A page that is not full is the last one: records are loaded under the
// lock, so none of them is deleted.
func (t *table[T]) page(after string, offset, count int) (records []*record[T], total int, more bool) {
	t.mu.RLock()
	total = len(t.order)
	if after != "" {
		i, found := position(t.order, after)
		if offset = i; found {
			offset++
		}
	}
	offset = min(offset, total)
	end := min(offset+count, total)
	records = loaded(t.order[offset:end])
	t.mu.RUnlock()
	return records, total, end < total && count > 0
}

// len returns the number of records.
func (t *table[T]) len() int {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return len(t.order)
}

// loaded returns the records of entries, without deleted ones.
func loaded[T any](list []*entry[T]) []*record[T] {
	out := make([]*record[T], 0, len(list))
	for _, e := range list {
		if r := e.record.Load(); r != nil {
			out = append(out, r)
		}
	}
	return out
}
