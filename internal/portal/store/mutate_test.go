// SPDX-License-Identifier: Apache-2.0

package store

import (
	"database/sql"
	"path/filepath"
	"testing"
	"time"

	"lightrun.com/scim-operator/test/framework/postgres"
)

// TestTimeIsReadWithTheLock: a change reads its time while it has the write lock. So an audit event
// with a higher id is never earlier than the one before it, also if writers wait for each other.
func TestTimeIsReadWithTheLock(t *testing.T) {
	for name, d := range map[string]struct {
		driver   string
		database func(*testing.T) string
		lock     string // fails at once if another connection has the write lock
	}{
		"SQLite":     {"sqlite", func(t *testing.T) string { return filepath.Join(t.TempDir(), "portal.db") }, `UPDATE meta SET sequence = sequence`},
		"PostgreSQL": {"pgx", func(t *testing.T) string { return postgres.Start(t).Database(t) }, `SELECT 1 FROM meta FOR UPDATE NOWAIT`},
	} {
		t.Run(name, func(t *testing.T) {
			database := d.database(t)
			var other *sql.DB
			reads := 0
			s, err := Open(t.Context(), Options{Database: database, Now: func() time.Time {
				if other != nil {
					reads++
					if _, err := other.ExecContext(t.Context(), d.lock); err == nil {
						t.Error("the time is read before the write lock is taken")
					}
				}
				return time.Now()
			}})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = s.Close() })
			connection, err := sql.Open(d.driver, database)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = connection.Close() })
			if _, err := connection.ExecContext(t.Context(), d.lock); err != nil {
				t.Fatalf("the lock must be free between changes: %v", err)
			}
			other = connection
			if err := s.inTx(t.Context(), func(*tx) error { return nil }); err != nil {
				t.Fatal(err)
			}
			if reads != 1 {
				t.Errorf("the time was read %d times, want once", reads)
			}
		})
	}
}
