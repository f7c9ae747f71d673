// SPDX-License-Identifier: Apache-2.0

package apitest

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"lightrun.com/scim-operator/test/framework/controlplane"
)

const installation = "lightrun-system"

// TestLayouts applies the two layouts and the Ingress example as an administrator does, and checks
// that their Pods meet the restricted Pod Security Standard.
func TestLayouts(t *testing.T) {
	cp := controlplane.Get(t)
	type pod struct {
		account    string
		containers []string
	}
	tests := []struct {
		name, folder, reason string
		want                 map[string]pod
		ingresses            []string
	}{
		{
			name: "Default", folder: "config/default",
			reason: "In the default, the webhook is a sidecar of the manager.",
			want:   map[string]pod{"scim-operator": {"scim-operator", []string{"manager", "webhook"}}},
		},
		{
			name: "Ingress", folder: "config/overlays/ingress",
			reason:    "The Ingress example adds one Ingress to the default layout.",
			want:      map[string]pod{"scim-operator": {"scim-operator", []string{"manager", "webhook"}}},
			ingresses: []string{"scim-webhook"},
		},
		{
			name: "Separate", folder: "config/overlays/separate",
			reason: "In the separate layout, each program has its own Deployment and service account.",
			want: map[string]pod{
				"scim-manager": {"scim-manager", []string{"manager"}},
				"scim-webhook": {"scim-webhook", []string{"webhook"}},
			},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			kubectl(t, cp, "apply", "--server-side", "--force-conflicts", "-k", filepath.Join(controlplane.Root(), tt.folder))
			var deployments appsv1.DeploymentList
			if err := cp.Client.List(t.Context(), &deployments, client.InNamespace(installation)); err != nil {
				t.Fatal(err)
			}
			got := map[string]pod{}
			for _, d := range deployments.Items {
				p := pod{account: d.Spec.Template.Spec.ServiceAccountName}
				for _, c := range d.Spec.Template.Spec.Containers {
					p.containers = append(p.containers, c.Name)
				}
				slices.Sort(p.containers)
				got[d.Name] = p
				admit(t, cp, d)
				if err := cp.Client.Delete(t.Context(), &d); err != nil {
					t.Error(err)
				}
			}
			if diff := cmp.Diff(tt.want, got, cmp.AllowUnexported(pod{})); diff != "" {
				t.Errorf("%s\n(-want +got):\n%s", tt.reason, diff)
			}
			var ingresses networkingv1.IngressList
			if err := cp.Client.List(t.Context(), &ingresses, client.InNamespace(installation)); err != nil {
				t.Fatal(err)
			}
			var names []string
			for _, i := range ingresses.Items {
				names = append(names, i.Name)
				if err := cp.Client.Delete(t.Context(), &i); err != nil {
					t.Error(err)
				}
			}
			if !slices.Equal(names, tt.ingresses) {
				t.Errorf("%s\nthe Ingresses are %v, want %v", tt.reason, names, tt.ingresses)
			}
		})
	}
}

// admit sends a dry-run create of a Pod from the Deployment's template, so that the API server's
// admission checks it. The namespace admits only Pods that meet the restricted standard.
func admit(t *testing.T, cp *controlplane.ControlPlane, d appsv1.Deployment) {
	t.Helper()
	var ns corev1.Namespace
	if err := cp.Client.Get(t.Context(), client.ObjectKey{Name: d.Namespace}, &ns); err != nil {
		t.Fatal(err)
	}
	if level := ns.Labels["pod-security.kubernetes.io/enforce"]; level != "restricted" {
		t.Fatalf("the namespace enforces %q, not restricted", level)
	}
	var account corev1.ServiceAccount
	if err := cp.Client.Get(t.Context(), client.ObjectKey{Namespace: d.Namespace, Name: d.Spec.Template.Spec.ServiceAccountName}, &account); err != nil {
		t.Errorf("%s: its service account is missing: %v", d.Name, err)
	}
	for key, value := range d.Spec.Selector.MatchLabels {
		if d.Spec.Template.Labels[key] != value {
			t.Errorf("%s: the selector's label %s=%s is not on its Pods", d.Name, key, value)
		}
	}
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: d.Namespace, GenerateName: d.Name + "-", Labels: d.Spec.Template.Labels}, Spec: d.Spec.Template.Spec}
	if err := cp.Client.Create(t.Context(), p, client.DryRunAll); err != nil {
		t.Errorf("%s: its Pod is refused: %v", d.Name, err)
	}
	for _, c := range p.Spec.Containers {
		s := c.SecurityContext
		if s == nil || s.ReadOnlyRootFilesystem == nil || !*s.ReadOnlyRootFilesystem {
			t.Errorf("%s/%s: the root file system must be read-only", d.Name, c.Name)
		}
		if c.LivenessProbe == nil || c.ReadinessProbe == nil || c.Resources.Requests.Memory().IsZero() {
			t.Errorf("%s/%s: must have a liveness probe, a readiness probe and a memory request", d.Name, c.Name)
		}
	}
	// Negative control: without allowPrivilegeEscalation=false, admission refuses the Pod.
	p = p.DeepCopy()
	p.ObjectMeta = metav1.ObjectMeta{Namespace: d.Namespace, GenerateName: d.Name + "-"}
	settings := &p.Spec.Containers[0].SecurityContext
	if *settings == nil {
		*settings = &corev1.SecurityContext{}
	}
	(*settings).AllowPrivilegeEscalation = nil
	switch err := cp.Client.Create(t.Context(), p, client.DryRunAll); {
	case err == nil:
		t.Errorf("%s: a Pod that allows privilege escalation was admitted", d.Name)
	case !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), "allowPrivilegeEscalation"):
		t.Errorf("%s: a Pod that allows privilege escalation was refused for another reason: %v", d.Name, err)
	}
}

// TestServiceFindsTheWebhook checks that in both layouts the Service selects one Deployment: the
// only one with the Service's target port.
func TestServiceFindsTheWebhook(t *testing.T) {
	cp := controlplane.Get(t)
	for _, folder := range []string{"config/default", "config/overlays/separate"} {
		kubectl(t, cp, "apply", "--server-side", "--force-conflicts", "-k", filepath.Join(controlplane.Root(), folder))
		var service corev1.Service
		if err := cp.Client.Get(t.Context(), client.ObjectKey{Namespace: installation, Name: "scim-webhook"}, &service); err != nil {
			t.Fatal(err)
		}
		var deployments appsv1.DeploymentList
		if err := cp.Client.List(t.Context(), &deployments, client.InNamespace(installation)); err != nil {
			t.Fatal(err)
		}
		port, serving := service.Spec.Ports[0].TargetPort.StrVal, 0
		for _, d := range deployments.Items {
			selected := selects(service.Spec.Selector, d.Spec.Template.Labels)
			if selected {
				serving++
			}
			if serves := hasPort(d, port); serves != selected {
				t.Errorf("%s: %s has the port %s: %v; the Service selects it: %v", folder, d.Name, port, serves, selected)
			}
			if err := cp.Client.Delete(t.Context(), &d); err != nil {
				t.Error(err)
			}
		}
		if serving != 1 {
			t.Errorf("%s: the Service selects %d Deployments, must be 1", folder, serving)
		}
	}
}

func selects(selector, labels map[string]string) bool {
	for key, value := range selector {
		if labels[key] != value {
			return false
		}
	}
	return true
}

func hasPort(d appsv1.Deployment, name string) bool {
	for _, c := range d.Spec.Template.Spec.Containers {
		for _, p := range c.Ports {
			if p.Name == name {
				return true
			}
		}
	}
	return false
}
