// SPDX-License-Identifier: Apache-2.0

package portalapi

import (
	"crypto/sha256"
	"encoding/hex"
)

// ReleasedPool is the owner of a pool that was deleted or released, or that went to another owner,
// with what the owner's lines meant. The next pool of an owner with this name ends it.
type ReleasedPool struct {
	Name string // of the AgentPool
	Pins []Pin  // as ReleasedPins returns them
}

// ReleasedPins returns the pins of a pool in the form in which they are kept after its release:
// Line is the LineDigest of the line, because a line can contain a user name, and a user can be
// erased. Lines that name a group by its id are omitted: they always mean that group.
func ReleasedPins(pins []Pin) (out []Pin) {
	for _, p := range pins {
		if p.Line != "id "+p.ID {
			out = append(out, Pin{Line: LineDigest(p.Line), ID: p.ID, Deleted: p.Deleted})
		}
	}
	return out
}

// LineDigest returns the first 128 bits of the SHA-256 of a line, as lower-case hexadecimal.
func LineDigest(line string) string {
	sum := sha256.Sum256([]byte(line))
	return hex.EncodeToString(sum[:16])
}
