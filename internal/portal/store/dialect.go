// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"database/sql"
	"strconv"
	"strings"

	"github.com/pressly/goose/v3"
)

// dialect contains the differences between the databases. All other SQL works on both, with ? for
// parameters.
type dialect struct {
	goose    goose.Dialect
	numbered bool   // parameters are $1, $2, …
	forTurn  string // ends the SELECT with which a writer takes the write lock
	snapshot sql.IsolationLevel
	notify   string // tells other processes of a commit
	tables   string // selects the names of all tables

	quickCheck string // checks that the file is whole
}

var (
	onSQLite     = dialect{goose: goose.DialectSQLite3, tables: `SELECT name FROM sqlite_master WHERE type = 'table'`, quickCheck: `PRAGMA quick_check`}
	onPostgreSQL = dialect{goose: goose.DialectPostgres, numbered: true, forTurn: " FOR UPDATE", snapshot: sql.LevelRepeatableRead, notify: "NOTIFY portal_feed",
		tables: `SELECT tablename FROM pg_tables WHERE schemaname = current_schema()`}
)

// rebind converts the query's parameters to the database's form. Queries contain no ? in text.
func (d dialect) rebind(query string) string {
	if !d.numbered {
		return query
	}
	var b strings.Builder
	n := 0
	for {
		before, after, found := strings.Cut(query, "?")
		b.WriteString(before)
		if !found {
			return b.String()
		}
		n++
		b.WriteString("$" + strconv.Itoa(n))
		query = after
	}
}

// marks returns "?, ?, …" for n parameters.
func marks(n int) string { return strings.TrimSuffix(strings.Repeat("?, ", n), ", ") }

// list converts strings to parameters.
func list(values []string) []any {
	args := make([]any, len(values))
	for i, v := range values {
		args[i] = v
	}
	return args
}

// conn runs queries within one transaction.
type conn struct {
	ctx     context.Context
	tx      *sql.Tx
	dialect dialect
	vault   vault
}

func (c *conn) exec(query string, args ...any) (int64, error) {
	result, err := c.tx.ExecContext(c.ctx, c.dialect.rebind(query), args...)
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

func (c *conn) row(query string, args ...any) *sql.Row {
	return c.tx.QueryRowContext(c.ctx, c.dialect.rebind(query), args...)
}

// each calls scan for every row of the result.
func (c *conn) each(scan func(*sql.Rows) error, query string, args ...any) error {
	rows, err := c.tx.QueryContext(c.ctx, c.dialect.rebind(query), args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// yes runs an EXISTS query.
func (c *conn) yes(query string, args ...any) (bool, error) {
	var found bool
	err := c.row(`SELECT EXISTS (`+query+`)`, args...).Scan(&found)
	return found, err
}
