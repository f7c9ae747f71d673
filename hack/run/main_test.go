// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lightrun.com/scim-operator/api/v1alpha1"
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

func TestDriver(t *testing.T) {
	t.Chdir(filepath.Join("..", ".."))
	for _, tc := range []struct {
		reason string
		args   []string
		want   v1alpha1.PortalDriver
		fails  bool
	}{
		{"the portal of this repository is the default", nil, "", false},
		{"a SCIM target", []string{"-driver", "scim"}, v1alpha1.PortalDriverSCIM, false},
		{"the name has any case", []string{"--driver=SCIM"}, v1alpha1.PortalDriverSCIM, false},
		{"there is no such driver", []string{"-driver", "ldap"}, "", true},
	} {
		o, err := options(tc.args)
		if o.Driver != tc.want || (err != nil) != tc.fails {
			t.Errorf("%q: %s: %q, %v", tc.args, tc.reason, o.Driver, err)
		}
	}
}
