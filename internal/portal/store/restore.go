// SPDX-License-Identifier: Apache-2.0

package store

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/google/uuid"
)

// maxParameters limits the parameters of one statement; SQLite takes 32,766.
const maxParameters = 10_000

// Restore writes a backup into an empty database: one without a portal, or in which no portal was
// ever started. All rows are written in one transaction, after everything was checked, and readers
// of the change feed list everything again. A backup of an older schema is migrated afterwards. The
// keys of the options must include those that the backup needs.
func Restore(ctx context.Context, o Options, r io.Reader, progress Progress) (*Manifest, error) {
	archive, m, err := newArchiveReader(r)
	if err == nil {
		err = m.restorable(o)
	}
	if err != nil {
		return nil, err
	}
	s := o.store()
	if err := s.connect(o.Database, serving); err != nil {
		return nil, fmt.Errorf("open the portal's database: %w", err)
	}
	defer s.Close()
	if err := s.inSnapshot(ctx, (*conn).empty); err != nil {
		return nil, err
	}
	if err := s.migrateTo(ctx, m.Schema); err != nil {
		return nil, fmt.Errorf("make the tables of the schema version %d: %w", m.Schema, err)
	}
	if err := s.restore(ctx, archive, m, progress); err != nil {
		return nil, fmt.Errorf("nothing was restored: %w", err)
	}
	if err := s.migrateUp(ctx); err != nil {
		return nil, fmt.Errorf("the backup is restored, but its schema could not be migrated from version %d to %d: %w", m.Schema, Newest(), err)
	}
	return m, nil
}

// restorable checks what the manifest alone can tell.
func (m *Manifest) restorable(o Options) error {
	if m.Schema > Newest() {
		return fmt.Errorf("the backup has the schema version %d, and this program knows %d; restore it with the version of the program that wrote it, or a newer one", m.Schema, Newest())
	}
	if m.Schema < 1 {
		return errors.New("the backup is not as it was written: it has no schema version")
	}
	for _, id := range m.SecretKeys {
		if _, ok := o.SecretKeys.find(id); !ok {
			return fmt.Errorf("secrets in the backup are encrypted under the key %q; name the key file that has it with --secret-key-file", id)
		}
	}
	for _, id := range m.AuditKeys {
		if _, ok := o.AuditKeys.find(id); o.AuditKeys != nil && !ok {
			return fmt.Errorf("the audit in the backup is checked with the key %q, which is not in the file of --audit-key-file; name the key file that has it", id)
		}
	}
	return nil
}

// empty refuses a database that a portal uses.
func (c *conn) empty() error {
	found, err := c.existing()
	if err != nil {
		return err
	}
	for _, t := range found {
		query := `SELECT 1 FROM ` + t.name
		switch t.name {
		case "roles", "identity_configuration": // the migrations fill them
			continue
		case "meta":
			query += ` WHERE epoch <> ''` // the first start sets it
		}
		used, err := c.yes(query)
		if err != nil {
			return err
		}
		if used {
			return errors.New("the database is not empty; restore into a new SQLite file or an empty PostgreSQL database, before a portal is started on it")
		}
	}
	return nil
}

// restore writes all rows in one transaction, into tables of any version.
func (s *Store) restore(ctx context.Context, archive *archiveReader, m *Manifest, progress Progress) error {
	began, err := s.write.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer began.Rollback() //nolint:errcheck // after a commit it does nothing
	c := &conn{ctx: ctx, tx: began, dialect: s.dialect, vault: s.vault}
	var epoch string
	if err := c.row(`SELECT epoch FROM meta` + s.dialect.forTurn).Scan(&epoch); err != nil {
		return err
	}
	if err := c.stillFits(m); err != nil {
		return err
	}
	for i := range tables { // what the migrations wrote; referring tables first
		name := tables[len(tables)-1-i].name
		if m.has(name) {
			if _, err := c.exec(`DELETE FROM ` + name); err != nil {
				return err
			}
		}
	}
	done, total := int64(0), m.Rows()
	for _, line := range m.Tables {
		err := c.restoreTable(archive, line, func() {
			if done++; done%progressRows == 0 {
				progress(done, total)
			}
		})
		if err != nil {
			return fmt.Errorf("the table %s: %w", line.Name, err)
		}
	}
	if err := archive.end(); err != nil {
		return err
	}
	n, err := c.exec(`UPDATE meta SET epoch = ?`, uuid.NewString())
	if err != nil {
		return err
	}
	if n != 1 {
		return errors.New("the backup is not as it was written: the table meta does not have one row")
	}
	return began.Commit()
}

