// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"
)

// Progress is called now and then with the number of rows that are done, and of all rows.
type Progress func(done, total int64)

// progressRows is the number of rows between two calls of a Progress.
const progressRows = 1000

// Backup writes a backup of the database to w, from one snapshot, while portals serve it. It needs
// no key: secrets stay as they are in the database.
func Backup(ctx context.Context, o Options, w io.Writer, progress Progress) (*Manifest, error) {
	s, err := openAsIs(o)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	var m *Manifest
	err = s.inSnapshot(ctx, func(c *conn) (err error) {
		if m, err = c.manifest(s.now()); err != nil {
			return err
		}
		return c.archive(newArchiveWriter(w), m, progress)
	})
	if err != nil {
		return nil, fmt.Errorf("back up the portal's database: %w", err)
	}
	return m, nil
}

// openAsIs opens a database that exists for reading. It migrates nothing.
func openAsIs(o Options) (*Store, error) {
	s := o.store()
	if err := s.connect(o.Database, []string{"query_only(ON)"}); err != nil {
		return nil, fmt.Errorf("open the portal's database: %w", err)
	}
	return s, nil
}

// schema returns the version of the database: the number of its newest migration; 0 if it has no
// tables of a portal.
func (c *conn) schema() (int64, error) {
	found, err := c.existing()
	if err != nil || len(found) == 0 {
		return 0, err
	}
	var version int64
	err = c.row(`SELECT MAX(version_id) FROM goose_db_version WHERE is_applied`).Scan(&version)
	return version, err
}

// known returns the schema of a database that this program knows.
func (c *conn) known() (int64, error) {
	version, err := c.schema()
	switch {
	case err != nil:
		return 0, err
	case version == 0:
		return 0, errors.New("the database has no portal; check --database")
	case version > Newest():
		return 0, tooNew(version)
	}
	return version, nil
}

func (c *conn) manifest(now time.Time) (*Manifest, error) {
	m := &Manifest{Format: archiveFormat, Version: archiveVersion, CreatedAt: now.UTC().Truncate(time.Second)}
	var err error
	if m.Schema, err = c.known(); err != nil {
		return nil, err
	}
	found, err := c.existing()
	if err != nil {
		return nil, err
	}
	for _, t := range found {
		if t.passing {
			continue
		}
		columns, err := c.columns(t.name)
		if err != nil {
			return nil, err
		}
		line := ManifestTable{Name: t.name, Columns: columnNames(columns)}
		if err := c.row(`SELECT COUNT(*) FROM ` + t.name).Scan(&line.Rows); err != nil {
			return nil, err
		}
		m.Tables = append(m.Tables, line)
	}
	return m, c.keysOf(m)
}

// keysOf lists the keys without which a restored portal would not work as before.
func (c *conn) keysOf(m *Manifest) error {
	secretKeys, auditKeys := map[string]bool{}, map[string]bool{}
	for _, t := range m.Tables {
		for _, s := range secretColumns {
			if s.table != t.Name {
				continue
			}
			err := c.each(func(rows *sql.Rows) error {
				var secret string
				err := rows.Scan(&secret)
				if id, sealed := sealedUnder(secret); sealed {
					secretKeys[id] = true
				} else if secret != "" {
					m.ClearSecrets = true
				}
				return err
			}, `SELECT `+s.column+` FROM `+t.Name)
			if err != nil {
				return err
			}
		}
		if t.Name != "audit_events" || !slices.Contains(t.Columns, "mac") {
			continue
		}
		err := c.each(func(rows *sql.Rows) error {
			var id string
			err := rows.Scan(&id)
			auditKeys[strings.TrimSuffix(id, ":")] = true
			return err
		}, `SELECT DISTINCT substr(mac, 1, 8) FROM audit_events WHERE mac <> ''`)
		if err != nil {
			return err
		}
	}
	m.SecretKeys, m.AuditKeys = slices.Sorted(maps.Keys(secretKeys)), slices.Sorted(maps.Keys(auditKeys))
	return nil
}

// archive writes the manifest and all rows.
func (c *conn) archive(w *archiveWriter, m *Manifest, progress Progress) error {
	if err := w.line(m); err != nil {
		return err
	}
	done, total := int64(0), m.Rows()
	for _, t := range m.Tables {
		columns, err := c.columns(t.Name)
		if err != nil {
			return err
		}
		values, into := make([]any, len(columns)), make([]any, len(columns))
		for i := range values {
			into[i] = &values[i]
		}
		before := done
		err = c.each(func(rows *sql.Rows) error {
			if err := rows.Scan(into...); err != nil {
				return err
			}
			line := make([]any, len(columns))
			for i, v := range values {
				if line[i], err = encoded(v, columns[i].kind); err != nil {
					return fmt.Errorf("the column %s: %w", columns[i].name, err)
				}
			}
			if done++; done%progressRows == 0 {
				progress(done, total)
			}
			return w.line(line)
		}, `SELECT `+strings.Join(t.Columns, ", ")+` FROM `+t.Name)
		if err == nil && done-before != t.Rows {
			err = fmt.Errorf("%d rows, and %d were counted before", done-before, t.Rows)
		}
		if err != nil {
			return fmt.Errorf("the table %s: %w", t.Name, err)
		}
	}
	return w.end()
}
