// SPDX-License-Identifier: Apache-2.0

package scimtarget

import (
	"context"
	"maps"
	"net/http"
	"slices"

	"lightrun.com/scim-operator/internal/kernel/portalapi"
)

// Released implements portalapi.Releases. The ledger has the releases: the target knows no owners.
func (c *Client) Released(ctx context.Context, after string, limit int) (page []portalapi.ReleasedOwner, next string, err error) {
	if err := c.ready(ctx); err != nil {
		return nil, "", err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	owners, next := pageOf(slices.Sorted(maps.Keys(c.book.released)), after, limit)
	for _, name := range owners {
		page = append(page, portalapi.ReleasedOwner{Name: name, Revision: c.book.released[name]})
	}
	return page, next, nil
}

// notReleasedSince refuses to give an account to an owner that was released at the write's revision
// or a newer one, unless a person accepted that. The caller has locked mu.
func (b *book) notReleasedSince(w portalapi.AccountWrite) error {
	at, ok := b.released[w.Owner.Name]
	if !ok || w.Owner.Revision > at || w.Accepted == at {
		return nil
	}
	return refuse(http.StatusConflict, portalapi.CodeReleasedSince, "the account of this owner was released at revision %d; %d is not newer", at, w.Owner.Revision)
}

// putReleased writes entries to the ledger, together with the release of owner, which may have no
// name, and the end of the release of the owner back, if there is one.
func (c *Client) putReleased(ctx context.Context, entries map[string]any, owner portalapi.Owner, back string) error {
	c.mu.Lock()
	released := portalapi.ReleasedOwner{Name: owner.Name, Revision: max(owner.Revision, c.book.released[owner.Name])}
	_, ends := c.book.released[back]
	c.mu.Unlock()
	if released.Name != "" {
		entries[keyOf(keyReleased, released.Name)] = released
	}
	if ends {
		entries[keyOf(keyReleased, back)] = nil
	}
	if len(entries) == 0 {
		return nil
	}
	if err := c.put(ctx, entries); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if released.Name != "" {
		c.book.released[released.Name] = released.Revision
	}
	if ends {
		delete(c.book.released, back)
	}
	return nil
}
