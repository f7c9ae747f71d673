// SPDX-License-Identifier: Apache-2.0

package guard

// Budget is the number of removals that are carried out within a window.
type Budget struct {
	MaxPercent int // percentage of the users who were active at the start of the window
	MinUsers   int // number of removals that are always allowed
}

// Left returns the number of further removals that fit into the budget. all is the number of users,
// including the removed ones; removed is the number of removals within the window. The result is
// never negative.
func (b Budget) Left(all, removed int) int {
	return max(max(all*b.MaxPercent/100, b.MinUsers)-removed, 0)
}
