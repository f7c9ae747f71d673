// SPDX-License-Identifier: Apache-2.0

package server

import (
	"context"
	"net/http"
	"time"

	"lightrun.com/scim-operator/internal/scim"
)

// The memory of concurrent requests is limited by one budget: a request reserves the maximum size
// of its body and returns it after the response. A decoded hostile body takes about 30 times its
// size, so the budget corresponds to a GiB in the worst case and to a small part of that in
// practice.
const (
	maxHeld = 32 * MaxBody
	// projectedGroup is the reservation for a group with a projection of its members, because a
	// projection decodes them. Without a projection their bytes are streamed.
	projectedGroup = 8 * MaxBody
	// reserveWait is the maximum time for which a request waits for its reservation.
	reserveWait = 5 * time.Second
)

// reserve takes n bytes from the budget until the call ends. If the budget does not have them in
// time, it returns a 503.
func (c *call) reserve(n int64) error {
	ctx, cancel := context.WithTimeout(c.ctx, reserveWait)
	defer cancel()
	if err := c.memory.Acquire(ctx, n); err != nil {
		return &retryError{after: 5, err: scim.Failure(http.StatusServiceUnavailable,
			"Too many large requests are in progress. Nothing was changed; retry the request.")}
	}
	c.reserved += n
	return nil
}

// unreserve returns the reserved bytes to the budget.
func (c *call) unreserve() {
	c.memory.Release(c.reserved)
	c.reserved = 0
}
