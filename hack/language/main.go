// SPDX-License-Identifier: Apache-2.0

// Command language refuses words that this house does not use, and comments in Go that are wider
// than 100 columns. It reads every file that Git tracks, or those that are named, and prints where
// they are and what to write instead.
package main

import (
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"unicode/utf8"
)

// maxColumns is how wide a comment in Go may be; a tab counts as four columns.
const maxColumns = 100

// word is what is refused, and what to write instead.
type word struct {
	pattern *regexp.Regexp
	instead string
}

// refused is matched against a line in lower case whose identifiers are split into words:
// sortByName is "sort by name".
func refused() []word {
	return words([][2]string{
		{`bears?|bore|borne`, `has, had`},
		{`told`, `reported, notified, or: X says`},
		{`tells? of|telling of`, `reports, names`},
		{`somebody|whoever|nobody|anybody`, `the user, the client, who, that, no user, none`},
		{`whom`, `the users that …`},
		{`anew`, `again`},
		{`mend(s|ed|ing)?`, `fix`},
		{`gives? free|giving free`, `release`},
		{`nought`, `zero`},
		{`as ever`, `as before, or nothing`},
		{`stands`, `is, remains`},
		{`by turns`, `alternately`},
		{`go(es)? on with|going on with`, `continue`},
		{`abreast`, `synced, up to date`},
		{`it must be looked`, `read it live, check`},
		{`as (it|they) should be`, `met, as declared, in the desired state`},
		{`roster`, `user index`},
		{`tally`, `counter`},
		{`news`, `changes, the change feed`},
		{`picture`, `snapshot`},
	})
}

// refusedInComments is matched against Go's comments in lower case. Their identifiers stay as they
// are: the comment may name a function InForce.
func refusedInComments() []word {
	return words([][2]string{
		{`of ours`, `that this operator manages, that this process wrote`},
		{`in force`, `valid, takes effect, has`},
		{`says (whether|if)`, `reports whether, is true if`},
		{`(is|are) how (many|much|long|often|far)`, `is the number of, is the time for which; a function returns it`},
		{`(nil|0|zero|empty|""):? (for )?none`, `nil if there is none`},
	})
}

func words(list [][2]string) []word {
	out := make([]word, len(list))
	for i, w := range list {
		out[i] = word{regexp.MustCompile(`(?:^|\b)(` + w[0] + `)\b`), w[1]}
	}
	return out
}

// skipped are files that list the words, that others wrote or that a program writes.
var skipped = regexp.MustCompile(`^hack/language/|(^|/)testdata/|(^|/)zz_generated|^LICENSE$|\.(sum|svg|png)$`)

var (
	lowerUpper = regexp.MustCompile(`([a-z0-9])([A-Z])`)
	comment    = regexp.MustCompile(`^\s*// [^+]`)
	// anyComment finds the text of a comment, also after code. It takes no address for a comment.
	anyComment = regexp.MustCompile(`(?:^|\s)// (.*)$`)
)

// finding is one thing to change.
type finding struct {
	file         string
	line, column int
	message      string
}

func (f finding) String() string {
	return fmt.Sprintf("%s:%d:%d: %s", f.file, f.line, f.column, f.message)
}

// check returns what to change in a file.
func check(file, text string, everywhere, inComments []word) []finding {
	var out []finding
	match := func(text string, line, offset int, words []word) {
		for _, w := range words {
			if at := w.pattern.FindStringIndex(text); at != nil {
				out = append(out, finding{file, line, offset + at[0] + 1, fmt.Sprintf("%q: write %s", text[at[0]:at[1]], w.instead)})
			}
		}
	}
	isGo := strings.HasSuffix(file, ".go")
	for i, line := range strings.Split(text, "\n") {
		match(strings.ToLower(lowerUpper.ReplaceAllString(line, "$1 $2")), i+1, 0, everywhere)
		if at := anyComment.FindStringSubmatchIndex(line); isGo && at != nil {
			match(strings.ToLower(line[at[2]:]), i+1, at[2], inComments)
		}
		if isGo && comment.MatchString(line) {
			if n := utf8.RuneCountInString(strings.ReplaceAll(line, "\t", "    ")); n > maxColumns && strings.Contains(strings.TrimSpace(line[strings.Index(line, "//")+2:]), " ") {
				out = append(out, finding{file, i + 1, maxColumns + 1, fmt.Sprintf("the comment has %d columns, %d at most", n, maxColumns)})
			}
		}
	}
	return out
}

func main() {
	files := os.Args[1:]
	if len(files) == 0 || len(files) == 1 && isFolder(files[0]) {
		list, err := exec.Command("git", append([]string{"ls-files"}, files...)...).Output()
		if err != nil {
			fmt.Fprintln(os.Stderr, "language: list the files that Git tracks:", err)
			os.Exit(2)
		}
		files = strings.Fields(string(list))
	}
	everywhere, inComments, found := refused(), refusedInComments(), 0
	for _, file := range files {
		if skipped.MatchString(file) {
			continue
		}
		text, err := os.ReadFile(file)
		if err != nil {
			if os.IsNotExist(err) {
				continue // deleted and not committed
			}
			fmt.Fprintln(os.Stderr, "language:", err)
			os.Exit(2)
		}
		for _, f := range check(file, string(text), everywhere, inComments) {
			fmt.Println(f)
			found++
		}
	}
	if found > 0 {
		fmt.Fprintf(os.Stderr, "language: %d finding(s)\n", found)
		os.Exit(1)
	}
}

func isFolder(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}
