// SPDX-License-Identifier: Apache-2.0

package pass

import "lightrun.com/scim-operator/internal/kernel/portalapi"

// SameMark reports whether two marks of a portal record are equal. nil means that nothing is held
// or was dropped.
func SameMark(a, b *portalapi.Mark) bool {
	if a == nil || b == nil {
		return a == b
	}
	return *a == *b
}
