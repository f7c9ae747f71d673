// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lightrun.com/scim-operator/internal/kernel/portalapi"
	"lightrun.com/scim-operator/test/framework/postgres"
)

// filledUsers is the number of SCIM-managed users of a filled portal.
const filledUsers = 300

// filledOperator leads in a filled portal.
var filledOperator = Actor{Kind: Operator, ID: "operator", Name: "operator", Scopes: []Scope{ScopeProvisioning}, Leader: "second"}

// databaseKinds has how to make a database of each kind.
type databaseKinds map[string]func(t *testing.T) string

// TestStorage runs the tests of backup, restore, check and migrations on one PostgreSQL.
func TestStorage(t *testing.T) {
	server := postgres.Start(t)
	kinds := databaseKinds{
		"SQLite":     func(t *testing.T) string { return t.TempDir() + "/portal.db" },
		"PostgreSQL": func(t *testing.T) string { return server.Database(t) },
	}
	for name, test := range map[string]func(*testing.T, databaseKinds){
		"BackupAndRestore": testBackupAndRestore, "BackupRefuses": testBackupRefuses, "RestoreRefuses": testRestoreRefuses,
		"Check": testCheck, "Migrations": testMigrations, "MigrationStatus": testMigrationStatus,
	} {
		t.Run(name, func(t *testing.T) { test(t, kinds) })
	}
}

