// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"database/sql"
	"strings"

	"lightrun.com/scim-operator/internal/kernel/portalapi"
)

// A page of users costs the same with 100 users and with 100,000. Each filter can list its users by
// an index. If one of them lists few, they are read and the other filters are applied to them.
// Otherwise the users are read in the order of the page, in a bounded number of rows: the page may
// then be shorter than asked for, and its cursor continues where the reading stopped.

const (
	// fewUsers is the number of users that are read and sorted for one page.
	fewUsers = 1000
	// chunk is the number of users that are read at once in the order of the page.
	chunk = 1000
	// maxRead is the number of users that are read for one page in its order.
	maxRead = 4 * chunk
)

// UserSort is the order of a page of users.
type UserSort string

const (
	ByUserName   UserSort = ""        // the default
	ByLastSignIn UserSort = "seen"    // users who never signed in first
	ByCreation   UserSort = "created" // the oldest first
)

// UserQuery selects a page of users. An empty field matches all of them.
type UserQuery struct {
	Text       string // words that start words of the user name, the display name or the e-mail address
	ManagedBy  portalapi.ManagedBy
	Status     portalapi.Status
	PoolID     string
	Role       string // an effective role
	Held       bool   // true matches only users with a held removal
	Sort       UserSort
	Descending bool
	After      string // UserPage.Next of the page before
	Limit      int
}

// UserPage is a page of users.
type UserPage struct {
	Users []Account
	Next  string // the id of the last user that was read; empty if there are no more
}

// condition is one filter in two forms.
type condition struct {
	of   string // of a row of accounts
	all  string // the ids of all accounts that match, by an index
	args []any  // of either form
}

// Users returns a page of users. It may be shorter than the limit and have a Next. If the user that
// After names was deleted, it returns the first page.
func (s *Store) Users(ctx context.Context, q UserQuery) (page *UserPage, err error) {
	err = s.inSnapshot(ctx, func(c *conn) error {
		page, err = c.users(q)
		return err
	})
	return page, err
}

func (c *conn) users(q UserQuery) (*UserPage, error) {
	order := q.order()
	start, startArgs, err := c.cursor(q, order)
	if err != nil {
		return nil, err
	}
	filters, impossible := q.conditions()
	if impossible {
		return &UserPage{}, nil
	}
	few, others, err := c.fewest(filters)
	if err != nil {
		return nil, err
	}
	where, args := conjunction(others)
	if few != nil || len(filters) == 0 {
		where, args = where+start, append(args, startArgs...)
		if few != nil {
			if len(few) == 0 {
				return &UserPage{}, nil
			}
			where, args = where+` AND id IN (`+marks(len(few))+`)`, append(args, list(few)...)
		}
		found, err := c.accounts(`WHERE `+where+order.by()+` LIMIT ?`, append(args, q.Limit+1)...)
		return pageOf(found, q.Limit, ""), err
	}
	return c.walk(q, order, where, args, start, startArgs)
}

// pageOf cuts the users to the limit. next is the cursor if they are not more than that.
func pageOf(found []Account, limit int, next string) *UserPage {
	if len(found) > limit {
		found = found[:limit]
		next = found[limit-1].ID
	}
	return &UserPage{Users: found, Next: next}
}

// walk reads the users in the order of the page until it is full or maxRead users were read.
func (c *conn) walk(q UserQuery, order userOrder, where string, args []any, start string, startArgs []any) (*UserPage, error) {
	var found []Account
	for read := 0; read < maxRead; read += chunk {
		end, endArgs, last, err := c.chunkEnd(order, start, startArgs)
		if err != nil {
			return nil, err
		}
		all := append(append(append([]any{}, args...), startArgs...), endArgs...)
		more, err := c.accounts(`WHERE `+where+start+end+order.by()+` LIMIT ?`, append(all, q.Limit+1-len(found))...)
		if err != nil {
			return nil, err
		}
		found = append(found, more...)
		if len(found) > q.Limit || last == "" {
			return pageOf(found, q.Limit, ""), nil
		}
		if start, startArgs, err = c.after(last, order); err != nil {
			return nil, err
		}
		if read+chunk >= maxRead {
			return pageOf(found, q.Limit, last), nil
		}
	}
	return &UserPage{}, nil
}

// chunkEnd returns the condition that ends the next chunk, and the id of its last user: empty if
// the chunk contains all users that remain.
func (c *conn) chunkEnd(order userOrder, start string, startArgs []any) (where string, args []any, last string, err error) {
	err = c.row(`SELECT id FROM accounts WHERE TRUE`+start+order.by()+` LIMIT 1 OFFSET ?`, append(append([]any{}, startArgs...), chunk-1)...).Scan(&last)
	if err == sql.ErrNoRows { //nolint:errorlint // database/sql returns it as it is
		return "", nil, "", nil
	}
	if err != nil {
		return "", nil, "", err
	}
	values, err := c.position(last, order)
	return ` AND ` + order.compare(order.upTo), values, last, err
}

