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

	"lightrun.com/scim-operator/test/framework/controlplane"
)

// TestPoliciesKnowEveryDecision compares the annotations that the API defines with the lists of the
// two policies: one lists who may decide, and the other refuses the webhook.
func TestPoliciesKnowEveryDecision(t *testing.T) {
	root := controlplane.Root()
	file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(root, "api", "v1alpha1", "conditions.go"), nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	// What a program writes, or what is written on the namespace.
	others := []string{"AnnotationDecidedBy", "AnnotationRestore", "AnnotationRequest", "AnnotationTrace"}
	var want []string
	ast.Inspect(file, func(n ast.Node) bool {
		if spec, ok := n.(*ast.ValueSpec); ok && len(spec.Values) == 1 && strings.HasPrefix(spec.Names[0].Name, "Annotation") && !slices.Contains(others, spec.Names[0].Name) {
			if literal, ok := spec.Values[0].(*ast.BasicLit); ok {
				value, err := strconv.Unquote(literal.Value)
				if err != nil {
					t.Fatal(err)
				}
				want = append(want, value)
			}
		}
		return true
	})
	if len(want) < 5 {
		t.Fatalf("found only %v", want)
	}
	slices.Sort(want)
	listed := regexp.MustCompile(`(?s)- name: decisions\s+expression: >-\s+\[(.*?)\]`)
	for _, policy := range []string{"annotations.yaml", "programs.yaml"} {
		data, err := os.ReadFile(filepath.Join(root, "config", "policy", policy))
		if err != nil {
			t.Fatal(err)
		}
		match := listed.FindSubmatch(data)
		if match == nil {
			t.Fatalf("%s has no list of decisions", policy)
		}
		var have []string
		for name := range strings.SplitSeq(string(match[1]), ",") {
			if name = strings.Trim(strings.TrimSpace(name), "'"); name != "iam.lightrun.com/decided-by" {
				have = append(have, name)
			}
		}
		slices.Sort(have)
		if !slices.Equal(have, want) {
			t.Errorf("%s lists %v, the API defines %v", policy, have, want)
		}
	}
}
