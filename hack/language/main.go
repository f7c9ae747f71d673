// SPDX-License-Identifier: Apache-2.0

// Command language refuses words that this house does not use, and comments in Go that are wider
// than 100 columns. It reads every file that Git tracks, or those that are named, and prints where
// they are and what to write instead.
package main

import (
	"cmp"
	"fmt"
	"go/scanner"
	"go/token"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxColumns is the maximum width of a comment in Go.
const maxColumns = 100

// word is a refused word, and what to write instead.
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

// finding is one thing to change.
type finding struct {
	file         string
	line, column int // both from 1; the column counts characters
	message      string
}

func (f finding) String() string {
	return fmt.Sprintf("%s:%d:%d: %s", f.file, f.line, f.column, f.message)
}

// check returns what to change in a file, in the order of the text.
func check(file, text string, everywhere, inComments []word) []finding {
	var found []finding
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		split, columns := splitWords(line)
		for _, m := range matches(split, everywhere) {
			found = append(found, finding{file, i + 1, columns[m.at], m.message})
		}
	}
	if strings.HasSuffix(file, ".go") {
		found = append(found, checkComments(file, text, lines, inComments)...)
	}
	slices.SortStableFunc(found, func(a, b finding) int {
		return cmp.Or(cmp.Compare(a.line, b.line), cmp.Compare(a.column, b.column))
	})
	return found
}

// checkComments returns what to change in the comments of a Go file.
func checkComments(file, text string, lines []string, words []word) (found []finding) {
	for _, c := range comments(text) {
		lower := strings.ToLower(c.text)
		for _, m := range matches(lower, words) {
			found = append(found, finding{file, c.line, c.column + utf8.RuneCountInString(lower[:m.at]), m.message})
		}
		if n := width(lines[c.line-1]); n > maxColumns && c.canWrap() {
			found = append(found, finding{file, c.line, c.column, fmt.Sprintf("the comment has %d columns, %d at most", n, maxColumns)})
		}
	}
	return found
}

// match is a refused word in a text.
type match struct {
	at      int // index of its first byte
	message string
}

func matches(text string, words []word) (all []match) {
	for _, w := range words {
		for _, at := range w.pattern.FindAllStringIndex(text, -1) {
			all = append(all, match{at[0], fmt.Sprintf("%q: write %s", text[at[0]:at[1]], w.instead)})
		}
	}
	return all
}

// splitWords returns a line in lower case with its identifiers split into words. For each byte of
// the result, columns has the column of its character in the line.
func splitWords(line string) (split string, columns []int) {
	var b strings.Builder
	runes := []rune(line)
	for i, r := range runes {
		if startsWord(runes, i) {
			b.WriteByte(' ')
			columns = append(columns, i+1)
		}
		n, _ := b.WriteRune(unicode.ToLower(r)) // never fails
		for range n {
			columns = append(columns, i+1)
		}
	}
	return b.String(), columns
}

// startsWord reports whether a second or later word of an identifier starts at i, as News does in
// sortNews and in SCIMNews.
func startsWord(runes []rune, i int) bool {
	if i == 0 || !unicode.IsUpper(runes[i]) {
		return false
	}
	before := runes[i-1]
	if unicode.IsUpper(before) {
		return i+1 < len(runes) && unicode.IsLower(runes[i+1])
	}
	return unicode.IsLower(before) || unicode.IsDigit(before)
}

// comment is one line of a comment that starts with "// ".
type comment struct {
	line, column int
	text         string // from the slashes
	afterCode    bool
}

// canWrap reports whether the comment can be wrapped: it has a space, is alone in its line, and is no
// marker such as +kubebuilder.
func (c comment) canWrap() bool {
	text := strings.TrimSpace(strings.TrimPrefix(c.text, "// "))
	return !c.afterCode && !strings.HasPrefix(text, "+") && strings.Contains(text, " ")
}

// comments returns the comments of a Go file, in order. Text in a string is none.
func comments(text string) (all []comment) {
	file := token.NewFileSet().AddFile("", -1, len(text))
	var s scanner.Scanner
	s.Init(file, []byte(text), nil, scanner.ScanComments)
	for {
		pos, tok, literal := s.Scan()
		switch {
		case tok == token.EOF:
			return all
		case tok == token.COMMENT && strings.HasPrefix(literal, "// "):
			start := file.Offset(pos)
			before := text[strings.LastIndexByte(text[:start], '\n')+1 : start]
			all = append(all, comment{
				line: file.PositionFor(pos, false).Line, column: 1 + utf8.RuneCountInString(before),
				text: literal, afterCode: strings.TrimSpace(before) != "",
			})
		}
	}
}

// width returns the number of columns of a line; a tab counts as four.
func width(line string) int {
	return utf8.RuneCountInString(strings.ReplaceAll(line, "\t", "    "))
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
