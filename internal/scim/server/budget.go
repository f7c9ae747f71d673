package server

import (
	"context"
	"net/http"
	"time"

	"lightrun.com/scim-operator/internal/scim"
)

// Memory that requests hold at the same time is bounded: a request takes out of one budget what its
// body may come to, and gives it back when it is answered. Read into values, a hostile body takes
// about 30 times its size, so that the budget stands for a GiB at the very worst and for a small
// part of that in practice.
const (
	maxHeld = 32 * MaxBody
	// projectedGroup is what is taken for a group whose members are picked apart: they are decoded
	// for it, where otherwise their bytes are streamed.
	projectedGroup = 8 * MaxBody
	// heldWait is how long a request waits for its part.
	heldWait = 5 * time.Second
)

// hold takes n bytes out of the budget until the call ends, or answers 503.
func (c *call) hold(n int64) error {
	ctx, cancel := context.WithTimeout(c.ctx, heldWait)
	defer cancel()
	if err := c.memory.Acquire(ctx, n); err != nil {
		return &retryError{after: 5, err: scim.Failure(http.StatusServiceUnavailable,
			"Too many large requests are under way at the same time. Nothing was changed; repeat this one.")}
	}
	c.held += n
	return nil
}

// letGo gives back what the call holds.
func (c *call) letGo() {
	c.memory.Release(c.held)
	c.held = 0
}
