// SPDX-License-Identifier: Apache-2.0

package architecture

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestExportedNamesHaveComments: every exported name outside test/ has a comment of its own. The
// linter accepts one comment for a whole group of constants.
func TestExportedNamesHaveComments(t *testing.T) {
	root := filepath.Join("..", "..")
	names := 0
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && path != root && (strings.HasPrefix(entry.Name(), ".") || entry.Name() == "testdata" || path == filepath.Join(root, "test")):
			return filepath.SkipDir
		case entry.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go"):
			return nil
		}
		files := token.NewFileSet()
		file, err := parser.ParseFile(files, path, nil, parser.ParseComments)
		if err != nil || ast.IsGenerated(file) {
			return err
		}
		for name, commented := range exported(file) {
			names++
			if !commented {
				t.Errorf("%s: %s has no comment", files.Position(name.Pos()), name.Name)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if names < 500 {
		t.Errorf("only %d exported names were found", names)
	}
}

// exported are the exported names that a file declares, and whether each has a comment.
func exported(file *ast.File) map[*ast.Ident]bool {
	out := map[*ast.Ident]bool{}
	add := func(name *ast.Ident, comments ...*ast.CommentGroup) {
		if name.IsExported() {
			out[name] = slices.ContainsFunc(comments, func(c *ast.CommentGroup) bool { return c != nil })
		}
	}
	for _, d := range file.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			if d.Recv == nil || receiverExported(d.Recv.List[0].Type) {
				add(d.Name, d.Doc)
			}
		case *ast.GenDecl:
			alone := d.Doc
			if len(d.Specs) > 1 {
				alone = nil // it is about the group
			}
			for _, spec := range d.Specs {
				switch spec := spec.(type) {
				case *ast.TypeSpec:
					add(spec.Name, spec.Doc, alone)
				case *ast.ValueSpec:
					for _, name := range spec.Names {
						add(name, spec.Doc, spec.Comment, alone)
					}
				}
			}
		}
	}
	return out
}

// receiverExported reports whether the methods of a receiver's type are part of the documentation.
func receiverExported(t ast.Expr) bool {
	switch t := t.(type) {
	case *ast.StarExpr:
		return receiverExported(t.X)
	case *ast.IndexExpr:
		return receiverExported(t.X)
	case *ast.IndexListExpr:
		return receiverExported(t.X)
	case *ast.Ident:
		return t.IsExported()
	}
	return false
}
