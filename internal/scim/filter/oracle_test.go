// SPDX-License-Identifier: Apache-2.0

package filter

import (
	"fmt"
	"strings"
	"testing"

	elimityfilter "github.com/elimity-com/scim/filter"
	elimity "github.com/elimity-com/scim/schema"
	oracle "github.com/scim2/filter-parser/v2"
	"pgregory.net/rapid"

	"lightrun.com/scim-operator/internal/scim"
	"lightrun.com/scim-operator/internal/scim/schema"
)

// FuzzAgainstFilterParser: what scim2/filter-parser and this package both read, they read alike.
func FuzzAgainstFilterParser(f *testing.F) {
	for _, s := range seeds {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if len(s) > 200 {
			return // the oracle takes its time
		}
		ours, err := Parse(s)
		if err != nil {
			return
		}
		theirs, err := parseOracle(s)
		if err != nil {
			return
		}
		if a, b := outline(ours), outlineOracle(theirs); a != b {
			t.Errorf("%q\nours:   %s\ntheirs: %s", s, a, b)
		}
	})
}

// parseOracle turns the oracle's panics into errors.
func parseOracle(s string) (e oracle.Expression, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v", r)
		}
	}()
	return oracle.ParseFilter([]byte(s))
}

// outline prints a tree so that groupings which mean the same look the same. Literals with escapes
// are left out, since the oracle does not decode them; so are numbers, which it rounds.
func outline(n Node) string {
	switch n := n.(type) {
	case *Comparison:
		return outlineComparison(n.Path.String(), string(n.Op), n.Value)
	case *ValuePath:
		return n.Path.String() + "[" + outline(n.Filter) + "]"
	case *Not:
		return "not(" + outline(n.Operand) + ")"
	case *And:
		return outlineAll("&", n.Operands)
	case *Or:
		return outlineAll("|", n.Operands)
	}
	return "?"
}

func outlineAll(sign string, nodes []Node) string {
	parts := make([]string, len(nodes))
	for i, n := range nodes {
		parts[i] = join(sign, outline(n))
	}
	return sign + "{" + strings.Join(parts, sign) + "}"
}

// join takes the braces off a part that is of the same kind as the whole.
func join(sign, part string) string {
	if inner, ok := strings.CutPrefix(part, sign+"{"); ok {
		return strings.TrimSuffix(inner, "}")
	}
	return part
}

func outlineComparison(path, op string, v any) string {
	text := fmt.Sprint(v)
	switch v := v.(type) {
	case string:
		text = fmt.Sprintf("%q", v)
		if strings.ContainsAny(text, `\`) || strings.Contains(text, "\"") && len(text) < 2 {
			text = "…"
		}
	case int, int64, float64:
		text = "number"
	}
	return path + " " + strings.ToLower(op) + " " + text
}

func outlineOracle(e oracle.Expression) string {
	switch e := e.(type) {
	case *oracle.AttributeExpression:
		return outlineComparison(e.AttributePath.String(), string(e.Operator), e.CompareValue)
	case *oracle.ValuePath:
		return e.AttributePath.String() + "[" + outlineOracle(e.ValueFilter) + "]"
	case *oracle.NotExpression:
		return "not(" + outlineOracle(e.Expression) + ")"
	case *oracle.LogicalExpression:
		sign := "&"
		if e.Operator == oracle.OR {
			sign = "|"
		}
		return sign + "{" + join(sign, outlineOracle(e.Left)) + sign + join(sign, outlineOracle(e.Right)) + "}"
	}
	return "?"
}

// TestAgainstElimity: filters over attributes that are there match the same people as in
// elimity-com/scim.
func TestAgainstElimity(t *testing.T) {
	people := []scim.Object{ada(), {
		"userName": "bob", "displayName": "", "title": "engineer", "active": false,
		"emails": []any{scim.Object{"type": "work", "value": "bob@example.test"}},
	}, {
		"userName": "Zoe", "title": "Director", "active": true,
		"emails": []any{scim.Object{"type": "home", "value": "ada@example.test"}, scim.Object{"type": "work", "value": "z"}},
	}}
	rapid.Check(t, func(t *rapid.T) {
		text := anyFilter(2).Draw(t, "filter")
		ours, err := Compile(text, schema.User())
		if err != nil {
			t.Fatalf("Compile(%q): %v", text, err)
		}
		theirs, err := elimityfilter.NewValidator(text, elimity.CoreUserSchema(), elimity.ExtensionEnterpriseUser())
		if err != nil {
			t.Fatalf("the oracle does not read %q: %v", text, err)
		}
		for _, o := range people {
			if got, want := ours.Match(o), theirs.PassesFilter(o) == nil; got != want {
				t.Errorf("%s on %v: got %v, the oracle says %v", text, o["userName"], got, want)
			}
		}
	})
}

// anyFilter draws a filter in the part of the language on whose meaning the two agree.
func anyFilter(depth int) *rapid.Generator[string] {
	op := rapid.SampledFrom([]string{"eq", "ne", "co", "sw", "ew", "gt", "ge", "lt", "le"})
	word := rapid.SampledFrom([]string{"bob", "ADA@example.test", "ada", "engineer", "Director", "e", "work", "home", "z", "@"})
	comparison := rapid.Custom(func(t *rapid.T) string {
		name := rapid.SampledFrom([]string{"userName", "USERNAME", scim.SchemaUser + ":userName"}).Draw(t, "name")
		return fmt.Sprintf("%s %s %q", name, op.Draw(t, "op"), word.Draw(t, "word"))
	})
	boolean := rapid.Map(rapid.Bool(), func(b bool) string { return fmt.Sprintf("active eq %v", b) })
	element := rapid.Custom(func(t *rapid.T) string {
		return fmt.Sprintf("emails[type %s %q and value %s %q]", op.Draw(t, "op"), word.Draw(t, "word"), op.Draw(t, "op2"), word.Draw(t, "word2"))
	})
	present := rapid.SampledFrom([]string{"title pr", "name pr", "nickName pr"})
	leaf := rapid.OneOf(comparison, boolean, element, present)
	if depth == 0 {
		return leaf
	}
	inner := anyFilter(depth - 1)
	return rapid.OneOf(leaf, rapid.Custom(func(t *rapid.T) string {
		form := rapid.SampledFrom([]string{"%s and %s", "%s or %s", "(%s or %s) and active eq true", "not (%s) or %s"}).Draw(t, "form")
		return fmt.Sprintf(form, inner.Draw(t, "left"), inner.Draw(t, "right"))
	}))
}
