// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const repository = "../.."

// rows is the number of duties in docs/reference/scim-conformance.md. From notOurs on, they are
// duties of documents that this service does not implement.
const (
	rows    = 70
	notOurs = 66
)

// TestTable: every row describes the behaviour and names existing tests, and every case is in a
// row.
func TestTable(t *testing.T) {
	data, err := os.ReadFile(filepath.Join(repository, "docs", "reference", "scim-conformance.md"))
	if err != nil {
		t.Fatal(err)
	}
	known := testFunctions(t)
	for _, name := range Names() {
		known[name] = true
	}
	named := map[string]bool{}
	next := 1
	for line := range strings.Lines(string(data)) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), " | ")
		if len(cells) != 5 || strings.TrimSpace(cells[0]) != fmt.Sprint(next) {
			continue
		}
		tests := regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(cells[4], -1)
		if len(tests) == 0 && (next < notOurs || !strings.Contains(cells[4], "not ours")) {
			t.Errorf("row %d names no test", next)
		}
		for _, m := range tests {
			if named[m[1]] = true; !known[m[1]] {
				t.Errorf("row %d names %s, which does not exist", next, m[1])
			}
		}
		next++
	}
	if next != rows+1 {
		t.Errorf("row %d is missing or malformed", next)
	}
	for _, name := range Names() {
		if !named[name] {
			t.Errorf("the case %s is in no row", name)
		}
	}
}

// testFunctions finds the tests of the repository that the table names in addition to these cases.
func testFunctions(t *testing.T) map[string]bool {
	t.Helper()
	found := map[string]bool{}
	function := regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)\(`)
	for _, root := range []string{"internal/scim", "internal/gateway", "cmd/scim-webhook"} {
		err := filepath.WalkDir(filepath.Join(repository, root), func(path string, _ fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, "_test.go") {
				return err
			}
			data, err := os.ReadFile(path)
			for _, m := range function.FindAllSubmatch(data, -1) {
				found[string(m[1])] = true
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return found
}

// TestNames: a case is named after the section that it is about.
func TestNames(t *testing.T) {
	form := regexp.MustCompile(`^RFC(7643|7644|9865|9110)(_[0-9]+)+_[A-Z][A-Za-z]+$`)
	if i := slices.IndexFunc(Names(), func(n string) bool { return !form.MatchString(n) }); i >= 0 {
		t.Errorf("%s is not named after a section", Names()[i])
	}
}
