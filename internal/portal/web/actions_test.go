// SPDX-License-Identifier: Apache-2.0

package web

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// TestEveryActionIsASentence reads the actions from the source of the store: each is shown in
// words, done and refused.
func TestEveryActionIsASentence(t *testing.T) {
	written := storeActions(t)
	if !written["user.adopt"] || !written["user.create"] || len(written) < 25 {
		t.Fatalf("the source has only the actions %v", written)
	}
	for action := range written {
		d, ok := deeds[action]
		if !ok || d.done == "" || d.tried == "" {
			t.Errorf("the audit shows the action %q without a sentence", action)
		}
	}
	for action := range deeds {
		if !written[action] {
			t.Errorf("no code writes the action %q, but it has a sentence", action)
		}
	}
}

// storeActions returns the actions in the store's source: the field action of an event, as a
// literal or assigned later, and the argument of changeOwn.
func storeActions(t *testing.T) map[string]bool {
	t.Helper()
	files, err := filepath.Glob("../store/*.go")
	if err != nil || len(files) == 0 {
		t.Fatalf("the store's source: %v, %v", files, err)
	}
	written := map[string]bool{}
	add := func(value ast.Expr) {
		if text, ok := value.(*ast.BasicLit); ok && text.Kind == token.STRING {
			action, err := strconv.Unquote(text.Value)
			if err != nil {
				t.Fatal(err)
			}
			written[action] = true
		}
	}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.KeyValueExpr:
				if key, ok := n.Key.(*ast.Ident); ok && key.Name == "action" {
					add(n.Value)
				}
			case *ast.CallExpr:
				if f, ok := n.Fun.(*ast.SelectorExpr); ok && f.Sel.Name == "changeOwn" {
					add(n.Args[2])
				}
			case *ast.AssignStmt:
				for i, to := range n.Lhs {
					if field, ok := to.(*ast.SelectorExpr); ok && field.Sel.Name == "action" && i < len(n.Rhs) {
						add(n.Rhs[i])
					}
				}
			}
			return true
		})
	}
	return written
}
