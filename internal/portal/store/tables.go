// SPDX-License-Identifier: Apache-2.0

package store

import (
	"database/sql"
	"fmt"
	"slices"
)

// table is one of the portal's tables.
type table struct {
	name       string
	references []reference
	// passing means that its rows end by themselves within hours. A backup leaves them out, because
	// a restore would bring back what was ended since.
	passing bool
}

// reference is a foreign key: each value of the column is a value of the parent's key.
type reference struct{ column, parent, key string }

var (
	toAccount = reference{"account_id", "accounts", "id"}
	toPool    = reference{"pool_id", "pools", "id"}
	toRole    = reference{"role", "roles", "name"}
)

// tables are all tables of all versions, each after those that it refers to.
var tables = []table{
	{name: "meta"},
	{name: "roles"},
	{name: "identity_configuration"},
	{name: "bindings"},
	{name: "former_leaders"},
	{name: "retired_owners"},
	{name: "released_owners"},
	{name: "released_pins"},
	{name: "accounts"},
	{name: "account_roles", references: []reference{toAccount, toRole}},
	{name: "account_words", references: []reference{toAccount}},
	{name: "pools"},
	{name: "pool_roles", references: []reference{toPool, toRole}},
	{name: "pool_keys", references: []reference{toPool}},
	{name: "memberships", references: []reference{toAccount, toPool}},
	{name: "identities", references: []reference{toAccount}},
	{name: "second_factors", references: []reference{toAccount}},
	{name: "recovery_codes", references: []reference{toAccount}},
	{name: "known_browsers", references: []reference{toAccount}},
	{name: "attempt_budgets"},
	{name: "used_assertions"},
	{name: "migration_plan_lines"},
	{name: "api_keys"},
	{name: "feed"},
	{name: "audit_events"},
	{name: "audit_names"},
	{name: "audit_removals"},
	{name: "audit_pool_removals"},
	{name: "sessions", references: []reference{toAccount}, passing: true},
	{name: "password_resets", references: []reference{toAccount}, passing: true},
	{name: "pending_sign_ins", references: []reference{toAccount}, passing: true},
}

// kind is the type of a column.
type kind string

const (
	kindText    kind = "text"
	kindInteger kind = "integer"
	kindBoolean kind = "boolean"
)

// column is a column of a table in the database.
type column struct {
	name string
	kind kind
}

func columnNames(columns []column) (all []string) {
	for _, c := range columns {
		all = append(all, c.name)
	}
	return all
}

// existing returns those tables that the database has.
func (c *conn) existing() (all []table, err error) {
	var names []string
	err = c.each(func(rows *sql.Rows) error {
		var name string
		err := rows.Scan(&name)
		names = append(names, name)
		return err
	}, c.dialect.tables)
	for _, t := range tables {
		if slices.Contains(names, t.name) {
			all = append(all, t)
		}
	}
	return all, err
}

// columns returns the columns of a table, in its order.
func (c *conn) columns(table string) ([]column, error) {
	rows, err := c.tx.QueryContext(c.ctx, `SELECT * FROM `+table+` WHERE FALSE`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	types, err := rows.ColumnTypes()
	if err != nil {
		return nil, err
	}
	all := make([]column, len(types))
	for i, t := range types {
		all[i].name = t.Name()
		switch t.DatabaseTypeName() {
		case "TEXT":
			all[i].kind = kindText
		case "INTEGER", "BIGINT", "INT4", "INT8":
			all[i].kind = kindInteger
		case "BOOLEAN", "BOOL":
			all[i].kind = kindBoolean
		default:
			return nil, fmt.Errorf("the column %s of the table %s has the unknown type %s", t.Name(), table, t.DatabaseTypeName())
		}
	}
	return all, rows.Err()
}
