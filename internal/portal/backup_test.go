// SPDX-License-Identifier: Apache-2.0

package portal

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lightrun.com/scim-operator/internal/portal/store"
)

// TestBackupFile backs up a portal that serves, into a file that only its owner reads and that is
// either whole or as before, and through the standard streams.
func TestBackupFile(t *testing.T) {
	key, err := ParseBootstrapKey("manage=" + file(t, "demo-manage-key-0123456789"))
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	o := Options{Database: filepath.Join(folder, "portal.db"), AdminUser: "admin@example.test", AdminPassword: file(t, "demo admin password\n"), Keys: []BootstrapKey{key},
		AuditKeyFile: file(t, "MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTI=")}
	_, stop := start(t, o)
	backups := t.TempDir()
	path := filepath.Join(backups, "portal.backup")
	if err := os.WriteFile(path, []byte("the one before"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := (Options{Database: filepath.Join(folder, "other.db")}).Backup(t.Context(), path, Streams{Err: io.Discard}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a database that does not exist: %v", err)
	}
	if err := (Options{Database: store.Memory}).Backup(t.Context(), path, Streams{Err: io.Discard}); err == nil {
		t.Error("a database without a portal is backed up")
	}
	if text, err := os.ReadFile(path); string(text) != "the one before" {
		t.Errorf("a backup that failed changed the file (%v)", err)
	}
	var report bytes.Buffer
	if err := o.Backup(t.Context(), path, Streams{Err: &report}); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(report.String(), "backed up ") || !strings.Contains(report.String(), "--audit-key-file") || strings.Contains(report.String(), "secrets in it") {
		t.Errorf("the report is:\n%s", &report)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the backup has the mode %v (%v)", info.Mode(), err)
	}
	if files, err := os.ReadDir(backups); len(files) != 1 {
		t.Errorf("%d files are beside the backup (%v)", len(files), err)
	}
	var piped bytes.Buffer
	if err := o.Backup(t.Context(), Stdio, Streams{Out: &piped, Err: io.Discard}); err != nil {
		t.Fatal(err)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}

	for name, from := range map[string]Streams{path: {}, Stdio: {In: &piped}} {
		from.Err = io.Discard
		r := Options{Database: filepath.Join(t.TempDir(), "portal.db"), AuditKeyFile: o.AuditKeyFile}
		if err := r.Restore(t.Context(), name, from); err != nil {
			t.Fatal(err)
		}
		if info, err := os.Stat(r.Database); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("the restored database has the mode %v (%v)", info.Mode(), err)
		}
		url, stop := start(t, r)
		if got := status(t, url+"/api/v1/users", "demo-manage-key-0123456789"); got != 200 {
			t.Errorf("the key of the restored portal: %d", got)
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
		if err := r.VerifyAudit(t.Context(), "", io.Discard); err != nil {
			t.Error(err)
		}
	}
}
