// SPDX-License-Identifier: Apache-2.0

package portal

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"lightrun.com/scim-operator/internal/portal/store"
)

// Stdio as the file of a backup is the standard output, or for a restore the standard input.
const Stdio = "-"

// Streams are the standard streams of a command.
type Streams struct {
	In       io.Reader
	Out, Err io.Writer
}

// Backup writes a backup of the database to the file, which it replaces. It reports on the standard
// error.
func (o Options) Backup(ctx context.Context, file string, std Streams) error {
	var m *store.Manifest
	write := func(w io.Writer) (err error) {
		m, err = store.Backup(ctx, store.Options{Database: o.Database}, w, meter(std.Err, "backed up"))
		return err
	}
	err := o.exists()
	switch {
	case err != nil:
	case file == Stdio:
		err = write(std.Out)
	default:
		err = replace(file, write)
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(std.Err, "backed up %s\n", describe(m))
	if len(m.SecretKeys) > 0 {
		fmt.Fprintf(std.Err, "secrets in it are encrypted: a restore needs the file of --secret-key-file with the key %s; keep it in another place than the backup\n", strings.Join(m.SecretKeys, ", "))
	}
	if m.ClearSecrets {
		fmt.Fprintln(std.Err, "secrets in it are in clear: keep it as secret as they are, or start the portal with --secret-key-file and back up again")
	}
	if len(m.AuditKeys) > 0 {
		fmt.Fprintf(std.Err, "its audit is checked with the file of --audit-key-file that has the key %s\n", strings.Join(m.AuditKeys, ", "))
	}
	return nil
}

// Restore writes the backup in the file into the empty database. It reports on the standard error.
func (o Options) Restore(ctx context.Context, file string, std Streams) error {
	so, err := o.store()
	if err != nil {
		return err
	}
	in := std.In
	if file != Stdio {
		f, err := os.Open(file)
		if err != nil {
			return fmt.Errorf("open the backup: %w", err)
		}
		defer f.Close()
		in = f
	}
	if err := o.create(); err != nil {
		return err
	}
	m, err := store.Restore(ctx, so, in, meter(std.Err, "restored"))
	if err != nil {
		return err
	}
	fmt.Fprintf(std.Err, "restored %s\n", describe(m))
	fmt.Fprintln(std.Err, "everyone signs in again; an API key that was deleted since the backup works again until you delete it")
	return nil
}

func describe(m *store.Manifest) string {
	return fmt.Sprintf("%d rows of %d tables, schema version %d, as of %s", m.Rows(), len(m.Tables), m.Schema, m.CreatedAt.Format(time.RFC3339))
}

// meter writes a line for each two seconds.
func meter(w io.Writer, done string) store.Progress {
	last := time.Now()
	return func(n, total int64) {
		if time.Since(last) < 2*time.Second {
			return
		}
		last = time.Now()
		fmt.Fprintf(w, "%s %d of %d rows\n", done, n, total)
	}
}

// replace writes a file that its owner alone can read. Either the whole file is there, under its
// name, or the one before.
func replace(path string, write func(io.Writer) error) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*") // with the mode 0600
	if err != nil {
		return fmt.Errorf("create the backup: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	if err := write(f); err != nil {
		return errors.Join(err, f.Close())
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("write the backup: %w", err)
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return fmt.Errorf("name the backup: %w", err)
	}
	return syncDirectory(filepath.Dir(path))
}

// syncDirectory makes a new name survive a power failure.
func syncDirectory(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
