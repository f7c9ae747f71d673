// SPDX-License-Identifier: Apache-2.0

package portal

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"lightrun.com/scim-operator/internal/portal/store"
)

// MigrationStatus writes a line for each migration: whether the database has it, and what the way
// down loses.
func (o Options) MigrationStatus(ctx context.Context, std Streams) error {
	all, err := o.migrations(ctx)
	if err != nil {
		return err
	}
	for _, m := range all {
		state := "pending"
		if m.Applied {
			state = "applied"
		}
		fmt.Fprintf(std.Out, "%d  %s  %s; down loses %s\n", m.Version, state, m.Name, m.Loses)
	}
	return nil
}

// MigrateUp migrates the database up to the version; to the newest if it is negative.
func (o Options) MigrateUp(ctx context.Context, version int64, std Streams) error {
	if version < 0 {
		version = store.Newest()
	}
	if err := o.create(); err != nil {
		return err
	}
	before, err := o.migrations(ctx)
	if err != nil {
		return err
	}
	if at := newest(before); at > version {
		return fmt.Errorf("the database has the schema version %d already; portal migrate down goes back to %d", at, version)
	}
	return o.migrate(ctx, version, std.Err)
}

// MigrateDown migrates the database down to the version. Without consent it reports what that
// loses, and returns an error.
func (o Options) MigrateDown(ctx context.Context, version int64, consent bool, std Streams) error {
	if version < 0 {
		return errors.New("name the version with --to; portal migrate status lists them")
	}
	before, err := o.migrations(ctx)
	if err != nil {
		return err
	}
	if at := newest(before); at < version {
		return fmt.Errorf("the database has the schema version %d; portal migrate up goes on to %d", at, version)
	}
	lost := 0
	for _, m := range before {
		if m.Applied && m.Version > version && !strings.HasPrefix(m.Loses, "nothing") {
			fmt.Fprintf(std.Err, "version %d (%s) down loses %s\n", m.Version, m.Name, m.Loses)
			lost++
		}
	}
	if lost > 0 && !consent {
		return errors.New("nothing was changed: back up the database with portal backup, and run the command again with --yes")
	}
	return o.migrate(ctx, version, std.Err)
}

func (o Options) migrations(ctx context.Context) ([]store.Migration, error) {
	if err := o.exists(); err != nil {
		return nil, err
	}
	return store.MigrationStatus(ctx, store.Options{Database: o.Database})
}

func (o Options) migrate(ctx context.Context, version int64, report io.Writer) error {
	if err := store.Migrate(ctx, store.Options{Database: o.Database}, version); err != nil {
		return err
	}
	after, err := o.migrations(ctx)
	if err == nil {
		fmt.Fprintf(report, "the schema version is %d; this program serves version %d\n", newest(after), store.Newest())
	}
	return err
}

// newest returns the version of the newest migration that is applied.
func newest(all []store.Migration) (version int64) {
	for _, m := range all {
		if m.Applied {
			version = m.Version
		}
	}
	return version
}