func opened(t *testing.T, o Options) *Store {
	t.Helper()
	s, err := Open(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// fillPortal makes a portal that has rows in every table and that Check has nothing to say about:
// by its own functions where that takes one call, else by SQL.
func fillPortal(t *testing.T, s *Store) {
	t.Helper()
	ctx, system := t.Context(), SystemActor("test")
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	check(s.EnsureManager(ctx, system, "boss@example.test", demoPassword))
	bob := enrol(t, s, s.now).bob
	_, _, err := s.SaveLoginMethods(ctx, system, portalapi.LoginMethods{SCIMEnabled: true,
		SSO: portalapi.SSO{Enabled: true, Type: "OIDC", Issuer: "https://idp.example.test", ClientID: "portal", ClientSecret: demoClientSecret}}, nil, false)
	check(err)
	for _, leader := range []string{"first", filledOperator.Leader} {
		by := filledOperator
		by.Leader = leader
		_, err = s.Bind(ctx, by, portalapi.Binding{UID: "u-config", Cluster: "demo", Namespace: "demo", Name: "default", ProviderType: "Okta"})
		check(err)
	}
	pool, err := s.PutPool(ctx, filledOperator, portalapi.PoolWrite{Owner: portalapi.Owner{UID: "p-1", Name: "leads", Revision: 1}, Name: "Leads", Roles: []string{portalapi.RoleManager}})
	check(err)
	_, _, err = s.RotatePoolKey(ctx, system, pool.ID, "", 0)
	check(err)
	_, _, err = s.CreateKey(ctx, system, NewKey{Name: "reports", Scope: ScopeRead})
	check(err)
	check(s.inTx(ctx, func(tx *tx) error { return tx.fillBench(filledUsers, pool.ID) }))
	leaver, other := testWrite(0), testWrite(1)
	leaver.Active, leaver.Owner.Revision = false, 2
	_, err = s.PutAccount(ctx, filledOperator, leaver)
	check(err)
	third, err := s.AccountByName(ctx, testWrite(2).UserName)
	check(err)
	_, err = s.PutMemberships(ctx, filledOperator, "p-1", []portalapi.MembershipWrite{{AccountID: third.ID, IfRevision: third.Revision}}, nil)
	check(err)
	check(s.ReleaseAccount(ctx, filledOperator, other.Owner, portalapi.ReleaseDelete))
	deleted := portalapi.Owner{UID: "p-2", Name: "auditors", Revision: 1}
	_, err = s.PutPool(ctx, filledOperator, portalapi.PoolWrite{Owner: deleted, Name: "Auditors", Pins: []portalapi.Pin{{Line: "Auditors", ID: "g-1"}}})
	check(err)
	check(s.ReleasePool(ctx, filledOperator, deleted.UID, true))
	_, _, err = s.CreateReset(ctx, system, bob.ID)
	check(err)
	for _, add := range []struct {
		query string
		args  []any
	}{
		{`INSERT INTO identities VALUES ('https://idp.example.test', 'sub-1', ?, 1, 0)`, []any{bob.ID}},
		{`INSERT INTO known_browsers VALUES ('browser', ?, 1)`, []any{bob.ID}},
		{`INSERT INTO attempt_budgets VALUES ('budget', 1)`, nil},
		{`INSERT INTO used_assertions VALUES ('assertion', 1)`, nil},
		{`INSERT INTO migration_plan_lines VALUES ('plan', ?, 1, 'Migrated', '', FALSE, TRUE, '{}')`, []any{bob.ID}},
		{`INSERT INTO pending_sign_ins VALUES ('pending', ?, 0, 1)`, []any{bob.ID}},
	} {
		_, err := s.write.ExecContext(ctx, s.dialect.rebind(add.query), add.args...)
		check(err)
	}
}

// content returns the rows of each table, but the epoch of the feed and, unless passing, the tables
// that a backup leaves out.
func content(t *testing.T, s *Store, passing bool) map[string][]string {
	t.Helper()
	all := map[string][]string{}
	err := s.inSnapshot(t.Context(), func(c *conn) error {
		found, err := c.existing()
		if err != nil {
			return err
		}
		for _, table := range found {
			if table.passing && !passing {
				continue
			}
			if all[table.name], err = c.content(table.name); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// content returns the rows of a table as JSON, sorted.
func (c *conn) content(table string) (lines []string, err error) {
	columns, err := c.columns(table)
	if err != nil {
		return nil, err
	}
	rows, err := c.tx.QueryContext(c.ctx, `SELECT * FROM `+table)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		values, into, row := make([]any, len(columns)), make([]any, len(columns)), map[string]any{}
		for i := range values {
			into[i] = &values[i]
		}
		if err := rows.Scan(into...); err != nil {
			return nil, err
		}
		for i, column := range columns {
			if row[column.name], err = encoded(values[i], column.kind); err != nil {
				return nil, err
			}
		}
		delete(row, "epoch")
		line, err := json.Marshal(row)
		if err != nil {
			return nil, err
		}
		lines = append(lines, string(line))
	}
	slices.Sort(lines)
	return lines, rows.Err()
}

// strings returns the only column of a query.
func (c *conn) strings(query string) (all []string, err error) {
	err = c.each(func(rows *sql.Rows) error {
		var v string
		err := rows.Scan(&v)
		all = append(all, v)
		return err
	}, query)
	return all, err
}

// same compares the content of two portals.
func same(t *testing.T, what string, got, want map[string][]string) {
	t.Helper()
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("%s differs (-want +got):\n%.3000s", what, d)
	}
}

// TestTables checks the list of tables: none is missing, and each is after those it refers to.
func TestTables(t *testing.T) {
	s := opened(t, Options{Database: t.TempDir() + "/portal.db", SecretKeys: ring(t, "s"), AuditKeys: ring(t, "a")})
	fillPortal(t, s)
	for table, rows := range content(t, s, true) {
		if len(rows) == 0 {
			t.Errorf("the table %s of a filled portal has no row", table)
		}
	}
	seen := []string{}
	for _, table := range tables {
		seen = append(seen, table.name)
		for _, r := range table.references {
			if !slices.Contains(seen, r.parent) {
				t.Errorf("the table %s is before the table %s, to which it refers", table.name, r.parent)
			}
		}
	}
	err := s.inSnapshot(t.Context(), func(c *conn) error {
		found, err := c.strings(`SELECT name FROM sqlite_master WHERE type = 'table' AND name <> 'goose_db_version' AND name NOT LIKE 'sqlite_%' ORDER BY name`)
		if want := sortedSet(seen); err == nil && !slices.Equal(found, want) {
			t.Errorf("the list of tables differs (-want +got):\n%s", cmp.Diff(found, want))
		}
		for _, table := range tables {
			var want []string
			for _, r := range table.references {
				want = append(want, r.column+" "+r.parent+" "+r.key)
			}
			slices.Sort(want)
			got, err := c.strings(`SELECT "from" || ' ' || "table" || ' ' || "to" FROM pragma_foreign_key_list('` + table.name + `') ORDER BY 1`)
			if err != nil || !slices.Equal(got, want) {
				t.Errorf("the references of the table %s are %q, want %q (%v)", table.name, want, got, err)
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
