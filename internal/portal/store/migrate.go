// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"embed"
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"strings"

	"github.com/pressly/goose/v3"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Newest returns the version of the schema that this program works with: the number of its newest
// migration.
func Newest() int64 {
	files, _ := fs.Glob(migrations, "migrations/*.sql") // sorted; the pattern is well-formed
	number, _, _ := strings.Cut(path.Base(files[len(files)-1]), "_")
	version, _ := strconv.ParseInt(number, 10, 64) // TestMigrationFiles checks the names
	return version
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
func (s *Store) migrateUp(ctx context.Context) error {
	migrator, err := s.migrator()
	if err != nil {
		return err
	}
	version, err := migrator.GetDBVersion(ctx)
	if err != nil {
		return err
	}
	if version > Newest() {
		return tooNew(version)
	}
	_, err = migrator.Up(ctx)
	return err
}

func tooNew(version int64) error {
	return fmt.Errorf("the database has the schema version %d, and this program knows %d; use the program that migrated it", version, Newest())
}

// migrateTo migrates the database up or down to the version, each migration in a transaction of its
// own.
func (s *Store) migrateTo(ctx context.Context, version int64) error {
	migrator, err := s.migrator()
	if err != nil {
		return err
	}
	if _, err := migrator.DownTo(ctx, version); err != nil {
		return err
	}
	if version > 0 {
		_, err = migrator.UpTo(ctx, version)
	}
	return err
}
