// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lightrun.com/scim-operator/test/framework/devenv"
)

// TestSummary: the command that README.md shows is the one that is printed.
func TestSummary(t *testing.T) {
	root := t.TempDir()
	t.Chdir(root)
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct{ reason, dir, want string }{
		{"a folder of the repository has a short path", filepath.Join(here, ".run"), "source .run/env"},
		{"another folder has its whole path", "/somewhere/.run", "source /somewhere/.run/env"},
	} {
		if got := summary(&devenv.Environment{Options: devenv.Options{Dir: tc.dir}}, time.Second); !strings.Contains(got, "  "+tc.want+"\n") {
			t.Errorf("%s:\n%s", tc.reason, got)
		}
	}
}
