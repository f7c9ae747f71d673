// SPDX-License-Identifier: Apache-2.0

package apitest

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/test/framework/controlplane"
)

func TestMain(m *testing.M) { controlplane.Main(m) }

// entry is one object of the corpus, with the contents of its comment.
type entry struct {
	name    string // file and position
	reason  string
	refused string // a part of the refusal's message; empty if the object must be accepted
	object  *unstructured.Unstructured
}

func TestCorpus(t *testing.T) {
	cp := controlplane.Get(t)
	namespace := namespaceOf(t, cp)
	for _, e := range append(read(t, "accepted"), read(t, "refused")...) {
		t.Run(e.name, func(t *testing.T) {
			t.Parallel()
			e.object.SetNamespace(namespace)
			err := cp.Client.Create(t.Context(), e.object, client.DryRunAll, client.FieldValidation("Strict"))
			switch {
			case e.refused == "" && err != nil:
				t.Errorf("refused, must be accepted: %v\n%s", err, e.reason)
			case e.refused != "" && err == nil:
				t.Errorf("accepted, must be refused with %q\n%s", e.refused, e.reason)
			case e.refused != "" && !strings.Contains(err.Error(), e.refused):
				t.Errorf("refused with\n  %v\nmust say\n  %s\n%s", err, e.refused, e.reason)
			}
		})
	}
}

// TestBounds shows that a list or a string at its limit is accepted and a longer one is refused.
func TestBounds(t *testing.T) {
	cp := controlplane.Get(t)
	namespace := namespaceOf(t, cp)
	user := func(field string, value any) map[string]any {
		return map[string]any{"userName": "ada", field: value}
	}
	tests := map[string]struct {
		kind, name string
		spec       func(n int) map[string]any
		limit      int
		refused    string
	}{
		"user name": {kind: "ScimUser", limit: 256, refused: "spec.userName: Too long",
			spec: func(n int) map[string]any { return map[string]any{"userName": strings.Repeat("a", n)} }},
		"e-mail addresses": {kind: "ScimUser", limit: 20, refused: "spec.emails: Too many",
			spec: func(n int) map[string]any {
				return user("emails", repeated(n, map[string]any{"value": "a@example.test"}))
			}},
		"display name": {kind: "ScimUser", limit: 256, refused: "spec.displayName: Too long",
			spec: func(n int) map[string]any { return user("displayName", strings.Repeat("é", n)) }},
		"certificates": {kind: "ScimUser", limit: 5, refused: "spec.x509Certificates: Too many",
			spec: func(n int) map[string]any {
				return user("x509Certificates", repeated(n, map[string]any{"value": "MIIB"}))
			}},
		"members of a pool": {kind: "AgentPool", name: "p", limit: 1000, refused: "spec.members: Too many",
			spec: func(n int) map[string]any { return map[string]any{"members": userNames(n)} }},
		"groups of a pool": {kind: "AgentPool", name: "p", limit: 64, refused: "spec.groups: Too many",
			spec: func(n int) map[string]any {
				return map[string]any{"groups": repeated(n, map[string]any{"displayName": "g"})}
			}},
		"members of a slice": {kind: "ScimGroupSlice", name: "00000000-0000-4000-8000-000000000001-0000", limit: v1alpha1.SliceMax, refused: "spec.members: Too long",
			spec: func(n int) map[string]any {
				return map[string]any{"bits": int64(0), "epoch": int64(0), "round": int64(0), "revision": int64(0),
					"members": strings.Repeat("00000000-0000-4000-8000-000000000001\n", n)}
			}},
		"changes of a slice": {kind: "ScimGroupSlice", name: "00000000-0000-4000-8000-000000000001-0000", limit: v1alpha1.SliceMax, refused: "spec.changes: Too many",
			spec: func(n int) map[string]any {
				changes := map[string]any{}
				for i := range n {
					changes[fmt.Sprint(i)] = true
				}
				return map[string]any{"bits": int64(0), "epoch": int64(0), "round": int64(0), "revision": int64(0), "changes": changes}
			}},
		"filter": {kind: "AgentPool", name: "p", limit: 4096, refused: "spec.memberFilter: Too long",
			spec: func(n int) map[string]any { return map[string]any{"memberFilter": strings.Repeat("a", n)} }},
		"name of a pool's group": {kind: "AgentPool", name: "p", limit: 256, refused: "spec.groups[0].displayName: Too long",
			spec: func(n int) map[string]any {
				return map[string]any{"groups": []any{map[string]any{"displayName": strings.Repeat("a", n)}}}
			}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			try := func(n int) error {
				u := &unstructured.Unstructured{Object: map[string]any{"spec": tt.spec(n)}}
				u.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind(tt.kind))
				u.SetNamespace(namespace)
				if u.SetName(tt.name); tt.name == "" {
					u.SetName("00000000-0000-4000-8000-000000000001")
				}
				return cp.Client.Create(t.Context(), u, client.DryRunAll)
			}
			if err := try(tt.limit); err != nil {
				t.Errorf("%d must be accepted: %v", tt.limit, err)
			}
			if err := try(tt.limit + 1); err == nil || !strings.Contains(err.Error(), tt.refused) {
				t.Errorf("%d must be refused with %q, got: %v", tt.limit+1, tt.refused, err)
			}
		})
	}
}

func userNames(n int) []any {
	out := make([]any, n)
	for i := range out {
		out[i] = map[string]any{"userName": fmt.Sprint("u", i)}
	}
	return out
}

func repeated(n int, value any) []any {
	out := make([]any, n)
	for i := range out {
		out[i] = value
	}
	return out
}

// read returns all objects in testdata/<folder>.
func read(t *testing.T, folder string) []entry {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("testdata", folder, "*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no corpus in %s: %v", folder, err)
	}
	var out []entry
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, part := range strings.Split(string(text), "\n---\n") {
			out = append(out, parse(t, folder, file, part))
		}
	}
	return out
}

func parse(t *testing.T, folder, file, text string) entry {
	t.Helper()
	e := entry{reason: comment(text, "reason"), refused: comment(text, "refused"), object: &unstructured.Unstructured{}}
	e.name = folder + "/" + strings.TrimSuffix(filepath.Base(file), ".yaml") + "/" + e.reason
	if err := yaml.Unmarshal([]byte(text), &e.object.Object); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	if e.reason == "" || (folder == "refused") != (e.refused != "") {
		t.Fatalf("%s: every object needs a reason, and in refused/ a part of the refusal's message:\n%s", file, text)
	}
	return e
}

func comment(text, key string) string {
	found := regexp.MustCompile(`(?m)^# ` + key + `: (.*)$`).FindStringSubmatch(text)
	if found == nil {
		return ""
	}
	return found[1]
}
