package provision

// Budget is how many removals the deprovisioning guard lets through within its window.
type Budget struct {
	MaxPercent int // of the managed, active accounts at the window's start
	MinUsers   int // always allowed, however few accounts there are
}

// Left says how many more removals fit, given how many were made within the window and how many accounts were managed
// and active before them. It is never negative.
func (b Budget) Left(managed, removed int) int {
	allowed := max(managed*b.MaxPercent/100, b.MinUsers)
	return max(allowed-removed, 0)
}
