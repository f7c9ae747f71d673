// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestCheck(t *testing.T) {
	const (
		nobody  = `"nobody": write the user, the client, who, that, no user, none`
		bears   = `"bears": write has, had`
		told    = `"told": write reported, notified, or: X says`
		news    = `"news": write changes, the change feed`
		inForce = `"in force": write valid, takes effect, has`
		ours    = `"of ours": write that this operator manages, that this process wrote`
		says    = `"says whether": write reports whether, is true if`
		none    = `"nil: none": write nil if there is none`
		many    = `"is how many": write is the number of, is the time for which; a function returns it`
	)
	long := "// " + strings.Repeat("word ", 20) + "end" // 106 columns
	for _, tc := range []struct {
		reason, file, text string
		want               []string // without the file
	}{
		{"A text without refused words has no finding.", "a.md", "The user has two roles.", nil},
		{"A refused word is found in upper and in lower case.", "a.md", "Nobody has it.\nIt has nobody.", []string{"1:1: " + nobody, "2:8: " + nobody}},
		{"Two refused words in one line are two findings.", "a.md", "Nobody bears it.", []string{"1:1: " + nobody, "1:8: " + bears}},
		{"The same refused word twice in one line is two findings.", "a.md", "No news is good news.", []string{"1:4: " + news, "1:17: " + news}},
		{"A refused word inside a longer word passes.", "a.md", "The bearer's newsletter withstands it.", nil},
		{"An identifier is split into its words; the column is that of the word in the line.", "a.go", "func wasItToldOnce() {}", []string{"1:11: " + told}},
		{"An identifier is split after an acronym.", "a.go", "func SCIMNews() {}", []string{"1:10: " + news}},
		{"An identifier is split after a digit.", "a.go", "func v2News() {}", []string{"1:8: " + news}},
		{"A name in upper case is one word.", "a.go", "const NEWS = 1", []string{"1:7: " + news}},
		{"The column counts characters, not bytes.", "a.md", "„ok“ – nobody", []string{"1:8: " + nobody}},
		{"A comment in Go has at most 100 columns.", "a.go", long, []string{"1:1: the comment has 106 columns, 100 at most"}},
		{"A tab before a comment counts as four columns.", "a.go", "\t\t" + long[:96], []string{"1:3: the comment has 104 columns, 100 at most"}},
		{"A line of a Markdown file may be longer than 100 columns.", "a.md", long, nil},
		{"Go code may be wider than 100 columns: gofmt does not wrap it.", "a.go", "x := `" + long + "`", nil},
		{"A line of a string that looks like a comment may be wider than 100 columns.", "a.go", "x := `\n" + long + "\n`", nil},
		{"A comment without a space, such as an address, cannot be wrapped.", "a.go", "// https://example.com/" + strings.Repeat("a", 100), nil},
		{"A word that is refused in comments is found in a comment.", "a.go", "package a\n\n// The slice in force is the newest.", []string{"3:14: " + inForce}},
		{"Two such words in one comment are two findings.", "a.go", "// A pool of ours says whether it is deleted.", []string{"1:11: " + ours, "1:19: " + says}},
		{"Such a word is found in a comment after code.", "a.go", "x int // nil: none", []string{"1:10: " + none}},
		{"A comment that says when the value is nil passes.", "a.go", "x int // nil if there is none", nil},
		{"A comment that describes a number by how many is refused.", "a.go", "// n is how many users there are.", []string{"1:6: " + many}},
		{"A comment may name a function whose name has a word that is refused in comments.", "a.go", "// It is the rule of groupslice.InForce.", nil},
		{"A Markdown file may have a word that is refused in comments.", "a.md", "The slice in force.", nil},
		{"A string may have a word that is refused in comments.", "a.go", `t.Errorf("the roles are in force: %v", roles)`, nil},
		{"An address in a string is not a comment.", "a.go", `x := "https://example.com/in force"`, nil},
		{"Two slashes in a string do not start a comment.", "a.go", `x := "a // b in force"`, nil},
	} {
		t.Run(tc.reason, func(t *testing.T) {
			var got []string
			for _, f := range check(tc.file, tc.text, refused(), refusedInComments()) {
				got = append(got, strings.TrimPrefix(f.String(), tc.file+":"))
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("%s\n%q (-want +got):\n%s", tc.reason, tc.text, diff)
			}
		})
	}
}
