// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"strings"

	"github.com/pressly/goose/v3"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Migration is a step between two versions of the schema.
type Migration struct {
	Version int64
	Name    string
	Loses   string // what the way down loses
	Applied bool   // in the database that was asked
}

// Migrations returns all migrations in their order.
func Migrations() (all []Migration) {
	files, _ := fs.Glob(migrations, "migrations/*.sql") // sorted; the pattern is well-formed
	for _, file := range files {
		text, _ := migrations.ReadFile(file) // it is in the program
		number, name, _ := strings.Cut(strings.TrimSuffix(path.Base(file), ".sql"), "_")
		m := Migration{Name: strings.ReplaceAll(name, "_", " ")}
		m.Version, _ = strconv.ParseInt(number, 10, 64) // TestMigrationFiles checks names and texts
		_, loses, _ := strings.Cut(string(text), "\n-- Down loses: ")
		m.Loses, _, _ = strings.Cut(loses, ".\n")
		all = append(all, m)
	}
	return all
}

// Newest returns the version of the schema that this program works with: the number of its newest
// migration.
func Newest() int64 {
	all := Migrations()
	return all[len(all)-1].Version
}

// MigrationStatus returns the migrations and whether the database has them. It changes nothing.
func MigrationStatus(ctx context.Context, o Options) ([]Migration, error) {
	s, err := openAsIs(o)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	var version int64
	err = s.inSnapshot(ctx, func(c *conn) error {
		if version, err = c.schema(); err == nil && version > Newest() {
			err = tooNew(version)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read the schema version of the portal's database: %w", err)
	}
	all := Migrations()
	for i := range all {
		all[i].Applied = all[i].Version <= version
	}
	return all, nil
}

// Migrate migrates the database up or down to the version, each migration in a transaction of its
// own. No portal may run on it.
func Migrate(ctx context.Context, o Options, version int64) error {
	s := o.store()
	if err := s.connect(o.Database, serving); err != nil {
		return fmt.Errorf("open the portal's database: %w", err)
	}
	defer s.Close()
	if err := s.migrateTo(ctx, version); err != nil {
		return fmt.Errorf("migrate the portal's database to the schema version %d: %w", version, err)
	}
	return nil
}

func (s *Store) migrator() (*goose.Provider, error) {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return nil, err
	}
	return goose.NewProvider(s.dialect.goose, s.write, files)
}

// migrateUp migrates the database to the newest version. It refuses a database that a newer program
// migrated.
func (s *Store) migrateUp(ctx context.Context) error { return s.migrateTo(ctx, Newest()) }

// migrateTo migrates the database up or down to the version.
func (s *Store) migrateTo(ctx context.Context, version int64) error {
	migrator, err := s.migrator()
	if err != nil {
		return err
	}
	before, err := migrator.GetDBVersion(ctx)
	switch {
	case err != nil:
		return err
	case before > Newest():
		return tooNew(before)
	case version < 0 || version > Newest():
		return fmt.Errorf("this program knows the schema versions 0 to %d", Newest())
	case before > version:
		_, err = migrator.DownTo(ctx, version)
	case version > 0:
		_, err = migrator.UpTo(ctx, version)
	}
	var partial *goose.PartialError
	if errors.As(err, &partial) { // its text has the path of the file in the program
		return fmt.Errorf("migration %d: %w", partial.Failed.Source.Version, partial.Err)
	}
	return err
}

func tooNew(version int64) error {
	return fmt.Errorf("the database has the schema version %d, and this program knows %d; use the program that migrated it, also to migrate it down", version, Newest())
}
