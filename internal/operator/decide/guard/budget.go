// SPDX-License-Identifier: Apache-2.0

package guard

// Budget is how many removals pass within a window.
type Budget struct {
	MaxPercent int // of those who were active at the window's start
	MinUsers   int // always allowed, however few there are
}

// Left returns how many more removals fit, given the number made within the window and the number
// of users, removed ones included. It is never negative.
func (b Budget) Left(all, removed int) int {
	return max(max(all*b.MaxPercent/100, b.MinUsers)-removed, 0)
}
