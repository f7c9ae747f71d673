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
		{"A house word in a comment is refused.", "a.go", "// The slice in force is the newest.", 1},
		{"Two of them are two findings.", "a.go", "// A pool of ours says whether it is deleted.", 2},
		{"A comment after code is one too.", "a.go", "x int // nil: none", 1},
		{"Whole clauses pass.", "a.go", "x int // nil if there is none", 0},
		{"A number is not described by how many.", "a.go", "// n is how many users there are.", 1},
		{"The name of a function passes.", "a.go", "// It is the rule of groupslice.InForce.", 0},
		{"House words are refused in Go's comments only.", "a.md", "The slice in force.", 0},
		{"Code and texts pass.", "a.go", `t.Errorf("the roles are in force: %v", roles)`, 0},
		{"An address in a text is no comment.", "a.go", `x := "https://example.com/in force"`, 0},
	} {
		t.Run(tc.reason, func(t *testing.T) {
			if got := check(tc.file, tc.text, refused(), refusedInComments()); len(got) != tc.want {
				t.Errorf("%q: %v, want %d finding(s)", tc.text, got, tc.want)
			}
		})
	}
}
