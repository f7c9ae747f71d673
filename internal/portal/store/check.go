// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"database/sql"
	"fmt"
	"strconv"
	"strings"

	"lightrun.com/scim-operator/internal/kernel/portalapi"
)

// Finding is what a check of the database found.
type Finding struct{ Problem, Remedy string }

// CheckReport is the result of a check of the database.
type CheckReport struct {
	Schema                  int64
	Accounts, Pools, Events int
	Findings                []Finding
}

func (r *CheckReport) find(remedy, format string, args ...any) {
	r.Findings = append(r.Findings, Finding{fmt.Sprintf(format, args...), remedy})
}

// rule is a state that no change of the portal leads to. Its query returns what is in that state.
type rule struct {
	query   string
	problem string // of what the query returns
	remedy  string
}

// stateRules are about the accounts, the pools and the keys.
var stateRules = []rule{
	{`SELECT a.user_name FROM accounts a WHERE a.managed_by = 'SCIM' AND EXISTS (SELECT 1 FROM account_roles r WHERE r.account_id = a.id)`,
		"SCIM-managed users have a direct role, beside the roles of their pools", "the operator takes it away at its next pass over the user: check that it runs"},
	{`SELECT user_name FROM accounts WHERE managed_by = 'SCIM' AND password_hash <> ''`,
		"SCIM-managed users have a password", "run: UPDATE accounts SET password_hash = '', session_epoch = session_epoch + 1 WHERE managed_by = 'SCIM' AND password_hash <> ''"},
	{`SELECT a.user_name FROM accounts a WHERE (a.status = 'Active' OR a.managed_by = 'Local' OR a.owner_uid IS NOT NULL)
		AND NOT EXISTS (SELECT 1 FROM memberships m JOIN pools p ON p.id = m.pool_id WHERE m.account_id = a.id AND p.is_default)`,
		"users are not in the default pool", "change the user on the user's page, or at the provider, and the portal adds it"},
	{`SELECT p.name FROM pools p JOIN pool_roles r ON r.pool_id = p.id JOIN roles c ON c.name = r.role WHERE NOT c.grantable`,
		"pools give a role that is reserved for the vendor", "remove the role on the pool's page"},
	{`SELECT a.user_name FROM accounts a JOIN account_roles r ON r.account_id = a.id JOIN roles c ON c.name = r.role WHERE NOT c.grantable`,
		"users have a role that is reserved for the vendor", "remove the role on the user's page"},
	{`SELECT a.user_name FROM sessions s JOIN accounts a ON a.id = s.account_id WHERE a.status = 'Deactivated' AND s.epoch = a.session_epoch`,
		"sessions of deactivated users have not ended", "sign the user out on the user's page"},
	{`SELECT a.user_name FROM password_resets s JOIN accounts a ON a.id = s.account_id WHERE a.status = 'Deactivated' AND s.epoch = a.session_epoch`,
		"reset links of deactivated users have not ended", "sign the user out on the user's page"},
	{`SELECT k.name FROM api_keys k LEFT JOIN accounts a ON a.id = k.created_by_id WHERE k.created_by_id <> '' AND k.scope IN ('read', 'manage') AND k.ended_at = 0
		AND (a.id IS NULL OR a.status = 'Deactivated')`,
		"API keys work although the user who made them was deactivated or deleted", "delete the key on the page API Keys"},
	{`SELECT a.user_name FROM accounts a LEFT JOIN feed f ON f.kind = 'User' AND f.id = a.id WHERE f.id IS NULL OR f.gone`,
		"users are not in the change feed, so the operator may not know them", "start the portal once with --new-feed-epoch, and change the user"},
	{`SELECT p.name FROM pools p LEFT JOIN feed f ON f.kind = 'Pool' AND f.id = p.id WHERE f.id IS NULL OR f.gone`,
		"pools are not in the change feed, so the operator may not know them", "start the portal once with --new-feed-epoch, and change the pool"},
}

