// SPDX-License-Identifier: Apache-2.0

// Package version returns the version of the running program, from the information that the Go
// toolchain stores in it.
package version

import (
	"cmp"
	"runtime/debug"
	"strings"
)

// stamped is the version of a container image. The linker sets it, because an image is built
// without the repository.
var stamped string

// String returns the module's version, the commit and the Go version, such as "v0.1.0
// (1a2b3c4d5e6f, go1.26.1)". A commit that ends in "+dirty" was built with uncommitted changes.
func String() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return cmp.Or(stamped, "unknown")
	}
	return describe(info, stamped)
}

func describe(info *debug.BuildInfo, stamped string) string {
	settings := map[string]string{}
	for _, s := range info.Settings {
		settings[s.Key] = s.Value
	}
	version := cmp.Or(stamped, info.Main.Version, "(devel)")
	var details []string
	if commit := settings["vcs.revision"]; commit != "" {
		commit = commit[:min(12, len(commit))]
		if settings["vcs.modified"] == "true" {
			commit += "+dirty"
		}
		details = append(details, commit)
	}
	return version + " (" + strings.Join(append(details, info.GoVersion), ", ") + ")"
}
