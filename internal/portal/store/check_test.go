// SPDX-License-Identifier: Apache-2.0

package store

import (
	"strings"
	"testing"

	"lightrun.com/scim-operator/internal/kernel/portalapi"
)

func checked(t *testing.T, o Options) *CheckReport {
	t.Helper()
	r, err := Check(t.Context(), o, portalapi.AuditHead{})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// testCheck breaks a portal in one way after the other, behind the portal's back, and checks that
// the findings name it.
func testCheck(t *testing.T, kinds databaseKinds) {
	breaks := []struct {
		reason string
		sql    []string // also how to repair it, in the end
		want   string   // part of the only finding
	}{
		{"A direct role is beside the roles of the pools.", []string{
			`INSERT INTO account_roles SELECT id, 'ROLE_IGNORE_QUOTA' FROM accounts WHERE user_name = 'person000003@example.test'`,
			`DELETE FROM account_roles WHERE role = 'ROLE_IGNORE_QUOTA'`}, `SCIM-managed users have a direct role, beside the roles of their pools (1): "person000003@example.test"`},
		{"The provider signs users in.", []string{
			`UPDATE accounts SET password_hash = 'x' WHERE managed_by = 'SCIM'`, `UPDATE accounts SET password_hash = '' WHERE managed_by = 'SCIM'`}, `SCIM-managed users have a password (299): "`},
		{"Everyone is in the default pool.", []string{
			`DELETE FROM memberships WHERE account_id = (SELECT id FROM accounts WHERE user_name = 'boss@example.test')`,
			`INSERT INTO memberships (account_id, pool_id) SELECT (SELECT id FROM accounts WHERE user_name = 'boss@example.test'), id FROM pools WHERE is_default`},
			`users are not in the default pool (1): "boss@example.test"`},
		{"Roles of the vendor.", []string{`INSERT INTO pool_roles (pool_id, role) SELECT id, 'ROLE_ADMIN' FROM pools WHERE name = 'Leads'`, `DELETE FROM pool_roles WHERE role = 'ROLE_ADMIN'`},
			`pools give a role that is reserved for the vendor (1): "Leads"`},
		{"Roles of the vendor.", []string{`INSERT INTO account_roles SELECT id, 'ROLE_ADMIN' FROM accounts WHERE user_name = 'boss@example.test'`, `DELETE FROM account_roles WHERE role = 'ROLE_ADMIN'`},
			`users have a role that is reserved for the vendor (1): "boss@example.test"`},
		{"A session outlives the user's deactivation.", []string{
			`INSERT INTO sessions SELECT 'x', id, 'sso', 0, 0, session_epoch, 0, 0 FROM accounts WHERE user_name = 'person000000@example.test'`, `DELETE FROM sessions WHERE token_sha256 = 'x'`},
			`sessions of deactivated users have not ended (1): "person000000@example.test"`},
		{"So does a reset link.", []string{
			`INSERT INTO password_resets SELECT 'x', id, session_epoch, 0 FROM accounts WHERE user_name = 'person000000@example.test'`, `DELETE FROM password_resets WHERE token_sha256 = 'x'`},
			`reset links of deactivated users have not ended (1)`},
		{"A key of a user who was deleted.", []string{`UPDATE api_keys SET created_by_id = 'gone'`, `UPDATE api_keys SET created_by_id = ''`}, `API keys work although the user who made them was deactivated or deleted (1): "reports"`},
		{"The operator reads the feed.", []string{`UPDATE feed SET gone = TRUE WHERE id IN (SELECT id FROM pools)`, `UPDATE feed SET gone = FALSE WHERE id IN (SELECT id FROM pools)`}, `so the operator may not know them (2): "Default", "Leads"`},
		{"The operator reads the feed.", []string{`UPDATE feed SET id = 'x' WHERE id = (SELECT id FROM accounts WHERE user_name = 'boss@example.test')`,
			`UPDATE feed SET id = (SELECT id FROM accounts WHERE user_name = 'boss@example.test') WHERE id = 'x'`}, `so the operator may not know them (1): "boss@example.test"`},
		{"Numbers are given once.", []string{`UPDATE meta SET sequence = sequence - 10`, `UPDATE meta SET sequence = sequence + 10`}, "the portal would give it again"},
		{"The portal makes one at its start.", []string{`UPDATE pools SET name_folded = 'x', is_default = FALSE WHERE is_default`, `UPDATE pools SET name_folded = 'default', is_default = TRUE WHERE name_folded = 'x'`}, "there is no default pool"},
		{"A manager can always sign in.", []string{`UPDATE accounts SET status = 'Deactivated', session_epoch = session_epoch + 1 WHERE managed_by = 'Local'`,
			`UPDATE accounts SET status = 'Active', session_epoch = session_epoch - 1 WHERE managed_by = 'Local'`}, "no local manager can sign in with a password"},
		{"A secret of another place.", []string{`UPDATE identity_configuration SET sso_metadata = sso_client_secret, sso_client_secret = (SELECT secret FROM second_factors)`,
			`UPDATE identity_configuration SET sso_client_secret = sso_metadata, sso_metadata = ''`}, "the client secret cannot be read: a secret in the database was changed, or moved to another place"},
		{"An event was changed.", []string{`UPDATE audit_events SET at = at + 1 WHERE id = 3`, `UPDATE audit_events SET at = at - 1 WHERE id = 3`}, "event 3, or the one before it, was changed"},
	}
	for kind, database := range kinds {
		t.Run(kind, func(t *testing.T) {
			o := Options{Database: database(t), SecretKeys: ring(t, "s"), AuditKeys: ring(t, "a")}
			s := opened(t, o)
			fillPortal(t, s)
			before := content(t, s, true)
			if r := checked(t, o); len(r.Findings) > 0 || r.Accounts != filledUsers+1 || r.Pools != 2 || r.Events == 0 {
				t.Fatalf("the report of a portal without a fault is %+v", r)
			}
			for _, b := range breaks {
				for i, sql := range b.sql {
					if _, err := s.write.ExecContext(t.Context(), sql); err != nil {
						t.Fatalf("%s: %v", sql, err)
					}
					if i > 0 {
						continue
					}
					found := checked(t, o).Findings
					matches := 0
					for _, f := range found {
						if strings.Contains(f.Problem, b.want) && f.Remedy != "" {
							matches++
						}
					}
					if matches != 1 {
						t.Errorf("%s\nfound %+v, want %q", b.reason, found, b.want)
					}
				}
			}
			same(t, "the database after the checks", content(t, s, true), before)

			o.SecretKeys, o.AuditKeys = ring(t, "x"), nil
			found := checked(t, o).Findings
			if len(found) != 3 || !strings.Contains(found[0].Problem, "the client secret cannot be read") || !strings.Contains(found[1].Problem, "the second factor of") || !strings.Contains(found[2].Remedy, "--audit-key-file") {
				t.Errorf("without the right keys: %+v", found)
			}
			if err := s.migrateTo(t.Context(), Newest()-1); err != nil {
				t.Fatal(err)
			}
			if found := checked(t, o).Findings; len(found) != 1 || !strings.Contains(found[0].Remedy, "portal migrate up") {
				t.Errorf("an older schema: %+v", found)
			}
		})
	}
}

// TestCheckReferences breaks each foreign key of an SQLite file, which can be set to let that
// pass, and runs the remedies that the findings name.
func TestCheckReferences(t *testing.T) {
	o := Options{Database: t.TempDir() + "/portal.db"}
	s := opened(t, o)
	fillPortal(t, s)
	c, err := s.write.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	run := func(sql string) {
		t.Helper()
		if _, err := c.ExecContext(t.Context(), sql); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
	run(`PRAGMA foreign_keys = OFF`)
	want := 0
	for _, table := range tables {
		for _, r := range table.references {
			run(`UPDATE ` + table.name + ` SET ` + r.column + ` = 'none' WHERE rowid = (SELECT MIN(rowid) FROM ` + table.name + `)`)
			want++
		}
	}
	got := 0
	for _, f := range checked(t, o).Findings {
		if strings.HasPrefix(f.Problem, `rows of the table `) && strings.Contains(f.Problem, `(1): "none"`) {
			got++
			run(strings.TrimPrefix(f.Remedy, "run: "))
		}
	}
	if got != want {
		t.Errorf("%d foreign keys are found broken, want %d", got, want)
	}
	for _, f := range checked(t, o).Findings {
		if strings.Contains(f.Problem, "rows of the table") {
			t.Errorf("after the remedy: %+v", f)
		}
	}
}
