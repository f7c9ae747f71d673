// SPDX-License-Identifier: Apache-2.0

package store

import "strconv"

// Sees reports whether the cache contains a pool.
func (d *Directory) Sees(pool string) bool { return d.pools.get(pool) != nil }

// SeesGroup reports whether the cache contains a group.
func (d *Directory) SeesGroup(id string) bool { return d.groups.get(id) != nil }

// Knows reports whether the cache contains a user.
func (d *Directory) Knows(id string) bool { return d.users.get(id) != nil }

// KnowsAt reports whether the cache contains a user at a version.
func (d *Directory) KnowsAt(id, version string) bool {
	r := d.users.get(id)
	return r != nil && strconv.FormatUint(r.version, 10) == version
}
