// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"lightrun.com/scim-operator/internal/kernel/names"
	"lightrun.com/scim-operator/internal/kernel/portalapi"
)

// budget limits attempts: burst of them at once, then one in each interval. It never closes: the
// next attempt is possible after one interval at most, however many were refused before it.
type budget struct {
	key      string // only its digest is stored: it may contain an address
	burst    int
	interval time.Duration
}

// The budgets of one attempt to sign in with a password. Attempts from a browser in which the user
// has signed in before have their own budget, which no other browser can use up.
func passwordBudgets(browser, network, userName string) []budget {
	if browser != "" {
		return []budget{{"browser " + digest(browser), 10, 90 * time.Second}}
	}
	name := names.Digest(userName)
	return []budget{
		{"name and network " + name + " " + network, 10, 90 * time.Second},
		{"network " + network, 100, 9 * time.Second},
		{"name " + name, 30, 30 * time.Second},
	}
}

// codeBudgets are the budgets of one attempt to finish a sign-in with the second factor. It needs
// the right password, so guesses in browsers that are not known share one budget.
func codeBudgets(browser, accountID string) []budget {
	if browser != "" {
		return []budget{{"code browser " + digest(browser), 5, 3 * time.Minute}}
	}
	return []budget{{"code " + accountID, 5, 3 * time.Minute}}
}

// take takes one attempt at now from a budget that is full again at full. It returns when it is
// full after this attempt, or the time to wait for one.
func (b budget) take(full, now time.Time) (after time.Time, wait time.Duration) {
	if full.Before(now) {
		full = now
	}
	after = full.Add(b.interval)
	if wait = after.Sub(now) - time.Duration(b.burst)*b.interval; wait > 0 {
		return full, wait
	}
	return after, 0
}

// full returns when the budget is full again.
func (c *conn) full(b budget) (time.Time, error) {
	var us int64
	err := c.row(`SELECT full_at FROM attempt_budgets WHERE key_sha256 = ?`, digest(b.key)).Scan(&us)
	if errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	return fromMicros(us), err
}

// available refuses with RATE_LIMITED if one of the budgets is used up. It writes nothing, so a
// flood of refused attempts does not hold up the writers.
func (s *Store) available(ctx context.Context, budgets []budget) error {
	return s.inSnapshot(ctx, func(c *conn) error {
		_, err := c.takeAll(budgets, s.now())
		return err
	})
}

// reserve takes one attempt from each budget, or none and returns RATE_LIMITED. It is called before
// the attempt, so that attempts at the same time cannot pass a limit together.
func (s *Store) reserve(ctx context.Context, budgets []budget) error {
	return s.inTx(ctx, func(t *tx) error {
		after, err := t.takeAll(budgets, t.now)
		if err != nil {
			return err
		}
		if _, err := t.exec(`DELETE FROM attempt_budgets WHERE full_at <= ?`, micros(t.now)); err != nil {
			return err
		}
		for i, b := range budgets {
			if _, err := t.exec(`INSERT INTO attempt_budgets (key_sha256, full_at) VALUES (?, ?) ON CONFLICT (key_sha256) DO UPDATE SET full_at = excluded.full_at`,
				digest(b.key), micros(after[i])); err != nil {
				return err
			}
		}
		return nil
	})
}

// takeAll returns when each budget is full after one more attempt, or RATE_LIMITED with the longest
// time to wait.
func (c *conn) takeAll(budgets []budget, now time.Time) ([]time.Time, error) {
	after := make([]time.Time, len(budgets))
	var longest time.Duration
	for i, b := range budgets {
		full, err := c.full(b)
		if err != nil {
			return nil, err
		}
		var wait time.Duration
		after[i], wait = b.take(full, now)
		longest = max(longest, wait)
	}
	if longest > 0 {
		no := refuse(portalapi.CodeRateLimited, "too many attempts failed; try again in %s", spoken(longest))
		no.RetryAfter = longest
		return nil, no
	}
	return after, nil
}

// giveBack returns a reserved attempt to each budget.
func (s *Store) giveBack(ctx context.Context, budgets []budget) error {
	return s.inTx(ctx, func(t *tx) error { return t.giveBack(budgets) })
}

func (t *tx) giveBack(budgets []budget) error {
	for _, b := range budgets {
		if _, err := t.exec(`UPDATE attempt_budgets SET full_at = full_at - ? WHERE key_sha256 = ?`, b.interval.Microseconds(), digest(b.key)); err != nil {
			return err
		}
	}
	return nil
}
