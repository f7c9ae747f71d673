// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strings"
	"testing"
)

func TestCheck(t *testing.T) {
	long := "// " + "a word and another word, again and again, until the line is wider than a reader wants it to be, and on"
	for _, tc := range []struct {
		reason, file, text string
		want               int
	}{
		{"Plain English passes.", "a.md", "The user has two roles.", 0},
		{"A refused word is found in any case.", "a.md", "Nobody has it.", 1},
		{"Two refused words on a line are two findings.", "a.md", "Nobody bears it.", 2},
		{"A part of another word passes.", "a.md", "The bearer's newsletter withstands it.", 0},
		{"An identifier is split into its words.", "a.go", "func wasToldOnce() {}", 1},
		{"An upper-case name is one word.", "a.go", "const NEWS = 1", 1},
		{"A wide comment in Go is refused.", "a.go", long, 1},
		{"An indented one counts its tabs as four columns.", "a.go", "\t\t" + long[:96], 1},
		{"Only Go's comments have a width.", "a.md", long, 0},
		{"Wide code passes: gofmt does not wrap it.", "a.go", "x := `" + long + "`", 0},
		{"A long address without a space can't be wrapped.", "a.go", "// https://example.com/" + strings.Repeat("a", 100), 0},
	} {
		t.Run(tc.reason, func(t *testing.T) {
			if got := check(tc.file, tc.text, refused()); len(got) != tc.want {
				t.Errorf("%q: %v, want %d finding(s)", tc.text, got, tc.want)
			}
		})
	}
}
