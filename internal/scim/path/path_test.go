// SPDX-License-Identifier: Apache-2.0

package path

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	oracle "github.com/scim2/filter-parser/v2"

	"lightrun.com/scim-operator/internal/scim"
	"lightrun.com/scim-operator/internal/scim/schema"
)

const ent = scim.SchemaEnterpriseUser

// TestParse is RFC 7644 §3.5.2: the grammar of a path, shown by how it is printed.
func TestParse(t *testing.T) {
	cases := map[string]struct{ in, want string }{
		"Attribute":     {`USERNAME`, `userName`},
		"Sub":           {`name.FamilyName`, `name.familyName`},
		"CoreURN":       {scim.SchemaUser + `:name.familyName`, `name.familyName`},
		"Extension":     {strings.ToLower(ent) + `:manager.$REF`, ent + `:manager.$ref`},
		"ExtensionURN":  {strings.ToLower(ent), ent},
		"CoreURNAlone":  {scim.SchemaUser, ``},
		"Filter":        {`Emails[TYPE eq "work"]`, `emails[TYPE eq "work"]`},
		"FilterSub":     {`emails[type eq "work" and not (primary eq true)].VALUE`, `emails[type eq "work" and not (primary eq true)].value`},
		"FilterURN":     {scim.SchemaUser + `:emails[type eq "work"].value`, `emails[type eq "work"].value`},
		"FilterBracket": {`emails[value eq "]."].display`, `emails[value eq "]."].display`},
		"Schemas":       {`schemas[value eq "x"]`, `schemas[value eq "x"]`},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			p, err := Parse(tc.in, schema.User())
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, p.String()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestParseRefuses(t *testing.T) {
	cases := map[string]struct {
		in   string
		kind scim.ErrorType
		says string
	}{
		"Empty":         {``, scim.InvalidPath, `"" is not an attribute name`},
		"Unknown":       {`nosuch`, scim.InvalidPath, `no attribute "nosuch"`},
		"UnknownSub":    {`name.nosuch`, scim.InvalidPath, `no sub-attribute "nosuch"`},
		"UnknownURN":    {`urn:x:y`, scim.InvalidPath, `no schema "urn:x"`},
		"TooDeep":       {`name.givenName.x`, scim.InvalidPath, "is not a sub-attribute name"},
		"Space":         {` title`, scim.InvalidPath, "is not an attribute name"},
		"LeadingColon":  {`:title`, scim.InvalidPath, "starts with a colon"},
		"Open":          {`emails[type eq "x"`, scim.InvalidFilter, "closing ] is missing"},
		"NoFilter":      {`emails[]`, scim.InvalidFilter, "an attribute name is missing"},
		"Rest":          {`emails[type eq "x"]x`, scim.InvalidPath, "after the closing ]"},
		"RestSub":       {`emails[type eq "x"].x`, scim.InvalidPath, "emails has no such sub-attribute"},
		"Twice":         {`emails[type eq "x"][type eq "x"]`, scim.InvalidPath, "after the closing ]"},
		"SubFilter":     {`name.givenName[x eq "y"]`, scim.InvalidPath, "can follow only a multi-valued"},
		"SingleFilter":  {`name[givenName eq "y"]`, scim.InvalidPath, "can follow only a multi-valued"},
		"URNFilter":     {ent + `[department eq "y"]`, scim.InvalidPath, "can follow only a multi-valued"},
		"FilterUnknown": {`emails[nosuch eq "y"]`, scim.InvalidFilter, "no sub-attribute"},
		"Nested":        {`emails[emails[type eq "x"]]`, scim.InvalidFilter, "brackets can't be nested"},
		"Long":          {strings.Repeat("x", MaxLength+1), scim.InvalidPath, "longer than 4096"},
		"Percent":       {`%d%s`, scim.InvalidPath, "is not an attribute name"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			p, err := Parse(tc.in, schema.User())
			var e *scim.Error
			if !errors.As(err, &e) || e.Status != 400 || e.Type != tc.kind || !strings.Contains(e.Detail, tc.says) {
				t.Errorf("got %v and error %v, want a 400 %s that says %q", p, err, tc.kind, tc.says)
			}
		})
	}
}

// FuzzAgainstFilterParser: what scim2/filter-parser and this package both read as a path, they read
// alike.
func FuzzAgainstFilterParser(f *testing.F) {
	for _, s := range seeds {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if len(s) > 200 {
			return // the oracle takes its time
		}
		p, err := Parse(s, schema.User())
		if err != nil || p.Attribute == nil {
			return
		}
		theirs, err := parseOracle(s)
		if err != nil {
			return
		}
		sub := theirs.SubAttributeName() + theirs.AttributePath.SubAttributeName()
		ours := ""
		if p.Sub != nil {
			ours = p.Sub.Name
		}
		if !strings.EqualFold(theirs.AttributePath.AttributeName, p.Attribute.Name) || !strings.EqualFold(sub, ours) || (theirs.ValueExpression != nil) != (p.Filter != nil) {
			t.Errorf("%q\nours:   %s\ntheirs: %s", s, p, theirs)
		}
	})
}

// parseOracle turns the oracle's panics into errors.
func parseOracle(s string) (p oracle.Path, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v", r)
		}
	}()
	return oracle.ParsePath([]byte(s))
}

var seeds = []string{
	"userName", "name.givenName", `emails[type eq "work"].value`, `emails[type eq "work" and value co "@"]`, ent, ent + ":manager.value",
	scim.SchemaUser + ":emails[primary eq true]", `members[value eq "x" or value eq "y"]`, `schemas[value pr]`, "emails[", "a]b",
}

// FuzzParse: a path that is read is printed so that it is read again to the same.
func FuzzParse(f *testing.F) {
	for _, s := range seeds {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, rt := range []*schema.ResourceType{schema.User(), schema.Group()} {
			p, err := Parse(s, rt)
			if err != nil || p.String() == "" || len(p.String()) > MaxLength {
				continue
			}
			again, err := Parse(p.String(), rt)
			if err != nil {
				t.Fatalf("%q prints as %q, which is refused: %v", s, p, err)
			}
			if again.String() != p.String() || again.Ref != p.Ref || (again.Filter == nil) != (p.Filter == nil) {
				t.Errorf("%q prints as %q, which reads as %q", s, p, again)
			}
		}
	})
}
