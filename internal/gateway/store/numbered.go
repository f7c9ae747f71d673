// SPDX-License-Identifier: Apache-2.0

package store

// numbered stores values by key, and gives each key a number of four bytes, which other indexes
// store instead of the longer key. The number of a dropped key is used again. The zero value is not
// usable.
type numbered[K comparable, V any] struct {
	numbers map[K]uint32
	values  []V      // by number
	free    []uint32 // numbers without a key
}

func newNumbered[K comparable, V any]() numbered[K, V] {
	return numbered[K, V]{numbers: map[K]uint32{}}
}

// find returns a key's number.
func (t *numbered[K, V]) find(key K) (n uint32, ok bool) {
	n, ok = t.numbers[key]
	return n, ok
}

// number returns a key's number. A new key gets the value.
func (t *numbered[K, V]) number(key K, value V) uint32 {
	if n, ok := t.numbers[key]; ok {
		return n
	}
	n := uint32(len(t.values))
	if last := len(t.free) - 1; last >= 0 {
		n, t.free = t.free[last], t.free[:last]
		t.values[n] = value
	} else {
		t.values = append(t.values, value)
	}
	t.numbers[key] = n
	return n
}

// at returns a pointer to the value of a number, valid until the next call of number.
func (t *numbered[K, V]) at(n uint32) *V { return &t.values[n] }

// drop removes a key.
func (t *numbered[K, V]) drop(key K) {
	n, ok := t.numbers[key]
	if !ok {
		return
	}
	var none V
	t.values[n] = none
	delete(t.numbers, key)
	t.free = append(t.free, n)
}
