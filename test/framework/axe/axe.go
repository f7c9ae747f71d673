// SPDX-License-Identifier: Apache-2.0

// Package axe checks pages with axe-core: the rules of WCAG 2.2 and the best practices. `make
// test-programs` installs it; the tests never skip.
package axe

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"lightrun.com/scim-operator/test/framework/browser"
)

// Checks is the program that checks a page, as JavaScript.
type Checks struct{ script string }

// Load reads the program.
func Load(t testing.TB) Checks {
	t.Helper()
	_, file, _, _ := runtime.Caller(0)
	script, err := os.ReadFile(filepath.Join(filepath.Dir(file), "..", "..", "..", "bin", "axe", "node_modules", "axe-core", "axe.min.js"))
	if err != nil {
		t.Fatalf("axe-core is not installed; run make test-programs (%v)", err)
	}
	return Checks{string(script)}
}

// finding is a rule that elements of the page break.
type finding struct {
	ID    string
	Help  string
	Nodes []struct {
		HTML    string `json:"html"`
		Summary string `json:"failureSummary"`
	}
}

// Findings returns a line for each rule that the page breaks, as it is now. passed is the number of
// rules that the page passes: a page that was not checked passes none.
func (c Checks) Findings(p *browser.Page) (lines []string, passed int) {
	browser.Ask[bool](p, c.script+"; true")
	var result struct {
		Violations []finding
		Passes     []finding
	}
	text := browser.Await[string](p, `axe.run(document, {resultTypes: ["violations"], runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}).then(r => JSON.stringify({Violations: r.violations, Passes: r.passes}))`)
	if err := json.Unmarshal([]byte(text), &result); err != nil {
		return []string{"axe-core answers " + err.Error()}, 0
	}
	for _, f := range result.Violations {
		var places []string
		for _, n := range f.Nodes {
			places = append(places, fmt.Sprintf("%.120s (%s)", n.HTML, strings.Join(strings.Fields(n.Summary), " ")))
		}
		lines = append(lines, f.ID+": "+f.Help+": "+strings.Join(places, "; "))
	}
	return lines, len(result.Passes)
}