// fewest returns the ids of the first filter that lists few users, and the filters that remain. The
// ids are nil if none does.
func (c *conn) fewest(filters []condition) (ids []string, others []condition, err error) {
	for i, f := range filters {
		var found []string
		err := c.each(func(rows *sql.Rows) error {
			var id string
			err := rows.Scan(&id)
			found = append(found, id)
			return err
		}, f.all+` LIMIT ?`, append(append([]any{}, f.args...), fewUsers+1)...)
		if err != nil {
			return nil, nil, err
		}
		if len(found) <= fewUsers {
			others = append(append(others, filters[:i]...), filters[i+1:]...)
			return sortedSet(found), others, nil
		}
	}
	return nil, filters, nil
}

func conjunction(filters []condition) (where string, args []any) {
	where = "TRUE"
	for _, f := range filters {
		where, args = where+" AND "+f.of, append(args, f.args...)
	}
	return where, args
}

// conditions returns the filters of the query, the usually rarest first. impossible is true if no
// user can match.
func (q UserQuery) conditions() (all []condition, impossible bool) {
	add := func(on bool, of, ids string, args ...any) {
		if on {
			all = append(all, condition{of, ids, args})
		}
	}
	add(q.Held, `(held <> '' AND held_state = 'Held')`, `SELECT id FROM accounts WHERE held <> '' AND held_state = 'Held'`)
	if strings.TrimSpace(q.Text) != "" {
		words := wordsOf(q.Text)
		for _, w := range words {
			add(true, `EXISTS (SELECT 1 FROM account_words w WHERE w.account_id = accounts.id AND w.word >= ? AND w.word < ?)`,
				`SELECT account_id FROM account_words WHERE word >= ? AND word < ?`, w, w+"g")
		}
		impossible = len(words) == 0
	}
	add(q.PoolID != "", `EXISTS (SELECT 1 FROM memberships m WHERE m.account_id = accounts.id AND m.pool_id = ?)`,
		`SELECT account_id FROM memberships WHERE pool_id = ?`, q.PoolID)
	// The conditions on a column are expressions, so that no planner takes the column's index in
	// place of the one of the order: a chunk is small anyway.
	add(q.Status != "", `status || '' = ?`, `SELECT id FROM accounts WHERE status = ?`, string(q.Status))
	add(q.ManagedBy != "", `managed_by || '' = ?`, `SELECT id FROM accounts WHERE managed_by = ?`, string(q.ManagedBy))
	add(q.Role != "" && q.Role != portalapi.RoleUser, `EXISTS (SELECT 1 FROM account_roles r WHERE r.account_id = accounts.id AND r.role = ?
			UNION ALL SELECT 1 FROM memberships m JOIN pool_roles r ON r.pool_id = m.pool_id WHERE m.account_id = accounts.id AND r.role = ?)`,
		`SELECT account_id FROM account_roles WHERE role = ? UNION ALL
			SELECT m.account_id FROM pool_roles r JOIN memberships m ON m.pool_id = r.pool_id WHERE r.role = ?`, q.Role, q.Role)
	return all, impossible
}

// userOrder is an order by columns, of which the last is unique.
type userOrder struct {
	columns    []string
	direction  string
	past, upTo string // the comparisons "after" and "not after" in this direction
}

func (q UserQuery) order() userOrder {
	o := userOrder{columns: []string{"user_name_folded"}, past: ">", upTo: "<="}
	switch q.Sort {
	case ByLastSignIn:
		o.columns = []string{"last_sign_in_at", "id"}
	case ByCreation:
		o.columns = []string{"id"} // ids sort by the time of creation
	}
	if q.Descending {
		o.direction, o.past, o.upTo = " DESC", "<", ">="
	}
	return o
}

func (o userOrder) by() string {
	return ` ORDER BY ` + strings.Join(o.columns, o.direction+", ") + o.direction
}

func (o userOrder) compare(with string) string {
	return `(` + strings.Join(o.columns, ", ") + `) ` + with + ` (` + marks(len(o.columns)) + `)`
}

// cursor returns the condition that starts the page.
func (c *conn) cursor(q UserQuery, order userOrder) (string, []any, error) {
	if q.After == "" {
		return "", nil, nil
	}
	return c.after(q.After, order)
}

func (c *conn) after(id string, order userOrder) (string, []any, error) {
	values, err := c.position(id, order)
	if err == sql.ErrNoRows { //nolint:errorlint // database/sql returns it as it is
		return "", nil, nil
	}
	return ` AND ` + order.compare(order.past), values, err
}

// position returns the values of the order's columns for the account with the id.
func (c *conn) position(id string, order userOrder) ([]any, error) {
	values := make([]any, len(order.columns))
	into := make([]any, len(values))
	for i := range values {
		into[i] = &values[i]
	}
	err := c.row(`SELECT `+strings.Join(order.columns, ", ")+` FROM accounts WHERE id = ?`, id).Scan(into...)
	return values, err
}
