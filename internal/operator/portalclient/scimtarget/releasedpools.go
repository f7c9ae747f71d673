// SPDX-License-Identifier: Apache-2.0

package scimtarget

import (
	"context"
	"maps"
	"slices"

	"lightrun.com/scim-operator/internal/kernel/portalapi"
)

// ReleasedPools implements portalapi.Releases. The ledger has the pins: the target knows no lines.
func (c *Client) ReleasedPools(ctx context.Context, after string, limit int) (page []portalapi.ReleasedPool, next string, err error) {
	if err := c.ready(ctx); err != nil {
		return nil, "", err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	owners, next := pageOf(slices.Sorted(maps.Keys(c.book.releasedPins)), after, limit)
	for _, name := range owners {
		page = append(page, portalapi.ReleasedPool{Name: name, Pins: c.book.releasedPins[name]})
	}
	return page, next, nil
}

// pageOf returns up to limit of the sorted names after the given one, and the name to continue
// from; empty at the end.
func pageOf(sorted []string, after string, limit int) (page []string, next string) {
	from, found := slices.BinarySearch(sorted, after)
	if found {
		from++
	}
	page = sorted[from:min(len(sorted), from+limit)]
	if from+limit < len(sorted) {
		next = page[len(page)-1]
	}
	return page, next
}

// changePoolOwner adds to entries what changes in the ledger about released pools when a pool with
// the record from gets the owner to, which may be empty. done applies it in the book. The caller
// has locked mu, also for done.
func (b *book) changePoolOwner(entries map[string]any, from poolRecord, to portalapi.Owner) (done func()) {
	if from.Owner.UID == to.UID {
		return func() {}
	}
	pins := map[string][]portalapi.Pin{} // by the owner's name; nil removes them
	if name := from.Owner.Name; name != "" && name != to.Name {
		pins[name] = portalapi.ReleasedPins(from.Pins)
	}
	if to.Name != "" {
		pins[to.Name] = nil
	}
	for name, kept := range pins {
		switch key := keyOf(keyPins, name); {
		case len(kept) > 0:
			entries[key] = portalapi.ReleasedPool{Name: name, Pins: kept}
		case b.releasedPins[name] != nil:
			entries[key] = nil
		}
	}
	return func() {
		for name, kept := range pins {
			if len(kept) > 0 {
				b.releasedPins[name] = kept
			} else {
				delete(b.releasedPins, name)
			}
		}
	}
}
