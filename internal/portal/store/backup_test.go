// SPDX-License-Identifier: Apache-2.0

package store

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"testing"

	"lightrun.com/scim-operator/internal/kernel/portalapi"
)

func quiet(int64, int64) {}

// backedUp returns a backup of the database.
func backedUp(t *testing.T, database string) []byte {
	t.Helper()
	var b bytes.Buffer
	if _, err := Backup(t.Context(), Options{Database: database}, &b, quiet); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// testBackupAndRestore moves a portal that serves from each kind of database to each: all is as it
// was when the backup began, but who is signed in.
func testBackupAndRestore(t *testing.T, kinds databaseKinds) {
	for from, source := range kinds {
		t.Run("From"+from, func(t *testing.T) {
			o := Options{Database: source(t), SecretKeys: ring(t, "s"), AuditKeys: ring(t, "a")}
			s := opened(t, o)
			fillPortal(t, s)
			want := content(t, s, false)

			var file bytes.Buffer
			late := 0
			m, err := Backup(t.Context(), Options{Database: o.Database}, &file, func(done, total int64) {
				if late++; done > total {
					t.Errorf("%d rows of %d are done", done, total)
				}
				if _, err := s.PutAccount(t.Context(), filledOperator, testWrite(filledUsers+late)); err != nil {
					t.Errorf("a write during the backup: %v", err)
				}
			})
			if err != nil {
				t.Fatal(err)
			}
			if late == 0 {
				t.Error("the portal has too few rows for a write during the backup")
			}
			if len(m.SecretKeys) != 1 || len(m.AuditKeys) != 1 || m.ClearSecrets {
				t.Errorf("the manifest has the keys %q and %q, secrets in clear: %v", m.SecretKeys, m.AuditKeys, m.ClearSecrets)
			}
			before, err := s.Position(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for to, target := range kinds {
				t.Run("To"+to, func(t *testing.T) {
					o.Database = target(t)
					if _, err := Restore(t.Context(), o, bytes.NewReader(file.Bytes()), quiet); err != nil {
						t.Fatal(err)
					}
					r := opened(t, o)
					same(t, "the restored portal", content(t, r, false), want)
					report, err := r.CheckAudit(t.Context(), portalapi.AuditHead{})
					if err != nil || len(report.Problems) > 0 {
						t.Errorf("the audit has the problems %q (%v)", report.Problems, err)
					}
					if got, err := r.SSO(t.Context()); err != nil || got.ClientSecret != demoClientSecret {
						t.Errorf("the client secret is %q (%v)", got.ClientSecret, err)
					}
					for _, table := range tables {
						if n := len(content(t, r, true)[table.name]); table.passing && n > 0 {
							t.Errorf("%d rows of the table %s came back", n, table.name)
						}
					}
					if _, _, err := r.Changes(t.Context(), before, 1, 0); portalapi.CodeOf(err) != portalapi.CodeFeedTruncated {
						t.Errorf("a reader of the feed from before the restore gets %v", err)
					}
					if _, err := r.CheckPassword(t.Context(), "boss@example.test", demoPassword); err != nil {
						t.Errorf("the manager cannot sign in: %v", err)
					}
					if _, err := r.PutAccount(t.Context(), filledOperator, testWrite(2*filledUsers)); err != nil {
						t.Errorf("the restored portal takes no write: %v", err)
					}
				})
			}
		})
	}
}

// rewritten returns the backup with other lines, and with the digest that fits them.
func rewritten(t *testing.T, backup []byte, edit func(lines []string) []string) []byte {
	t.Helper()
	zip, err := gzip.NewReader(bytes.NewReader(backup))
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(zip)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
	content := strings.Join(edit(lines[:len(lines)-1]), "\n") + "\n"
	sum := sha256.Sum256([]byte(content))
	return zipped(t, content+fmt.Sprintf("{%q:%q}\n", "sha256", hex.EncodeToString(sum[:])))
}

func zipped(t *testing.T, text string) []byte {
	t.Helper()
	var b bytes.Buffer
	zip := gzip.NewWriter(&b)
	if _, err := zip.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := zip.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// manifestOf edits the first line of a backup.
func manifestOf(edit func(m *Manifest)) func([]string) []string {
	return func(lines []string) []string {
		var m Manifest
		if err := json.Unmarshal([]byte(lines[0]), &m); err != nil {
			panic(err)
		}
		edit(&m)
		b, err := json.Marshal(m)
		if err != nil {
			panic(err)
		}
		return append([]string{string(b)}, lines[1:]...)
	}
}

// replaced replaces the first occurrence of a text in all lines.
func replaced(from, to string) func([]string) []string {
	return func(lines []string) []string {
		return strings.Split(strings.Replace(strings.Join(lines, "\n"), from, to, 1), "\n")
	}
}

// testRestoreRefuses checks that a backup that cannot be restored as a whole changes nothing: the
// right one can still be restored into the same database.
func testRestoreRefuses(t *testing.T, kinds databaseKinds) {
	source := Options{Database: kinds["SQLite"](t), SecretKeys: ring(t, "s"), AuditKeys: ring(t, "a")}
	s := opened(t, source)
	fillPortal(t, s)
	want := content(t, s, false)
	good := backedUp(t, source.Database)
	boss, err := s.AccountByName(t.Context(), "boss@example.test")
	if err != nil {
		t.Fatal(err)
	}
	edited := func(edit func([]string) []string) []byte { return rewritten(t, good, edit) }
	for name, c := range map[string]struct {
		reason  string
		backup  []byte
		secrets string // keys
		audit   string
		want    string
	}{
		"NoFile":     {reason: "Another file is no backup.", backup: []byte("PK"), secrets: "s", want: "no backup of a portal"},
		"OtherLines": {reason: "Nor is another compressed file.", backup: zipped(t, "{}\n"), secrets: "s", want: "its first line is no manifest"},
		"Truncated":  {reason: "A copy was interrupted.", backup: good[:len(good)-100], secrets: "s", want: "ends too early"},
		"NoKey":      {reason: "The secrets would be lost.", backup: good, want: "--secret-key-file"},
		"OtherKey":   {reason: "Another key does not read them.", backup: good, secrets: "x", want: "--secret-key-file"},
		"OtherAudit": {reason: "The audit could not be checked.", backup: good, secrets: "s", audit: "x", want: "--audit-key-file"},
		"HiddenKey": {reason: "The manifest does not name a key that a secret needs.", secrets: "x", want: "which is not in the key file",
			backup: edited(manifestOf(func(m *Manifest) { m.SecretKeys = nil }))},
		"Format":  {reason: "Another version of the format.", backup: edited(manifestOf(func(m *Manifest) { m.Version = 2 })), secrets: "s", want: "version 2 of the format"},
		"Newer":   {reason: "A newer program wrote it.", backup: edited(manifestOf(func(m *Manifest) { m.Schema = 9999 })), secrets: "s", want: "the version of the program that wrote it"},
		"Table":   {reason: "A table is missing.", backup: edited(manifestOf(func(m *Manifest) { m.Tables = m.Tables[1:] })), secrets: "s", want: "the backup has the tables"},
		"Column":  {reason: "A column has another name.", backup: edited(replaced(`"audit_sequence"`, `"other"`)), secrets: "s", want: "the backup's table meta has the columns"},
		"Rows":    {reason: "A row is missing.", backup: edited(func(lines []string) []string { return append(lines[:1:1], lines[2:]...) }), secrets: "s", want: "no row of the table"},
		"Type":    {reason: "A value has another type.", backup: edited(replaced(`["`+boss.ID+`","boss@example.test"`, `["`+boss.ID+`",7`)), secrets: "s", want: "the column user_name"},
		"Orphan":  {reason: "A row refers to an account that does not exist.", backup: edited(replaced(`["`+boss.ID+`","boss@`, `["none","boss@`)), secrets: "s", want: "nothing was restored"},
		"Changed": {reason: "A name was changed in the file.", backup: zipped(t, unzipped(t, good, "Leads", "Loads")), secrets: "s", want: "its digest differs"},
		"Added":   {reason: "Lines were added.", backup: zipped(t, unzipped(t, good, "", "")+"[]\n"), secrets: "s", want: "lines follow its digest"},
	} {
		t.Run(name, func(t *testing.T) {
			for kind, database := range kinds {
				if kind == "PostgreSQL" && name != "Orphan" && name != "Changed" {
					continue // the checks of the file are the same; these come after rows were written
				}
				o := Options{Database: database(t)}
				if c.secrets != "" {
					o.SecretKeys = ring(t, c.secrets)
				}
				if c.audit != "" {
					o.AuditKeys = ring(t, c.audit)
				}
				if _, err := Restore(t.Context(), o, bytes.NewReader(c.backup), quiet); err == nil || !strings.Contains(err.Error(), c.want) {
					t.Fatalf("%s got %v, want %q\n%s", kind, err, c.want, c.reason)
				}
				if kind == "SQLite" && name != "Orphan" {
					continue
				}
				o.SecretKeys, o.AuditKeys = source.SecretKeys, source.AuditKeys
				if _, err := Restore(t.Context(), o, bytes.NewReader(good), quiet); err != nil {
					t.Fatalf("%s does not take the right backup afterwards: %v", kind, err)
				}
				same(t, kind, content(t, opened(t, o), false), want)
				if _, err := Restore(t.Context(), o, bytes.NewReader(good), quiet); err == nil || !strings.Contains(err.Error(), "the database is not empty") {
					t.Errorf("a second restore: %v", err)
				}
			}
		})
	}
	t.Run("Started", func(t *testing.T) {
		for kind, database := range kinds {
			o := Options{Database: database(t), SecretKeys: source.SecretKeys}
			_ = opened(t, o)
			if _, err := Restore(t.Context(), o, bytes.NewReader(good), quiet); err == nil || !strings.Contains(err.Error(), "the database is not empty") {
				t.Errorf("%s, after a portal was started on it: %v", kind, err)
			}
		}
	})
}

func unzipped(t *testing.T, backup []byte, from, to string) string {
	t.Helper()
	zip, err := gzip.NewReader(bytes.NewReader(backup))
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(zip)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Replace(string(text), from, to, 1)
}

// testBackupRefuses checks that a backup is not made of another database.
func testBackupRefuses(t *testing.T, kinds databaseKinds) {
	for kind, database := range kinds {
		at := database(t)
		if _, err := Backup(t.Context(), Options{Database: at}, io.Discard, quiet); err == nil || !strings.Contains(err.Error(), "has no portal") {
			t.Errorf("%s without a portal: %v", kind, err)
		}
		s := opened(t, Options{Database: at})
		if _, err := s.write.ExecContext(t.Context(), `UPDATE goose_db_version SET version_id = 9999 WHERE version_id = (SELECT MAX(version_id) FROM goose_db_version)`); err != nil {
			t.Fatal(err)
		}
		if _, err := Backup(t.Context(), Options{Database: at}, io.Discard, quiet); err == nil || !strings.Contains(err.Error(), "use the program that migrated it") {
			t.Errorf("%s of a newer program: %v", kind, err)
		}
		if _, err := Open(t.Context(), Options{Database: at}); err == nil || !strings.Contains(err.Error(), "use the program that migrated it") {
			t.Errorf("a start on %s of a newer program: %v", kind, err)
		}
	}
}

// TestEncodedValues checks values that JSON has no form for, or more than one.
func TestEncodedValues(t *testing.T) {
	for _, c := range []struct {
		value any
		kind  kind
		line  string
		back  any
	}{
		{"a<b>\u2028", kindText, "\"a<b>\\u2028\"", "a<b>\u2028"},
		{"\xff\x00", kindText, `{"bytes":"/wA="}`, "\xff\x00"},
		{[]byte("x"), kindText, `"x"`, "x"},
		{nil, kindText, `null`, nil},
		{int64(1<<62 + 1), kindInteger, `4611686018427387905`, int64(1<<62 + 1)},
		{int64(1), kindBoolean, `true`, true},
		{false, kindBoolean, `false`, false},
	} {
		v, err := encoded(c.value, c.kind)
		if err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		e := json.NewEncoder(&b)
		e.SetEscapeHTML(false)
		if err := e.Encode(v); err != nil || b.String() != c.line+"\n" {
			t.Errorf("%v is written as %s, want %s (%v)", c.value, b.String(), c.line, err)
		}
		if back, err := decoded(json.RawMessage(c.line), c.kind); err != nil || back != c.back {
			t.Errorf("%s is read as %v, want %v (%v)", c.line, back, c.back, err)
		}
	}
	if _, err := encoded(1.5, kindInteger); err == nil {
		t.Error("a number of another type is written")
	}
}
