// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"database/sql"
	"errors"
	"strconv"
	"strings"
	"testing"

	"lightrun.com/scim-operator/internal/portal"
	"lightrun.com/scim-operator/internal/portal/store"
)

// runs runs the program and returns its exit status and what it prints, with its error.
func runs(t *testing.T, args ...string) (status int, out, report string) {
	t.Helper()
	var o, e bytes.Buffer
	err := run(t.Context(), args, portal.Streams{Out: &o, Err: &e})
	if err != nil {
		e.WriteString(err.Error())
	}
	return exitStatus(err), o.String(), e.String()
}

func TestWrongUse(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, c := range []struct {
		args   string
		status int
		want   string
	}{
		{"bakcup x", 1, `unknown command "bakcup"; see portal --help`},
		{"backup", 1, "usage: portal backup [flags] FILE"},
		{"backup a b", 1, "usage: portal backup [flags] FILE"},
		{"backup portal.backup", 1, "no such file"},
		{"restore portal.backup", 1, "open the backup"},
		{"backup --help", 0, "Backup writes the database to FILE"},
		{"--help", 0, "portal restore [flags] FILE"},
		{"--database=portal.db backup portal.backup", 1, "a command comes before the flags"},
		{"check", 2, "no such file"},
		{"migrate", 1, "usage: portal migrate [flags] up|down|status"},
		{"migrate sideways", 1, `unknown direction "sideways"; use up, down or status`},
		{"migrate status", 1, "no such file"},
		{"migrate down --to=1 --yes", 1, "no such file"},
		{"migrate --help", 0, "from 26 (pool keys): the keys of all agent pools"},
		{"check --audit-head=x", 2, "is not the sequence and the MAC"},
		{"check --secret-key-file=x", 2, "read the key file"},
	} {
		status, _, report := runs(t, strings.Fields(c.args)...)
		if status != c.status || !strings.Contains(report, c.want) {
			t.Errorf("portal %s: exit status %d, want %d with %q:\n%s", c.args, status, c.status, c.want, report)
		}
	}
}

// TestCheckFindings checks what the command prints, and its exit status.
func TestCheckFindings(t *testing.T) {
	t.Chdir(t.TempDir())
	makePortal(t, "portal.db")
	args := []string{"check", "--database=portal.db", "--secret-key-file=secret-keys", "--audit-key-file=audit-keys"}
	if status, out, report := runs(t, args...); status != 0 || out != "" || !strings.Contains(report, "checked 1 users, 1 pools and ") {
		t.Errorf("exit status %d:\n%s%s", status, out, report)
	}
	db, err := sql.Open("sqlite", "portal.db")
	if err == nil {
		_, err = db.ExecContext(t.Context(), `UPDATE accounts SET status = 'Deactivated'`)
		err = errors.Join(err, db.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
	want := "no local manager can sign in with a password; remedy: start the portal with --bootstrap-admin-user and --bootstrap-admin-password-file\n"
	if status, out, report := runs(t, args...); status != 1 || out != want || !strings.Contains(report, ": 1 findings") {
		t.Errorf("exit status %d:\n%s%s", status, out, report)
	}
}

// TestMigrate checks that what a way down loses is said and accepted before it is lost.
func TestMigrate(t *testing.T) {
	t.Chdir(t.TempDir())
	makePortal(t, "portal.db")
	newest := strconv.FormatInt(store.Newest(), 10)
	for _, c := range []struct {
		args   string
		status int
		want   string
	}{
		{"status", 0, newest + "  applied  "},
		{"up", 0, "the schema version is " + newest},
		{"up --to=26", 1, "the database has the schema version " + newest + " already; portal migrate down goes back to 26"},
		{"down", 1, "name the version with --to"},
		{"down --to=9999", 1, "portal migrate up goes on to 9999"},
		{"down --to=22", 1, "version 26 (pool keys) down loses the keys of all agent pools: agents need new ones"},
		{"down --to=22", 1, "nothing was changed: back up the database with portal backup, and run the command again with --yes"},
		{"status", 0, "22  applied  api keys; down loses"},
		{"down --to=22 --yes", 0, "the schema version is 22; this program serves version " + newest},
		{"status", 0, "23  pending  audit chain; down loses"},
		{"up --to=23", 0, "the schema version is 23"},
		{"up --to=9999", 1, "this program knows the schema versions 0 to " + newest},
		{"up", 0, "the schema version is " + newest},
		{"up --database=new.db", 0, "the schema version is " + newest},
	} {
		status, out, report := runs(t, append([]string{"migrate"}, strings.Fields(c.args)...)...)
		if status != c.status || !strings.Contains(out+report, c.want) {
			t.Errorf("portal migrate %s: exit status %d, want %d with %q:\n%s%s", c.args, status, c.status, c.want, out, report)
		}
	}
}
