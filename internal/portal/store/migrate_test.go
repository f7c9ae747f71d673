// SPDX-License-Identifier: Apache-2.0

package store

import (
	"bytes"
	"database/sql"
	"errors"
	"io/fs"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestMigrationFiles checks that each migration has a number of its own, a way down, and says what
// that loses.
func TestMigrationFiles(t *testing.T) {
	files, err := fs.Glob(migrations, "migrations/*")
	if err != nil {
		t.Fatal(err)
	}
	all := Migrations()
	if len(all) != len(files) {
		t.Errorf("%d files are %d migrations", len(files), len(all))
	}
	for i, file := range files {
		if !regexp.MustCompile(`^migrations/\d{5}_[a-z_]+\.sql$`).MatchString(file) {
			t.Errorf("the name of %s is not five digits and words", file)
		}
		text, err := fs.ReadFile(migrations, file)
		if err != nil {
			t.Fatal(err)
		}
		_, down, found := strings.Cut(string(text), "\n-- +goose Down\n")
		if !found || strings.TrimSpace(down) == "" {
			t.Errorf("%s has no way down", file)
		}
		if m := all[i]; m.Loses == "" || m.Version == 0 || i > 0 && m.Version <= all[i-1].Version {
			t.Errorf("%s is %+v; a line of its first comment must be: -- Down loses: what, or nothing.", file, m)
		}
	}
}

// shape returns the columns and the indexes of all tables.
func shape(t *testing.T, s *Store) (all []string) {
	t.Helper()
	query := `SELECT m.name || ' ' || c.name || ' ' || c.type || ' ' || c."notnull" || ' ' || c.pk FROM sqlite_master m JOIN pragma_table_info(m.name) c WHERE m.type = 'table'
		UNION ALL SELECT name || ' on ' || tbl_name || ' ' || COALESCE(sql, '') FROM sqlite_master WHERE type = 'index' ORDER BY 1`
	if s.dialect.numbered {
		query = `SELECT table_name || ' ' || column_name || ' ' || data_type || ' ' || is_nullable FROM information_schema.columns WHERE table_schema = current_schema()
			UNION ALL SELECT indexdef FROM pg_indexes WHERE schemaname = current_schema()
			UNION ALL SELECT conrelid::regclass || ' ' || pg_get_constraintdef(oid) FROM pg_constraint WHERE connamespace = current_schema()::regnamespace ORDER BY 1`
	}
	err := s.inSnapshot(t.Context(), func(c *conn) (err error) {
		all, err = c.strings(query)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// testMigrations migrates a filled portal down and up, version by version. At each its tables are
// as those of a new database, and what is not said to be lost stays. A backup of an older version
// can be restored, and the portal works after the way up from the oldest.
func testMigrations(t *testing.T, kinds databaseKinds) {
	for kind, database := range kinds {
		t.Run(kind, func(t *testing.T) {
			o := Options{Database: database(t), SecretKeys: ring(t, "s"), AuditKeys: ring(t, "a")}
			portal := opened(t, o)
			fillPortal(t, portal)
			before := stored(t, o)
			check := func(err error) {
				t.Helper()
				if err != nil {
					t.Fatal(err)
				}
			}
			check(portal.Close())
			fresh := o.store() // grows with the versions
			check(fresh.connect(database(t), serving))
			t.Cleanup(func() { _ = fresh.Close() })
			all := Migrations()
			shapes := map[int64][]string{0: nil}
			for _, m := range all {
				check(fresh.migrateTo(t.Context(), m.Version))
				shapes[m.Version] = shape(t, fresh)
			}
			reach := func(version int64) {
				t.Helper()
				check(Migrate(t.Context(), o, version))
				if d := cmp.Diff(shapes[version], shape(t, asIs(t, o))); d != "" {
					t.Fatalf("the tables of version %d on the way down and up differ from those of a new database (-new +migrated):\n%s", version, d)
				}
			}
			for i := len(all) - 1; i > 0; i-- {
				from, to := all[i].Version, all[i-1].Version
				reach(to)
				reach(from)
				reach(to)
				left := stored(t, o)
				for _, table := range []string{"accounts", "memberships", "pools", "pool_roles", "account_roles", "api_keys", "feed", "audit_events"} {
					if len(left[table]) != len(before[table]) {
						t.Fatalf("the table %s of version %d has %d rows, want %d", table, to, len(left[table]), len(before[table]))
					}
				}
				if i == len(all)/2 {
					restoresOlder(t, o, database(t), to)
				}
			}
			reach(Newest())
			again := opened(t, o)
			if _, err := again.CheckPassword(t.Context(), "boss@example.test", demoPassword); err != nil {
				t.Error(err)
			}
			check(errors.Join(again.Close(), Migrate(t.Context(), o, 0)))
			if found := stored(t, o); len(found) > 0 {
				t.Errorf("version 0 has the tables %v", found)
			}
			if err := opened(t, o).EnsureManager(t.Context(), SystemActor("test"), "boss@example.test", demoPassword); err != nil {
				t.Error(err)
			}
		})
	}
}

// asIs opens a database for one look at it: a migration changes what a connection remembers.
func asIs(t *testing.T, o Options) *Store {
	t.Helper()
	s, err := openAsIs(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func stored(t *testing.T, o Options) map[string][]string { return content(t, asIs(t, o), false) }

// restoresOlder restores a backup of a database with an older schema.
func restoresOlder(t *testing.T, o Options, target string, version int64) {
	t.Helper()
	var file bytes.Buffer
	m, err := Backup(t.Context(), o, &file, quiet)
	if err != nil || m.Schema != version {
		t.Fatalf("a backup of version %d is %+v (%v)", version, m, err)
	}
	to := o
	to.Database = target
	if _, err := Restore(t.Context(), to, &file, quiet); err != nil {
		t.Fatal(err)
	}
	r := opened(t, to)
	if n, err := r.CountAccounts(t.Context(), AccountFilter{}); err != nil || n != filledUsers+1 {
		t.Errorf("the restored portal of version %d has %d accounts (%v)", version, n, err)
	}
	if _, err := r.CheckPassword(t.Context(), "boss@example.test", demoPassword); err != nil {
		t.Error(err)
	}
}

func testMigrationStatus(t *testing.T, kinds databaseKinds) {
	for kind, database := range kinds {
		o := Options{Database: database(t)}
		for _, version := range []int64{0, 22, Newest()} {
			if version > 0 {
				if err := Migrate(t.Context(), o, version); err != nil {
					t.Fatal(err)
				}
			} else if kind == "SQLite" {
				db, err := sql.Open("sqlite", o.Database) // the command creates no file
				if err == nil {
					_, err = db.ExecContext(t.Context(), `PRAGMA user_version = 0`)
				}
				if err != nil {
					t.Fatal(err)
				}
				_ = db.Close()
			}
			all, err := MigrationStatus(t.Context(), o)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range all {
				if m.Applied != (m.Version <= version) {
					t.Errorf("%s at version %d: %+v", kind, version, m)
				}
			}
		}
		for _, version := range []int64{-1, Newest() + 1} {
			if err := Migrate(t.Context(), o, version); err == nil || !strings.Contains(err.Error(), "this program knows the schema versions 0 to") {
				t.Errorf("to version %d: %v", version, err)
			}
		}
	}
}
