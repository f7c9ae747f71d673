// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"

	"lightrun.com/scim-operator/internal/kernel/portalapi"
)

// reportLimit is the maximum number of accounts in each list of the migration report.
const reportLimit = 1000

// MigrationReport describes what "Provision existing users with SCIM" does, or has done. Each list
// contains the first 1000 accounts in the order of user names; the counts are complete.
type MigrationReport struct {
	Waiting       []Account // local accounts with the user name of a ScimUser
	Unmatched     []Account // local accounts without such a ScimUser: they stay local
	LosingManager []Account // the accounts in Waiting that have ROLE_MANAGER now

	WaitingCount, UnmatchedCount, LosingManagerCount int

	Migrated int // number of accounts that were local and that SCIM manages now
}

// MigrationReport returns the current report.
func (s *Store) MigrationReport(ctx context.Context) (report *MigrationReport, err error) {
	err = s.inSnapshot(ctx, func(c *conn) error {
		report, err = c.migrationReport()
		return err
	})
	return report, err
}

// The conditions of the local accounts that "Provision existing users with SCIM" is about. The
// first one has an index.
const (
	waitingAccounts   = `managed_by = 'Local' AND waiting_uid <> ''`
	unmatchedAccounts = `managed_by = 'Local' AND waiting_uid = ''`
	waitingManagers   = waitingAccounts + ` AND (id IN (SELECT account_id FROM account_roles WHERE role = '` + portalapi.RoleManager + `')
		OR id IN (SELECT m.account_id FROM memberships m JOIN pool_roles r ON r.pool_id = m.pool_id WHERE r.role = '` + portalapi.RoleManager + `'))`
	migratedAccounts = `migrated AND managed_by = 'SCIM'`
)

// MigrationCounts is the progress of the migration of local accounts.
type MigrationCounts struct {
	Waiting  int // local accounts with the user name of a ScimUser
	Migrated int // accounts that were local and that SCIM manages now
}

// MigrationCounts returns the progress of the migration. It reads two indexes, however many
// accounts there are.
func (s *Store) MigrationCounts(ctx context.Context) (n MigrationCounts, err error) {
	err = s.inSnapshot(ctx, func(c *conn) error {
		return c.row(`SELECT (SELECT COUNT(*) FROM accounts WHERE `+waitingAccounts+`), (SELECT COUNT(*) FROM accounts WHERE `+migratedAccounts+`)`).Scan(&n.Waiting, &n.Migrated)
	})
	return n, err
}

func (c *conn) migrationReport() (*MigrationReport, error) {
	r := &MigrationReport{}
	for _, part := range []struct {
		where string
		list  *[]Account
		count *int
	}{{waitingAccounts, &r.Waiting, &r.WaitingCount}, {unmatchedAccounts, &r.Unmatched, &r.UnmatchedCount}, {waitingManagers, &r.LosingManager, &r.LosingManagerCount}} {
		found, err := c.accounts(`WHERE `+part.where+` ORDER BY user_name_folded LIMIT ?`, reportLimit)
		if err != nil {
			return nil, err
		}
		*part.list = found
		if err := c.row(`SELECT COUNT(*) FROM accounts WHERE ` + part.where).Scan(part.count); err != nil {
			return nil, err
		}
	}
	return r, c.row(`SELECT COUNT(*) FROM accounts WHERE ` + migratedAccounts).Scan(&r.Migrated)
}
