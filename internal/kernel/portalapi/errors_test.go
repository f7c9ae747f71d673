// SPDX-License-Identifier: Apache-2.0

package portalapi

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"strconv"
	"strings"
	"testing"
)

func TestEveryCodeHasARemedy(t *testing.T) {
	page, err := os.ReadFile("../../../docs/reference/errors.md")
	if err != nil {
		t.Fatal(err)
	}
	file, err := parser.ParseFile(token.NewFileSet(), "errors.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	ast.Inspect(file, func(n ast.Node) bool {
		v, ok := n.(*ast.ValueSpec)
		if !ok || !strings.HasPrefix(v.Names[0].Name, "Code") {
			return true
		}
		code, err := strconv.Unquote(v.Values[0].(*ast.BasicLit).Value)
		if err != nil {
			t.Fatal(err)
		}
		found++
		if !strings.Contains(string(page), "| `"+code+"` |") {
			t.Errorf("docs/reference/errors.md does not explain %s", code)
		}
		return true
	})
	if found == 0 {
		t.Error("no code was found in errors.go")
	}
}

func TestCodeOf(t *testing.T) {
	if got := CodeOf(fmt.Errorf("put account: %w", &Error{Status: 409, Code: CodeLastManager})); got != CodeLastManager {
		t.Errorf("got %q through a wrapped error", got)
	}
	if got := CodeOf(errors.New("connection refused")); got != "" {
		t.Errorf("a transport error has no code, got %q", got)
	}
}

func TestFailure(t *testing.T) {
	for name, tc := range map[string]struct {
		reason string
		err    error
		failed bool
	}{
		"None":        {"The call was carried out.", nil, false},
		"Refusal":     {"The portal decided.", &Error{Status: 409, Code: CodeStaleRevision}, false},
		"Fault":       {"The portal could not decide.", &Error{Status: 500, Code: CodeInternal}, true},
		"Pause":       {"The portal asks for a pause.", &Error{Status: 429, Code: CodeRateLimited}, true},
		"Unsupported": {"A driver that cannot do this never will.", &Error{Status: 501, Code: CodeUnsupported}, false},
		"Page":        {"The response is not the portal's.", &InvalidResponseError{Status: 200}, true},
		"Transport":   {"There was no response.", errors.New("connection refused"), true},
	} {
		t.Run(name, func(t *testing.T) {
			if _, failed := Failure(tc.err); failed != tc.failed {
				t.Errorf("failed is %t: %s", failed, tc.reason)
			}
		})
	}
}
