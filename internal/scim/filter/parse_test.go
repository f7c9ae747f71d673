// SPDX-License-Identifier: Apache-2.0

package filter

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"lightrun.com/scim-operator/internal/scim"
)

var ignorePositions = cmpopts.IgnoreFields(Comparison{}, "Pos")
var ignoreElementPositions = cmpopts.IgnoreFields(ValuePath{}, "Pos")

// TestParse tests RFC 7644 §3.4.2.2 by printing the parsed filter.
func TestParse(t *testing.T) {
	cases := map[string]struct{ reason, in, want string }{
		"Equality":     {"The simplest filter.", `userName eq "bjensen"`, `userName eq "bjensen"`},
		"CaseBlind":    {"Operators and keywords are read in any case.", `userName Eq "a" AND NOT (title PR)`, `userName eq "a" and not (title pr)`},
		"Precedence":   {"and binds tighter than or.", `a eq 1 or b eq 2 and c eq 3`, `a eq 1 or b eq 2 and c eq 3`},
		"Grouping":     {"Necessary parentheses stay.", `(a eq 1 or b eq 2) and c eq 3`, `(a eq 1 or b eq 2) and c eq 3`},
		"Redundant":    {"Redundant parentheses are removed.", `((a eq 1) and (b eq 2))`, `a eq 1 and b eq 2`},
		"NotTight":     {"not needs no space before its parenthesis.", `not(a pr)`, `not (a pr)`},
		"ValuePath":    {"Conditions on one element.", `emails[type eq "work" and value co "@x"]`, `emails[type eq "work" and value co "@x"]`},
		"EntraMail":    {"Entra ID's matching attribute.", `emails[type eq "work"].value eq "x"`, `emails[type eq "work"].value eq "x"`},
		"URN":          {"A name qualified by its schema.", `urn:ietf:params:scim:schemas:core:2.0:User:name.familyName sw "J"`, `urn:ietf:params:scim:schemas:core:2.0:User:name.familyName sw "J"`},
		"Reference":    {"$ref is a name.", `manager.$ref pr`, `manager.$ref pr`},
		"Escapes":      {"Strings are JSON's.", `a eq "q\"b\\s\u0041\ud83d\ude00\n"`, `a eq "q\"b\\sA😀\u000a"`},
		"Numbers":      {"Numbers are JSON's; a fraction stays one.", `a eq -1 and b eq 2.50 and c eq 1e3 and d eq 2.0`, `a eq -1 and b eq 2.5 and c eq 1000.0 and d eq 2.0`},
		"Literals":     {"true, false, null.", `a eq true and b eq False and c ne null`, `a eq true and b eq false and c ne null`},
		"Spaces":       {"More white space than needed.", "  a   eq\t1  ", `a eq 1`},
		"NamedAnd":     {"An attribute may be named like a keyword.", `not eq 1`, `not eq 1`},
		"BracketInTxt": {"Brackets in strings are text.", `a[b eq "]"].c eq "["`, `a[b eq "]"].c eq "["`},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			n, err := Parse(tc.in)
			if err != nil {
				t.Fatalf("%s Parse: %v", tc.reason, err)
			}
			if diff := cmp.Diff(tc.want, n.String()); diff != "" {
				t.Errorf("%s\n%s", tc.reason, diff)
			}
		})
	}
}

func TestParseRefuses(t *testing.T) {
	cases := map[string]struct{ in, says string }{
		"Empty":         {``, "position 1: an attribute name is missing"},
		"NoOperator":    {`userName`, "an operator is missing"},
		"BadOperator":   {`userName is "x"`, "position 10: an operator is missing"},
		"NoValue":       {`userName eq`, "a value are missing after eq"},
		"NoValueSpace":  {`userName eq `, "a value is missing"},
		"Unquoted":      {`userName eq bjensen`, "put text in double quotes"},
		"SingleQuotes":  {`userName eq 'bjensen'`, "put text in double quotes"},
		"OpenString":    {`userName eq "x`, "not closed"},
		"BadEscape":     {`userName eq "\x"`, "escape"},
		"LoneSurrogate": {`userName eq "\ud800"`, "escape"},
		"OpenGroup":     {`(userName pr`, "closing ) is missing"},
		"StrayGroup":    {`userName pr)`, `")" is not expected`},
		"OpenBracket":   {`emails[type eq "x"`, "closing ] is missing"},
		"Nested":        {`a[b[c pr]]`, "brackets can't be nested"},
		"SubBracket":    {`a.b[c pr]`, "can't follow a sub-attribute"},
		"Dangling":      {`a pr and`, "an attribute name is missing"},
		"Juxtaposed":    {`a pr b pr`, "is not expected here"},
		"BadName":       {`1a eq 1`, `"1a" is not an attribute name`},
		"LeadingZero":   {`a eq 01`, "a value is missing"},
		"Huge":          {`a eq 1e999`, "a value is missing"},
		"BadUTF8":       {"a eq \"\xff\"", "not valid UTF-8"},
		"Long":          {`a eq "` + strings.Repeat("x", MaxLength) + `"`, "longer than 4096 bytes"},
		"Terms":         {strings.Repeat("a pr or ", MaxTerms) + "a pr", "more than 100 comparisons"},
		"Deep":          {strings.Repeat("(", MaxDepth+1) + "a pr" + strings.Repeat(")", MaxDepth+1), "deeper than 20 levels"},
		"DeepNot":       {strings.Repeat("not (", MaxDepth+1) + "a pr" + strings.Repeat(")", MaxDepth+1), "deeper than 20 levels"},
		"Percent":       {`%s%d eq 1`, "is not an attribute name"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			n, err := Parse(tc.in)
			wantFilterError(t, n, err, tc.says)
		})
	}
}

func wantFilterError(t *testing.T, got any, err error, says string) {
	t.Helper()
	var e *scim.Error
	if !errors.As(err, &e) {
		t.Fatalf("got %v and error %v, want a *scim.Error", got, err)
	}
	if e.Status != 400 || e.Type != scim.InvalidFilter || !strings.Contains(e.Detail, says) {
		t.Errorf("got %v, want a 400 invalidFilter that says %q", e, says)
	}
}

// FuzzParse: printing a parsed filter and parsing it again gives the same tree, without a panic.
func FuzzParse(f *testing.F) {
	for _, s := range seeds {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		n, err := Parse(s)
		if err != nil {
			return
		}
		again, err := Parse(n.String())
		if err != nil {
			if len(n.String()) > MaxLength {
				return // printing can lengthen escapes
			}
			t.Fatalf("Parse(%q) prints %q, which is refused: %v", s, n.String(), err)
		}
		if diff := cmp.Diff(n, again, ignorePositions, ignoreElementPositions); diff != "" {
			t.Errorf("Parse(%q) prints %q, which reads differently:\n%s", s, n.String(), diff)
		}
	})
}

var seeds = []string{
	`userName eq "bjensen"`,
	`name.familyName co "O'Malley"`,
	`urn:ietf:params:scim:schemas:core:2.0:User:userName sw "J"`,
	`title pr and userType eq "Employee"`,
	`meta.lastModified gt "2011-05-13T04:42:34Z"`,
	`userType ne "Employee" and not (emails co "example.com" or emails.value co "example.org")`,
	`emails[type eq "work" and value co "@example.com"] or ims[type eq "xmpp" and value co "@foo.com"]`,
	`emails[type eq "work"].value eq "x"`,
	`active eq "True" or active eq false`,
	`urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager.value eq "a\u0000\"b"`,
	`a eq 1.0e-3 or b eq -0`,
	`schemas eq "urn:x"`,
}
