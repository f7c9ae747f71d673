// SPDX-License-Identifier: Apache-2.0

package report

import (
	"os"
	"path/filepath"
	"testing"
)

func TestPrepare(t *testing.T) {
	for name, c := range map[string]struct {
		reason  string
		path    string
		content string
		create  bool
		wrong   bool
		want    string // after results were written
	}{
		"New":      {reason: "A page that does not exist is created.", path: "new.md", want: "<!-- results: written by make bench -->\n42\n<!-- end of results -->\n"},
		"NoFolder": {reason: "A folder is not created: the name may be a mistake.", path: "no/new.md", wrong: true},
		"Other":    {reason: "A page of another command is not overwritten.", path: "page.md", create: true, content: "<!-- results: written by make -->\n", wrong: true},
		"Folder":   {reason: "A folder is not a page.", path: ".", wrong: true},
		"Page": {
			reason: "The text around the results remains.", path: "page.md", create: true,
			content: "before\n<!-- results: written by make bench -->\nold\n<!-- end of results -->\nafter\n",
			want:    "before\n<!-- results: written by make bench -->\n42\n<!-- end of results -->\nafter\n",
		},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), c.path)
			if c.create {
				if err := os.WriteFile(file, []byte(c.content), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if err := Prepare(file, "make bench"); (err != nil) != c.wrong {
				t.Fatalf("Prepare: %v: %s", err, c.reason)
			}
			if c.wrong {
				return
			}
			if err := Write(file, "make bench", "42\n"); err != nil {
				t.Fatal(err)
			}
			have, err := os.ReadFile(file)
			if err != nil || string(have) != c.want {
				t.Errorf("%q, %v, want %q: %s", have, err, c.want, c.reason)
			}
		})
	}
	if err := Prepare("", "make bench"); err != nil {
		t.Errorf("no page: %v", err)
	}
}
