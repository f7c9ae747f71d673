// SPDX-License-Identifier: Apache-2.0

package poolplan

import (
	"slices"

	"lightrun.com/scim-operator/internal/kernel/portalapi"
	"lightrun.com/scim-operator/internal/operator/groupindex"
	"lightrun.com/scim-operator/internal/operator/portalclient/mirror"
)

// Seen returns the revisions of groups that are higher than the revisions in the pins of a pool.
// When the portal has them, it recognizes an older backup of the group. Seen omits a group that is
// not known as a whole, and a group from such a backup.
func Seen(pins []portalapi.Pin, groups groupindex.Lookup, m *mirror.Mirror) (out []portalapi.GroupRevision) {
	for _, pin := range pins {
		g, found := groups.Group(pin.ID)
		if !found || !g.Whole || g.Revision <= pin.Revision || groupindex.Older(g, m) != 0 {
			continue
		}
		if r := (portalapi.GroupRevision{Group: g.ID, Revision: g.Revision}); !slices.Contains(out, r) {
			out = append(out, r)
		}
	}
	return out
}

// WithSeen returns the pins with those revisions.
func WithSeen(pins []portalapi.Pin, seen []portalapi.GroupRevision) []portalapi.Pin {
	out := slices.Clone(pins)
	for i := range out {
		for _, g := range seen {
			if g.Group == out[i].ID {
				out[i].Revision = g.Revision
			}
		}
	}
	return out
}
