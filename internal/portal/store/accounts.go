// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"strings"
	"time"

	"lightrun.com/scim-operator/internal/kernel/names"
	"lightrun.com/scim-operator/internal/kernel/portalapi"
)

// Account is the record of one user, as the pages and the REST server show it.
type Account struct {
	portalapi.Account
	PoolRefs       []PoolRef // the same pools as Account.Pools, by name
	ReadOnly       bool      // managed by SCIM while SCIM is on
	ReadOnlyReason string
	Migrated       bool // the account was local before it was adopted
	CreatedAt      time.Time
	UpdatedAt      time.Time
	LastSignInAt   time.Time // zero if never

	passwordHash string
	epoch        int64 // of its sessions; those with an older one have ended
	granting     bool  // this write of its owner grants all memberships that the account has afterwards
}

// PoolRef is a pool of an account, with the roles that it grants.
type PoolRef struct {
	ID      string
	Name    string
	Default bool
	Roles   []string // sorted

	granted    []string // the roles in Roles that the pool's owner granted (or an administrator, if the pool has no owner)
	membership bool     // the account's owner added it
}

// ByOwner reports whether the account's owner, which is the operator, added it to the pool.
func (p PoolRef) ByOwner() bool { return p.membership }

// HasPassword reports whether the user can sign in without SSO.
func (a *Account) HasPassword() bool { return a.passwordHash != "" }

// IsManager reports whether the account's roles allow the manager's pages.
func (a *Account) IsManager() bool {
	return slices.Contains(a.Roles, portalapi.RoleManager) || slices.Contains(a.Roles, portalapi.RoleAdmin) || slices.Contains(a.Roles, portalapi.RoleAccountManager)
}

func (a *Account) active() bool { return a.Status == portalapi.StatusActive }

// keeps reports whether the account is a local manager who can sign in with a password.
func (a *Account) keeps() bool {
	return a.ManagedBy == portalapi.ManagedByLocal && a.active() && slices.Contains(a.Roles, portalapi.RoleManager) && a.HasPassword()
}

// AccountFilter filters a list. An empty field matches all accounts.
type AccountFilter struct {
	UserName  string // exact, folded
	Email     string // exact, folded
	ManagedBy portalapi.ManagedBy
	Status    portalapi.Status
	PoolID    string
	Search    string // part of user name, display name or e-mail address, folded
	Held      bool   // true matches only accounts with a held removal
	ByName    bool   // true lists in the order of user names, false in the order of ids; a cursor is valid for its own order only
}

// Accounts returns up to limit accounts after the cursor, and the cursor to continue from. An empty
// cursor means the start, and an empty result that there are no more accounts. The order is by id,
// or by user name with ByName.
func (s *Store) Accounts(ctx context.Context, f AccountFilter, after string, limit int) (page []Account, next string, err error) {
	where, args := f.conditions()
	key := "id"
	if f.ByName {
		key = "user_name_folded"
	}
	if after != "" {
		where, args = append(where, key+" > ?"), append(args, after)
	}
	err = s.inSnapshot(ctx, func(c *conn) error {
		page, err = c.accounts(`WHERE `+strings.Join(where, " AND ")+` ORDER BY `+key+` LIMIT ?`, append(args, limit+1)...)
		return err
	})
	if err != nil || len(page) <= limit {
		return page, "", err
	}
	page = page[:limit]
	next = page[limit-1].ID
	if f.ByName {
		next = names.Fold(page[limit-1].UserName)
	}
	return page, next, nil
}

func (f AccountFilter) conditions() (where []string, args []any) {
	where = []string{"TRUE"}
	add := func(on bool, condition string, arg any) {
		if on {
			where, args = append(where, condition), append(args, arg)
		}
	}
	add(f.UserName != "", "user_name_folded = ?", names.Fold(f.UserName))
	add(f.Email != "", "email_folded = ?", names.Fold(f.Email))
	add(f.ManagedBy != "", "managed_by = ?", string(f.ManagedBy))
	add(f.Status != "", "status = ?", string(f.Status))
	if f.Held {
		where = append(where, "held <> '' AND held_state = 'Held'")
	}
	// In name order, the scan along the names stops at a full page; in id order, the pool's own
	// index already has that order.
	inPool := "id IN (SELECT account_id FROM memberships WHERE pool_id = ?)"
	if f.ByName {
		inPool = "EXISTS (SELECT 1 FROM memberships m WHERE m.account_id = accounts.id AND m.pool_id = ?)"
	}
	add(f.PoolID != "", inPool, f.PoolID)
	add(strings.TrimSpace(f.Search) != "", `search_text LIKE ? ESCAPE '\'`, "%"+likeText(names.Fold(f.Search))+"%")
	return where, args
}

