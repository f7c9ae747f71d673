// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"time"
)

// assertionMargin is the time for which an assertion is remembered after its end: the clocks of two
// replicas differ.
const assertionMargin = 10 * time.Minute

// UseAssertion records that the issuer's assertion is used, and reports whether it was unused.
// Of concurrent calls, on any replica, one gets true. until is when the assertion ends; the record
// lasts a little longer.
func (s *Store) UseAssertion(ctx context.Context, issuer, id string, until time.Time) (first bool, err error) {
	err = s.inTx(ctx, func(t *tx) error {
		if _, err := t.exec(`DELETE FROM used_assertions WHERE expires_at <= ?`, micros(t.now)); err != nil {
			return err
		}
		n, err := t.exec(`INSERT INTO used_assertions (sha256, expires_at) VALUES (?, ?) ON CONFLICT (sha256) DO NOTHING`,
			digest(issuer+"\x00"+id), micros(until.Add(assertionMargin)))
		first = n == 1
		return err
	})
	return first, err
}
