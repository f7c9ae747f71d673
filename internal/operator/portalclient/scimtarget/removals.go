// SPDX-License-Identifier: Apache-2.0

package scimtarget

import (
	"context"
	"slices"
	"strconv"
	"time"

	"lightrun.com/scim-operator/internal/kernel/portalapi"
)

// removal is one user who lost something by a write of the operator.
type removal struct {
	At      int64  `json:"t"`           // Unix seconds
	Account string `json:"a"`           // the target's id
	Pool    string `json:"p,omitempty"` // that the user left; empty: access or ROLE_MANAGER was lost
}

const (
	bucket = 600                // seconds of removals in one entry of the ledger
	kept   = 8 * 24 * time.Hour // removals that are older count in no window
)

// count records removals in the ledger, before they are carried out: a removal that then fails is
// counted all the same.
func (c *Client) count(ctx context.Context, items []removal) error {
	if len(items) == 0 {
		return nil
	}
	now := c.options.Now()
	c.mu.Lock()
	b, entries := c.book, map[string]any{}
	for i := range items {
		items[i].At = now.Unix()
	}
	b.removed = append(b.removed, items...)
	oldest := now.Add(-kept).Unix()
	for _, r := range b.removed {
		if r.At < oldest {
			entries[bucketKey(r.At)] = nil
		}
	}
	b.removed = slices.DeleteFunc(b.removed, func(r removal) bool { return r.At < oldest })
	var same []removal
	for _, r := range b.removed {
		if r.At/bucket == now.Unix()/bucket {
			same = append(same, r)
		}
	}
	entries[bucketKey(now.Unix())] = same
	c.mu.Unlock()
	return c.put(ctx, entries)
}

func bucketKey(at int64) string { return keyRemoved + strconv.FormatInt(at/bucket, 10) }

// Removals implements portalapi.Audit.
func (c *Client) Removals(ctx context.Context, window time.Duration) (portalapi.Removals, error) {
	if err := c.ready(ctx); err != nil {
		return portalapi.Removals{}, err
	}
	since := c.options.Now().Add(-window).Unix()
	c.mu.Lock()
	defer c.mu.Unlock()
	b := c.book
	accounts, left := map[string]bool{}, map[string]map[string]bool{}
	for _, r := range b.removed {
		switch {
		case r.At < since:
		case r.Pool == "":
			accounts[r.Account] = true
		default:
			if left[r.Pool] == nil {
				left[r.Pool] = map[string]bool{}
			}
			left[r.Pool][r.Account] = true
		}
	}
	out := portalapi.Removals{Removed: len(accounts), Managed: len(accounts), Pools: map[string]portalapi.PoolRemovals{}}
	inPool := map[string]int{}
	for _, a := range b.accounts {
		if a.managed() && a.active() {
			out.Managed++
		}
		if a.record.Owner.UID != "" {
			for id := range a.pools {
				inPool[id]++
			}
		}
	}
	for id := range b.pools {
		if id != defaultPool && (inPool[id] > 0 || len(left[id]) > 0) {
			out.Pools[id] = portalapi.PoolRemovals{Removed: len(left[id]), Members: inPool[id]}
		}
	}
	return out, nil
}
