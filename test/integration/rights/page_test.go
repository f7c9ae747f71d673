// SPDX-License-Identifier: Apache-2.0

package rights

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/test/framework/controlplane"
)

// rightsDoc returns docs/operations/rights.md.
func rightsDoc(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(controlplane.Root(), "docs", "operations", "rights.md"))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestRightsDocRoles compares the document's table of roles with the roles.
func TestRightsDocRoles(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(controlplane.Root(), "config", "rbac", "cluster", "people.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, part := range strings.Split(string(text), "\n---\n") {
		var role rbacv1.ClusterRole
		if err := yaml.Unmarshal([]byte(part), &role); err != nil {
			t.Fatal(err)
		}
		for _, rule := range role.Rules {
			want = append(want, fmt.Sprintf("| `%s` | %s | %s |", role.Name, strings.Join(rule.Resources, ", "), strings.Join(rule.Verbs, ", ")))
		}
	}
	_, rest, _ := strings.Cut(rightsDoc(t), "| ClusterRole | kinds | verbs |\n|---|---|---|\n")
	table, _, _ := strings.Cut(rest, "\n\n")
	if diff := cmp.Diff(want, strings.Split(table, "\n")); diff != "" {
		t.Errorf("docs/operations/rights.md (-config/rbac/cluster/people.yaml +document):\n%s", diff)
	}
}

// TestRightsDocDecisions: the document names every annotation that needs the verb decide.
func TestRightsDocDecisions(t *testing.T) {
	for _, name := range v1alpha1.DecisionAnnotations() {
		if short := strings.TrimPrefix(name, "iam.lightrun.com/"); !strings.Contains(rightsDoc(t), "`"+short+"`") {
			t.Errorf("docs/operations/rights.md does not name %s", short)
		}
	}
}

// TestRightsDocCommands runs the document's commands in order, as a cluster administrator.
func TestRightsDocCommands(t *testing.T) {
	s := sharedFixture(t)
	const namespace = "rights-doc"
	if err := s.cp.Client.Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}); err != nil {
		t.Fatal(err)
	}
	if err := install(t, s.cp, namespace, "rbac/separate"); err != nil {
		t.Fatal(err)
	}
	if err := s.fill(t.Context(), namespace); err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllStringSubmatch(rightsDoc(t), -1)
	if len(blocks) != 3 {
		t.Errorf("docs/operations/rights.md has %d blocks of commands, want 3", len(blocks))
	}
	held := object("ScimUser", namespace, plainUser, nil)
	patch := client.RawPatch(types.MergePatchType, []byte(`{"status":{"held":{"decision":"mxk5w0-9c1d","removal":"Deactivation","users":1}}}`))
	if err := s.cp.Client.Status().Patch(t.Context(), held, patch); err != nil {
		t.Fatal(err)
	}
	for _, block := range blocks {
		run(t, s, strings.ReplaceAll(block[1], "lightrun-system", namespace))
	}
	user := object("ScimUser", namespace, plainUser, nil)
	if err := s.cp.Client.Get(t.Context(), client.ObjectKeyFromObject(user), user); err != nil {
		t.Fatal(err)
	}
	if got := user.GetAnnotations(); got[v1alpha1.AnnotationRelease] != "mxk5w0-9c1d" || got[v1alpha1.AnnotationDecidedBy] != "admin" {
		t.Errorf("the annotations are %v, want %s=mxk5w0-9c1d and %s=admin", got, v1alpha1.AnnotationRelease, v1alpha1.AnnotationDecidedBy)
	}
	var binding rbacv1.RoleBinding
	if err := s.cp.Client.Get(t.Context(), client.ObjectKey{Namespace: namespace, Name: "ada-decides"}, &binding); err != nil {
		t.Error(err)
	}
	var ns corev1.Namespace
	if err := s.cp.Client.Get(t.Context(), client.ObjectKey{Name: namespace}, &ns); err != nil {
		t.Fatal(err)
	}
	if _, open := ns.Annotations[v1alpha1.AnnotationRestore]; open {
		t.Error("the restore window is open after the last command, want it closed")
	}
}

// run runs a block of commands in a shell that stops at the first failure.
func run(t *testing.T, s *fixture, commands string) {
	t.Helper()
	home := t.TempDir()
	if err := os.WriteFile(filepath.Join(home, "kubeconfig"), s.cp.Kubeconfig(), 0o600); err != nil {
		t.Fatal(err)
	}
	assets, err := controlplane.Assets(controlplane.Root())
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "bash", "-euo", "pipefail", "-c", commands)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+filepath.Join(home, "kubeconfig"), "HOME="+home, "ID="+plainUser, "PATH="+assets+":"+os.Getenv("PATH"))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%s\n%v\n%s", commands, err, out)
	}
}
