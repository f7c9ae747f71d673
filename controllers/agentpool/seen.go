// SPDX-License-Identifier: Apache-2.0

package agentpool

import (
	"slices"

	"lightrun.com/scim-operator/internal/kernel/portalapi"
	"lightrun.com/scim-operator/internal/operator/groupindex"
	"lightrun.com/scim-operator/internal/operator/portalclient/mirror"
)

// Seen are the revisions of groups that are higher than those in the pins of a pool. Once the
// portal has them, an older backup of the group is recognized. A group that is not known as a
// whole, or is from such a backup itself, is not among them.
func Seen(pins []portalapi.Pin, groups groupindex.Lookup, m *mirror.Mirror) (out []portalapi.GroupRevision) {
	for _, pin := range pins {
		g, found := groups.Group(pin.Group)
		if !found || !g.Whole || g.Revision <= pin.Revision || groupindex.Older(g, m.GroupRevision(g.ID)) != 0 {
			continue
		}
		if r := (portalapi.GroupRevision{Group: g.ID, Revision: g.Revision}); !slices.Contains(out, r) {
			out = append(out, r)
		}
	}
	return out
}

// withSeen returns the pins with those revisions.
func withSeen(pins []portalapi.Pin, seen []portalapi.GroupRevision) []portalapi.Pin {
	out := slices.Clone(pins)
	for i := range out {
		for _, g := range seen {
			if g.Group == out[i].Group {
				out[i].Revision = g.Revision
			}
		}
	}
	return out
}
