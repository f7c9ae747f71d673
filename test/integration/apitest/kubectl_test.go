// SPDX-License-Identifier: Apache-2.0

package apitest

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/test/framework/controlplane"
)

// kubectl runs a command as the administrator, and returns its output.
func kubectl(t *testing.T, cp *controlplane.ControlPlane, args ...string) string {
	t.Helper()
	assets, err := controlplane.Assets(controlplane.Root())
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), filepath.Join(assets, "kubectl"), args...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+kubeconfig(t, cp), "HOME="+t.TempDir())
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("kubectl %v: %v\n%s", args, err, out)
	}
	return string(out)
}

// namespaceOf creates a namespace in which the administrator may write what the provider says. Some
// tests apply manifests with the policies, which then apply to every namespace.
func namespaceOf(t *testing.T, cp *controlplane.ControlPlane) string {
	t.Helper()
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{
		GenerateName: "test-", Annotations: map[string]string{v1alpha1.AnnotationRestore: "admin"},
	}}
	if err := cp.Client.Create(t.Context(), ns); err != nil {
		t.Fatal(err)
	}
	return ns.Name
}

func kubeconfig(t *testing.T, cp *controlplane.ControlPlane) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "kubeconfig")
	if err := os.WriteFile(file, cp.Kubeconfig(), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}
