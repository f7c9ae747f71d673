// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"time"

	"lightrun.com/scim-operator/internal/kernel/portalapi"
)

const (
	// hashedAtOnce is the number of passwords that are hashed at the same time; each takes 19 MiB.
	hashedAtOnce = 4
	// hashPlaces is the number of hashes that run or wait.
	hashPlaces = 32
	// hashRetry is the time after which a refused caller should try again: 32 hashes take less.
	hashRetry = 3 * time.Second
)

// hashing is the queue in front of the hashing of passwords, which is deliberately expensive. It is
// short, so that a flood of attempts is refused quickly and cannot use up the memory.
type hashing struct {
	places chan struct{}
	turns  chan struct{}
}

func newHashing() hashing {
	return hashing{places: make(chan struct{}, hashPlaces), turns: make(chan struct{}, hashedAtOnce)}
}

// enter runs f with a place in the queue, or returns OVERLOADED if there is none.
func (h hashing) enter(f func() error) error {
	select {
	case h.places <- struct{}{}:
		defer func() { <-h.places }()
		return f()
	default:
		no := refuse(portalapi.CodeOverloaded, "the portal is checking too many passwords at the moment; try again in %s", spoken(hashRetry))
		no.RetryAfter = hashRetry
		return no
	}
}

// turn waits for a turn and runs f, which hashes.
func (h hashing) turn(ctx context.Context, f func()) error {
	select {
	case h.turns <- struct{}{}:
		defer func() { <-h.turns }()
		f()
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// newPassword hashes a password that a user chose. An empty password has no hash.
func (s *Store) newPassword(ctx context.Context, password string) (hash string, err error) {
	if password == "" {
		return "", nil
	}
	queued := s.hashing.enter(func() error {
		return s.hashing.turn(ctx, func() { hash, err = newPassword(password) })
	})
	if queued != nil {
		return "", queued
	}
	return hash, err
}
