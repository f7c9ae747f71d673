// SPDX-License-Identifier: Apache-2.0

package apitest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/test/framework/controlplane"
)

// notDecisions are the annotations of the API that are no decision. AnnotationDecidedBy is written
// together with a decision, AnnotationRestore is on the namespace, and programs write the others.
var notDecisions = []string{"AnnotationDecidedBy", "AnnotationRestore", "AnnotationRequest", "AnnotationTrace"}

// TestPoliciesListEveryDecision compares the annotations that the API defines with the lists of the
// two policies: annotations.yaml requires the verb decide for a decision, and programs.yaml refuses
// decisions of the webhook. The webhook may not sign a decision either, so that list also has
// decided-by; in annotations.yaml, decided-by has rules of its own.
func TestPoliciesListEveryDecision(t *testing.T) {
	root := controlplane.Root()
	decisions := definedDecisions(t, filepath.Join(root, "api", "v1alpha1", "conditions.go"))
	if len(decisions) < 5 {
		t.Fatalf("found only %v, want at least 5 decisions", decisions)
	}
	list := regexp.MustCompile(`(?s)- name: decisions\s+expression: >-\s+\[(.*?)\]`)
	for policy, want := range map[string][]string{
		"annotations.yaml": decisions,
		"programs.yaml":    append([]string{v1alpha1.AnnotationDecidedBy}, decisions...),
	} {
		data, err := os.ReadFile(filepath.Join(root, "config", "policy", policy))
		if err != nil {
			t.Fatal(err)
		}
		match := list.FindSubmatch(data)
		if match == nil {
			t.Fatalf("%s has no list of decisions", policy)
		}
		var got []string
		for name := range strings.SplitSeq(string(match[1]), ",") {
			got = append(got, strings.Trim(strings.TrimSpace(name), "'"))
		}
		if slices.Sort(got); !slices.Equal(got, slices.Sorted(slices.Values(want))) {
			t.Errorf("%s lists %v, want %v", policy, got, want)
		}
	}
}

// definedDecisions returns the decisions among the annotations that a Go file defines.
func definedDecisions(t *testing.T, path string) []string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || len(spec.Values) != 1 || !strings.HasPrefix(spec.Names[0].Name, "Annotation") || slices.Contains(notDecisions, spec.Names[0].Name) {
			return true
		}
		if literal, ok := spec.Values[0].(*ast.BasicLit); ok {
			value, err := strconv.Unquote(literal.Value)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, value)
		}
		return true
	})
	return all
}
