// SPDX-License-Identifier: Apache-2.0

package version

import (
	"runtime/debug"
	"testing"
)

func TestDescribe(t *testing.T) {
	vcs := func(modified string) []debug.BuildSetting {
		return []debug.BuildSetting{{Key: "vcs.revision", Value: "1a2b3c4d5e6f7a8b9c0d"}, {Key: "vcs.modified", Value: modified}}
	}
	for name, tc := range map[string]struct {
		reason  string
		info    debug.BuildInfo
		stamped string
		want    string
	}{
		"Release": {"A tagged commit has its tag as version.", debug.BuildInfo{GoVersion: "go1.26.1", Main: debug.Module{Version: "v0.1.0"}, Settings: vcs("false")}, "", "v0.1.0 (1a2b3c4d5e6f, go1.26.1)"},
		"Dirty":   {"Uncommitted changes are shown.", debug.BuildInfo{GoVersion: "go1.26.1", Settings: vcs("true")}, "", "(devel) (1a2b3c4d5e6f+dirty, go1.26.1)"},
		"Image":   {"An image is built without the repository and has the stamped version.", debug.BuildInfo{GoVersion: "go1.26.1", Main: debug.Module{Version: "(devel)"}}, "v0.2.0", "v0.2.0 (go1.26.1)"},
		"NoVCS":   {"Without anything it is a development build.", debug.BuildInfo{GoVersion: "go1.26.1"}, "", "(devel) (go1.26.1)"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := describe(&tc.info, tc.stamped); got != tc.want {
				t.Errorf("%q, want %q: %s", got, tc.want, tc.reason)
			}
		})
	}
}
