// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"database/sql"
	"slices"

	"lightrun.com/scim-operator/internal/kernel/portalapi"
)

// effective derives the roles of an account: the user role, the roles of the pools, and the direct
// roles. The result is sorted and contains each role once. The SQL queries that select by role
// (ableManagers, the user list) and the manager's mirror of the portal must agree with it.
func effective(direct []string, pools []PoolRef) []string {
	roles := append([]string{portalapi.RoleUser}, direct...)
	for _, p := range pools {
		roles = append(roles, p.Roles...)
	}
	slices.Sort(roles)
	return slices.Compact(roles)
}

// granted reports whether a grant gives the account the role: the account's owner added the account
// to a pool, and the pool's owner gave the pool the role (an administrator, if the pool has no
// owner). Direct roles do not count, nor do memberships or roles from other writers.
func (a *Account) granted(role string) bool {
	return slices.ContainsFunc(a.PoolRefs, func(p PoolRef) bool { return p.membership && slices.Contains(p.granted, role) })
}

// Roles returns the catalogue in the order of names.
func (s *Store) Roles(ctx context.Context) ([]portalapi.Role, error) {
	var all []portalapi.Role
	err := s.inSnapshot(ctx, func(c *conn) (err error) {
		all, err = c.roles()
		return err
	})
	return all, err
}

func (c *conn) roles() ([]portalapi.Role, error) {
	var all []portalapi.Role
	err := c.each(func(rows *sql.Rows) error {
		var r portalapi.Role
		err := rows.Scan(&r.Name, &r.Description, &r.Grantable)
		all = append(all, r)
		return err
	}, `SELECT name, description, grantable FROM roles ORDER BY name`)
	return all, err
}

// grantable returns roles sorted and without duplicates. It refuses roles that are not in the
// catalogue (UNKNOWN_ROLE) and the vendor's own roles (ROLE_NOT_GRANTABLE).
func (c *conn) grantable(roles []string) ([]string, error) {
	if len(roles) == 0 {
		return []string{}, nil
	}
	catalogue, err := c.roles()
	if err != nil {
		return nil, err
	}
	for _, name := range roles {
		at := slices.IndexFunc(catalogue, func(r portalapi.Role) bool { return r.Name == name })
		if at < 0 {
			return nil, refuse(portalapi.CodeUnknownRole, "there is no role %q; GET /api/v1/roles lists them", name)
		}
		if !catalogue[at].Grantable {
			return nil, refuse(portalapi.CodeRoleNotGrantable, "the role %s is reserved for the vendor and cannot be granted here", name)
		}
	}
	return sortedSet(roles), nil
}

// ableManagers are the local managers who can sign in with their password. SSO does not count: it
// fails for all users once the provider or the client secret does.
const ableManagers = `(SELECT a.id, a.handed_over FROM account_roles r JOIN accounts a ON a.id = r.account_id
		WHERE r.role = 'ROLE_MANAGER' AND a.managed_by = 'Local' AND a.status = 'Active' AND a.password_hash <> ''
	UNION ALL SELECT a.id, a.handed_over FROM pool_roles r JOIN memberships m ON m.pool_id = r.pool_id JOIN accounts a ON a.id = m.account_id
		WHERE r.role = 'ROLE_MANAGER' AND a.managed_by = 'Local' AND a.status = 'Active' AND a.password_hash <> '') able`

// managerLeft reports whether a local manager who can sign in with a password exists.
func (c *conn) managerLeft() (bool, error) { return c.yes(`SELECT 1 FROM ` + ableManagers) }

// keepManager refuses f if it removes the last local manager who can sign in with a password.
// Writes are serialized: if two concurrent writes remove the last two managers, the second is
// refused.
func (t *tx) keepManager(f func() error) error {
	before, err := t.managerLeft()
	if err != nil {
		return err
	}
	if err := f(); err != nil || !before {
		return err
	}
	return t.managerRemains()
}

// managerRemains refuses the change in progress if no local manager with a password remains.
func (t *tx) managerRemains() error {
	left, err := t.managerLeft()
	if err == nil && !left {
		err = refuse(portalapi.CodeLastManager, "this leaves no local manager who can sign in with a password; give another local user a password and the role %s first", portalapi.RoleManager)
	}
	return err
}

// othersRemain refuses a hand-over if the identity provider could then take over the last local
// manager who can sign in with a password.
func (t *tx) othersRemain(a *Account) error {
	left, err := t.yes(`SELECT 1 FROM `+ableManagers+` WHERE NOT able.handed_over AND able.id <> ?`, a.ID)
	if err == nil && !left {
		err = refuse(portalapi.CodeLastManager, "%q is the last local manager with a password who stays local; give another local user a password and the role %s first", a.UserName, portalapi.RoleManager)
	}
	return err
}

// sortedSet returns the values sorted and without duplicates; never nil.
func sortedSet(values []string) []string {
	set := append([]string{}, values...)
	slices.Sort(set)
	return slices.Compact(set)
}