// likeText escapes the wildcards of LIKE.
func likeText(s string) string {
	return strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`).Replace(s)
}

// CountAccounts returns the number of accounts that match the filter.
func (s *Store) CountAccounts(ctx context.Context, f AccountFilter) (n int, err error) {
	where, args := f.conditions()
	err = s.inSnapshot(ctx, func(c *conn) error {
		return c.row(`SELECT COUNT(*) FROM accounts WHERE `+strings.Join(where, " AND "), args...).Scan(&n)
	})
	return n, err
}

// Account returns the account with the id, or NOT_FOUND.
func (s *Store) Account(ctx context.Context, id string) (*Account, error) {
	return s.oneAccount(ctx, "user "+id, `WHERE id = ?`, id)
}

// AccountByName returns the account with the user name, folded, or NOT_FOUND.
func (s *Store) AccountByName(ctx context.Context, userName string) (*Account, error) {
	return s.oneAccount(ctx, "user of that name", `WHERE user_name_folded = ?`, names.Fold(userName))
}

func (s *Store) oneAccount(ctx context.Context, what, where string, args ...any) (account *Account, err error) {
	err = s.inSnapshot(ctx, func(c *conn) error {
		account, err = c.account(what, where, args...)
		return err
	})
	return account, err
}

// account returns the one account that where selects, or NOT_FOUND.
func (c *conn) account(what, where string, args ...any) (*Account, error) {
	found, err := c.accounts(where, args...)
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, refuse(portalapi.CodeNotFound, "there is no %s", what)
	}
	return &found[0], nil
}

// maybeAccount is account, but returns nil if there is none.
func (c *conn) maybeAccount(where string, args ...any) (*Account, error) {
	found, err := c.accounts(where, args...)
	if err != nil || len(found) == 0 {
		return nil, err
	}
	return &found[0], nil
}

func (c *conn) accountsByID(ids []string) (map[string]*Account, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	found, err := c.accounts(`WHERE id IN (`+marks(len(ids))+`)`, list(ids)...)
	byID := make(map[string]*Account, len(found))
	for i := range found {
		byID[found[i].ID] = &found[i]
	}
	return byID, err
}

const accountColumns = `id, user_name, display_name, given_name, family_name, email, external_id, status, managed_by, owner_uid, owner_name, owner_binding,
	owner_revision, waiting_uid, waiting_name, handed_over, deactivated_by, held, held_state, held_decision, held_at, password_hash, migrated, revision, created_at, updated_at, last_sign_in_at, session_epoch`

// accounts reads the accounts that where selects, with pools and roles, in four queries for any
// number of accounts.
func (c *conn) accounts(where string, args ...any) ([]Account, error) {
	var found []Account
	err := c.each(func(rows *sql.Rows) error {
		a, err := scanAccount(rows)
		found = append(found, a)
		return err
	}, `SELECT `+accountColumns+` FROM accounts `+where, args...)
	if err != nil || len(found) == 0 {
		return nil, err
	}
	return found, errors.Join(c.addPools(found), c.addReadOnly(found))
}

func scanAccount(rows *sql.Rows) (Account, error) {
	var (
		a                          Account
		m                          portalapi.Mark
		owner                      sql.NullString
		created, updated, signedIn int64
	)
	err := rows.Scan(&a.ID, &a.UserName, &a.DisplayName, &a.GivenName, &a.FamilyName, &a.Email, &a.ExternalID, &a.Status, &a.ManagedBy,
		&owner, &a.Owner.Name, &a.Owner.Binding, &a.Owner.Revision, &a.WaitingFor.UID, &a.WaitingFor.Name, &a.HandedOver, &a.DeactivatedBy, &m.What, &m.State, &m.Decision, &m.At,
		&a.passwordHash, &a.Migrated, &a.Revision, &created, &updated, &signedIn, &a.epoch)
	a.Owner.UID, a.Mark, a.PasswordSet = owner.String, marked(m), a.HasPassword()
	a.CreatedAt, a.UpdatedAt, a.LastSignInAt = fromMicros(created), fromMicros(updated), fromMicros(signedIn)
	return a, err
}

// marked returns a pointer to m, and nil if m is no mark.
func marked(m portalapi.Mark) *portalapi.Mark {
	if m.What == "" {
		return nil
	}
	return &m
}

// columns converts a mark to its columns.
func columns(m *portalapi.Mark) []any {
	if m == nil {
		m = &portalapi.Mark{}
	}
	return []any{string(m.What), string(m.State), m.Decision, m.At}
}

// addPools reads the pools and direct roles of the accounts and derives the effective roles.
func (c *conn) addPools(accounts []Account) error {
	ids := make([]string, len(accounts))
	at := make(map[string]*Account, len(accounts))
	for i := range accounts {
		ids[i] = accounts[i].ID
		at[ids[i]] = &accounts[i]
	}
	in := `IN (` + marks(len(ids)) + `)`
	members := map[string][]string{}
	granted := map[[2]string]bool{}
	err := c.each(func(rows *sql.Rows) error {
		var account, pool string
		var is bool
		err := rows.Scan(&account, &pool, &is)
		members[account] = append(members[account], pool)
		granted[[2]string{account, pool}] = is
		return err
	}, `SELECT account_id, pool_id, granted FROM memberships WHERE account_id `+in, list(ids)...)
	if err != nil {
		return err
	}
	err = c.each(func(rows *sql.Rows) error {
		var account, role string
		err := rows.Scan(&account, &role)
		at[account].DirectRoles = append(at[account].DirectRoles, role)
		return err
	}, `SELECT account_id, role FROM account_roles WHERE account_id `+in+` ORDER BY role`, list(ids)...)
	if err != nil {
		return err
	}
	refs, err := c.poolRefs(distinct(members))
	if err != nil {
		return err
	}
	for i := range accounts {
		a := &accounts[i]
		a.setPools(pick(refs, members[a.ID]), func(pool string) bool { return granted[[2]string{a.ID, pool}] })
	}
	return nil
}

// setPools sets the account's pools and derives its roles. granted contains the pools to which the
// account's owner added it.
func (a *Account) setPools(refs []PoolRef, granted func(pool string) bool) {
	slices.SortFunc(refs, func(x, y PoolRef) int { return strings.Compare(x.Name, y.Name) })
	a.PoolRefs, a.Pools, a.Ungranted = refs, make([]string, len(refs)), nil
	for i := range refs {
		p := &refs[i]
		a.Pools[i] = p.ID
		if p.membership = granted(p.ID); !p.membership && a.Owner.UID != "" {
			a.Ungranted = append(a.Ungranted, p.ID)
		}
	}
	slices.Sort(a.Pools)
	slices.Sort(a.Ungranted)
	a.Roles = effective(a.DirectRoles, refs)
}

// addReadOnly marks the accounts that are read-only in the portal, with the reason.
func (c *conn) addReadOnly(accounts []Account) error {
	if !slices.ContainsFunc(accounts, func(a Account) bool { return a.ManagedBy == portalapi.ManagedBySCIM }) {
		return nil
	}
	config, err := c.configuration()
	if err != nil || !config.SCIMEnabled {
		return err
	}
	reason := "Managed by SCIM: change this user in " + config.provider() + "; the portal follows"
	for i := range accounts {
		a := &accounts[i]
		if a.ManagedBy != portalapi.ManagedBySCIM {
			continue
		}
		a.ReadOnly, a.ReadOnlyReason = true, reason
		if !a.active() && a.Owner.UID == "" {
			a.ReadOnlyReason = "This user left: " + config.provider() + " no longer has the user, and the account is kept deactivated. A manager can erase it"
		}
	}
	return nil
}

func distinct(members map[string][]string) []string {
	var all []string
	for _, pools := range members {
		all = append(all, pools...)
	}
	return sortedSet(all)
}

func pick(refs map[string]PoolRef, ids []string) []PoolRef {
	picked := make([]PoolRef, 0, len(ids))
	for _, id := range ids {
		picked = append(picked, refs[id])
	}
	return picked
}