// Check compares the database with the portal's rules. It writes nothing. published is the audit's
// head that was stored outside of the portal; the zero value if there is none.
func Check(ctx context.Context, o Options, published portalapi.AuditHead) (*CheckReport, error) {
	s, err := openAsIs(o)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	r := &CheckReport{}
	err = s.inSnapshot(ctx, func(c *conn) (err error) {
		if r.Schema, err = c.known(); err != nil {
			return err
		}
		if r.Schema < Newest() {
			r.find("run portal migrate up, or start the portal, and check again", "the schema has the version %d, and this program checks version %d: nothing else was checked", r.Schema, Newest())
			return nil
		}
		for _, check := range []func(*CheckReport) error{c.checkFile, c.checkReferences, c.checkState, c.checkManagers, c.checkCounters, c.checkSecrets} {
			if err := check(r); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil && r.Schema == Newest() {
		err = s.checkEvents(ctx, r, published)
	}
	if err != nil {
		return nil, fmt.Errorf("check the portal's database: %w", err)
	}
	return r, nil
}

// apply runs the rule's query.
func (c *conn) apply(rule rule, r *CheckReport) error {
	const named = 3
	var names []string
	n := 0
	err := c.each(func(rows *sql.Rows) error {
		var name string
		err := rows.Scan(&name)
		if n++; n <= named {
			names = append(names, strconv.Quote(name))
		}
		return err
	}, rule.query)
	if err != nil || n == 0 {
		return err
	}
	if n > named {
		names = append(names, "…")
	}
	r.find(rule.remedy, "%s (%d): %s", rule.problem, n, strings.Join(names, ", "))
	return nil
}

// checkFile checks that the file is whole. A server checks its own.
func (c *conn) checkFile(r *CheckReport) error {
	if c.dialect.quickCheck == "" {
		return nil
	}
	return c.each(func(rows *sql.Rows) error {
		var result string
		err := rows.Scan(&result)
		if err == nil && result != "ok" {
			r.find("restore a backup", "the file is damaged: %s", strings.ReplaceAll(result, "\n", " "))
		}
		return err
	}, c.dialect.quickCheck)
}

func (c *conn) checkReferences(r *CheckReport) error {
	for _, t := range tables {
		for _, ref := range t.references {
			orphans := `NOT EXISTS (SELECT 1 FROM ` + ref.parent + ` WHERE ` + ref.parent + `.` + ref.key + ` = ` + t.name + `.` + ref.column + `)`
			err := c.apply(rule{
				query:   `SELECT ` + ref.column + ` FROM ` + t.name + ` WHERE ` + orphans,
				problem: fmt.Sprintf("rows of the table %s name none of the %s", t.name, ref.parent),
				remedy:  `run: DELETE FROM ` + t.name + ` WHERE ` + orphans,
			}, r)
			if err != nil {
				return err
			}
		}
	}
	return nil
}

func (c *conn) checkState(r *CheckReport) error {
	for _, rule := range stateRules {
		if err := c.apply(rule, r); err != nil {
			return err
		}
	}
	return nil
}

func (c *conn) checkManagers(r *CheckReport) error {
	left, err := c.managerLeft()
	if err == nil && !left {
		r.find("start the portal with --bootstrap-admin-user and --bootstrap-admin-password-file", "no local manager can sign in with a password")
	}
	return err
}

// checkCounters checks that new records get numbers that no record has, and counts.
func (c *conn) checkCounters(r *CheckReport) error {
	var sequence, newest int64
	if err := c.row(`SELECT sequence, (SELECT COALESCE(MAX(sequence), 0) FROM feed) FROM meta`).Scan(&sequence, &newest); err != nil {
		return err
	}
	if newest > sequence {
		r.find(fmt.Sprintf("run: UPDATE meta SET sequence = %d", newest), "the change feed has the number %d, and the portal would give it again after %d", newest, sequence)
	}
	var pools int
	if err := c.row(`SELECT COUNT(*) FROM pools WHERE is_default`).Scan(&pools); err != nil {
		return err
	}
	if pools != 1 {
		r.find("start the portal, which makes it", "there is no default pool")
	}
	return c.row(`SELECT (SELECT COUNT(*) FROM accounts), (SELECT COUNT(*) FROM pools)`).Scan(&r.Accounts, &r.Pools)
}

// checkSecrets checks that the portal can read each secret.
func (c *conn) checkSecrets(r *CheckReport) error {
	for _, s := range secretColumns {
		account := `''`
		if s.table == "second_factors" {
			account = "account_id"
		}
		err := c.each(func(rows *sql.Rows) error {
			var id, secret string
			if err := rows.Scan(&id, &secret); err != nil {
				return err
			}
			if _, err := c.vault.open(s.purpose(id), secret); err != nil {
				r.find("name the right file with --secret-key-file; if the key is lost, set the secret again", "the %s cannot be read: %v", s.purpose(id), err)
			}
			return nil
		}, `SELECT `+account+`, `+s.column+` FROM `+s.table)
		if err != nil {
			return err
		}
	}
	return nil
}

// checkEvents checks the audit.
func (s *Store) checkEvents(ctx context.Context, r *CheckReport, published portalapi.AuditHead) error {
	const remedy = "find out who changed the database, and restore a backup"
	if s.auditKeys != nil {
		audit, err := s.CheckAudit(ctx, published)
		if err != nil {
			return err
		}
		r.Events = audit.Events
		for _, p := range audit.Problems {
			r.find(remedy, "the audit is not as the portal wrote it: %s", p)
		}
		return nil
	}
	return s.inSnapshot(ctx, func(c *conn) error {
		var written, newest int64
		var mac string
		err := c.row(`SELECT audit_sequence, audit_mac, (SELECT COALESCE(MAX(id), 0) FROM audit_events), (SELECT COUNT(*) FROM audit_events) FROM meta`).Scan(&written, &mac, &newest, &r.Events)
		if err != nil {
			return err
		}
		if newest != written {
			r.find(remedy, "the audit ends with event %d, and the portal wrote %d", newest, written)
		}
		if mac != "" {
			r.find("name the file with --audit-key-file", "the audit has a chain of MACs, which was not checked")
		}
		return nil
	})
}
