// SPDX-License-Identifier: Apache-2.0

package architecture

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// pathInBackticks matches a path of this repository in backticks.
var pathInBackticks = regexp.MustCompile("`((?:api|charts|cmd|config|controllers|docs|hack|internal|test)/[A-Za-z0-9_./-]+)`")

// TestPathsInDocuments checks that every path in backticks in a Markdown file exists. ADRs are
// skipped: they may name files that existed when the decision was made.
func TestPathsInDocuments(t *testing.T) {
	root := filepath.Join("..", "..")
	found := 0
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (strings.HasPrefix(d.Name(), ".") && name != root || d.Name() == "adr" || d.Name() == "bin"):
			return fs.SkipDir
		case filepath.Ext(name) != ".md":
			return nil
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		for _, m := range pathInBackticks.FindAllSubmatch(text, -1) {
			found++
			if _, err := os.Stat(filepath.Join(root, string(m[1]))); errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%s names %s, which does not exist", name, m[1])
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if found < 100 {
		t.Errorf("found %d paths, want at least 100", found)
	}
}