// stillFits checks that the database is empty and has the tables of the backup: a portal may have
// been started on it meanwhile.
func (c *conn) stillFits(m *Manifest) error {
	if err := c.empty(); err != nil {
		return err
	}
	version, err := c.schema()
	if err != nil {
		return err
	}
	if version != m.Schema {
		return fmt.Errorf("the database was migrated to the schema version %d meanwhile; restore into another empty database", version)
	}
	return c.fits(m)
}

func (m *Manifest) has(table string) bool {
	return slices.ContainsFunc(m.Tables, func(t ManifestTable) bool { return t.Name == table })
}

// fits checks that the backup has the tables of the database, with their columns.
func (c *conn) fits(m *Manifest) error {
	found, err := c.existing()
	if err != nil {
		return err
	}
	var want []string
	for _, table := range found {
		if !table.passing {
			want = append(want, table.name)
		}
	}
	var have []string
	for _, line := range m.Tables {
		have = append(have, line.Name)
	}
	if !slices.Equal(have, want) {
		return fmt.Errorf("the backup has the tables %s, and the schema version %d has %s", strings.Join(have, ", "), m.Schema, strings.Join(want, ", "))
	}
	for _, line := range m.Tables {
		columns, err := c.columns(line.Name)
		if err != nil {
			return err
		}
		if want := columnNames(columns); !slices.Equal(sortedSet(line.Columns), sortedSet(want)) || len(line.Columns) != len(want) {
			return fmt.Errorf("the backup's table %s has the columns %s, and the schema version %d has %s", line.Name, strings.Join(line.Columns, ", "), m.Schema, strings.Join(want, ", "))
		}
	}
	return nil
}

// restoreTable writes the rows of one table. written is called after each row that was read.
func (c *conn) restoreTable(archive *archiveReader, line ManifestTable, written func()) error {
	columns, err := c.columns(line.Name)
	if err != nil {
		return err
	}
	slices.SortFunc(columns, func(a, b column) int { // in the order of the backup
		return cmp.Compare(slices.Index(line.Columns, a.name), slices.Index(line.Columns, b.name))
	})
	in := inserter{conn: c, head: `INSERT INTO ` + line.Name + ` (` + strings.Join(line.Columns, ", ") + `) VALUES `,
		row: "(" + marks(len(columns)) + ")", most: max(1, min(200, maxParameters/len(columns)))}
	for range line.Rows {
		values, err := archive.row(columns)
		if err != nil {
			return err
		}
		if err := c.readable(line, values); err != nil {
			return err
		}
		if err := in.add(values); err != nil {
			return err
		}
		written()
	}
	return in.flush()
}

// readable checks that the portal can read the secret of the row, if the row has one.
func (c *conn) readable(line ManifestTable, values []any) error {
	for _, s := range secretColumns {
		if s.table != line.Name {
			continue
		}
		value := func(column string) string {
			at := slices.Index(line.Columns, column)
			if at < 0 {
				return ""
			}
			text, _ := values[at].(string)
			return text
		}
		if _, err := c.vault.open(s.purpose(value("account_id")), value(s.column)); err != nil {
			return err
		}
	}
	return nil
}

// inserter writes rows, several in one statement.
type inserter struct {
	conn      *conn
	head, row string
	most      int // rows of a statement
	rows      int
	args      []any
	full      *sql.Stmt // the statement with most rows, once it was needed
}

func (in *inserter) add(values []any) error {
	in.args = append(in.args, values...)
	if in.rows++; in.rows < in.most {
		return nil
	}
	return in.flush()
}

// flush writes the rows that wait.
func (in *inserter) flush() error {
	if in.rows == 0 {
		return nil
	}
	defer func() { in.rows, in.args = 0, in.args[:0] }()
	if in.rows < in.most {
		_, err := in.conn.exec(in.query(), in.args...)
		return err
	}
	if in.full == nil {
		var err error
		if in.full, err = in.conn.tx.PrepareContext(in.conn.ctx, in.conn.dialect.rebind(in.query())); err != nil { // it ends with the transaction
			return err
		}
	}
	_, err := in.full.ExecContext(in.conn.ctx, in.args...)
	return err
}

func (in *inserter) query() string {
	return in.head + strings.TrimSuffix(strings.Repeat(in.row+", ", in.rows), ", ")
}
