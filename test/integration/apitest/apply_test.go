// SPDX-License-Identifier: Apache-2.0

package apitest

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/test/framework/controlplane"
)

// TestApplyTakesRolesAway: a server-side apply, as GitOps tools send it, removes the roles both
// with an empty list and without the field.
func TestApplyTakesRolesAway(t *testing.T) {
	cp := controlplane.Get(t)
	namespace := namespaceOf(t, cp)
	steps := []struct {
		roles string
		want  []v1alpha1.Role
	}{
		{"roles: [ROLE_USER, ROLE_MANAGER]", []v1alpha1.Role{"ROLE_USER", "ROLE_MANAGER"}},
		{"roles: []", nil},
		{"roles: [ROLE_USER]", []v1alpha1.Role{"ROLE_USER"}},
		{"description: no roles are named", nil},
		{"roles: []", nil},
	}
	for _, step := range steps {
		file := filepath.Join(t.TempDir(), "pool.yaml")
		text := fmt.Sprintf("{apiVersion: iam.lightrun.com/v1alpha1, kind: AgentPool, metadata: {name: p, namespace: %s}, spec: {%s}}", namespace, step.roles)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		kubectl(t, cp, "apply", "--server-side", "-f", file)
		var pool v1alpha1.AgentPool
		if err := cp.Client.Get(t.Context(), client.ObjectKey{Namespace: namespace, Name: "p"}, &pool); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(step.want, pool.Spec.Roles, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("after applying %q (-want +got):\n%s", step.roles, diff)
		}
	}
}
