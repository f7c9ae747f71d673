// SPDX-License-Identifier: Apache-2.0

package apitest

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"lightrun.com/scim-operator/test/framework/controlplane"
	"lightrun.com/scim-operator/test/framework/poll"
	"lightrun.com/scim-operator/test/framework/postgres"
)

const portalNamespace = "management-portal"

// TestPortalInstall runs the commands of docs/operations/portal-install.md on the API server. After
// each layout is applied, it starts the portal with the arguments, variables and files of the Pod.
func TestPortalInstall(t *testing.T) {
	cp := controlplane.Get(t)
	root := controlplane.Root()
	assets, err := controlplane.Assets(root)
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(filepath.Join(root, "docs", "operations", "portal-install.md"))
	if err != nil {
		t.Fatal(err)
	}
	database := postgres.Start(t).Database(t)
	dir := t.TempDir()
	program := filepath.Join(dir, "portal")
	build := exec.CommandContext(t.Context(), "go", "build", "-buildvcs=false", "-o", program, "./cmd/portal")
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the portal: %v\n%s", err, out)
	}
	if err := os.Symlink(filepath.Join(root, "config"), filepath.Join(dir, "config")); err != nil {
		t.Fatal(err)
	}
	layouts := 0
	for _, block := range regexp.MustCompile("(?s)```sh[^\n]*\n(.*?)```").FindAllStringSubmatch(string(page), -1) {
		script := strings.ReplaceAll(block[1], "postgres://portal:password@db.example.com/portal?sslmode=verify-full", database)
		cmd := exec.CommandContext(t.Context(), "bash", "-euo", "pipefail", "-c", script)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "KUBECONFIG="+kubeconfig(t, cp), "HOME="+dir, "PATH="+assets+":"+os.Getenv("PATH"))
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", script, err, out)
		}
		if !strings.Contains(script, "apply") {
			continue
		}
		layouts++
		var d appsv1.Deployment
		if err := cp.Client.Get(t.Context(), client.ObjectKey{Namespace: portalNamespace, Name: "portal"}, &d); err != nil {
			t.Fatal(err)
		}
		admit(t, cp, d)
		runPod(t, cp, program, d.Spec.Template.Spec)
	}
	if layouts != 2 {
		t.Errorf("the page applies %d layouts, want 2", layouts)
	}
}

// runPod starts the program with what the kubelet would give it, and waits until the probes
// succeed.
func runPod(t *testing.T, cp *controlplane.ControlPlane, program string, pod corev1.PodSpec) {
	t.Helper()
	c := pod.Containers[0]
	var replace []string
	for _, v := range pod.Volumes {
		dir := t.TempDir()
		if v.Secret != nil {
			var secret corev1.Secret
			if err := cp.Client.Get(t.Context(), client.ObjectKey{Namespace: portalNamespace, Name: v.Secret.SecretName}, &secret); err != nil {
				t.Fatal(err)
			}
			for name, content := range secret.Data {
				if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
					t.Fatal(err)
				}
			}
		}
		for _, m := range c.VolumeMounts {
			if m.Name == v.Name {
				replace = append(replace, m.MountPath, dir)
			}
		}
	}
	addresses := map[string]string{}
	for _, p := range c.Ports {
		free, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		addresses[p.Name] = free.Addr().String()
		replace = append(replace, fmt.Sprintf(":%d", p.ContainerPort), free.Addr().String())
		if err := free.Close(); err != nil {
			t.Fatal(err)
		}
	}
	env := map[string]string{}
	for _, e := range c.Env {
		env[e.Name] = e.Value
		switch from := e.ValueFrom; {
		case from == nil:
		case from.SecretKeyRef != nil:
			var secret corev1.Secret
			if err := cp.Client.Get(t.Context(), client.ObjectKey{Namespace: portalNamespace, Name: from.SecretKeyRef.Name}, &secret); err != nil {
				t.Fatal(err)
			}
			env[e.Name] = string(secret.Data[from.SecretKeyRef.Key])
		case from.ConfigMapKeyRef != nil:
			var config corev1.ConfigMap
			if err := cp.Client.Get(t.Context(), client.ObjectKey{Namespace: portalNamespace, Name: from.ConfigMapKeyRef.Name}, &config); err != nil {
				t.Fatal(err)
			}
			env[e.Name] = config.Data[from.ConfigMapKeyRef.Key]
		}
	}
	for name, value := range env {
		replace = append(replace, "$("+name+")", value)
	}
	var args []string
	for _, a := range c.Args {
		args = append(args, strings.NewReplacer(replace...).Replace(a))
	}
	ctx, stop := context.WithCancel(t.Context())
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	var log strings.Builder
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	answers := func(port, path string) {
		t.Helper()
		poll.For(t, port+path+" answers", time.Minute, 50*time.Millisecond, func(ctx context.Context) error { return get(ctx, "http://"+addresses[port]+path) })
	}
	for _, p := range []*corev1.Probe{c.StartupProbe, c.LivenessProbe, c.ReadinessProbe} {
		answers(p.HTTPGet.Port.StrVal, p.HTTPGet.Path)
	}
	answers("portal", "/sign-in")
	answers("metrics", "/metrics")
	stop()
	if err := cmd.Wait(); err != nil && ctx.Err() == nil {
		t.Errorf("the portal ended: %v\n%s", err, &log)
	}
	if strings.Contains(log.String(), `"level":"error"`) {
		t.Errorf("the portal logs an error:\n%s", &log)
	}
}

func get(ctx context.Context, url string) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", url, response.Status)
	}
	return nil
}

// TestPortalVariants renders the example with an Ingress, and a layout with the component for TLS,
// and checks with the API server that they are valid.
func TestPortalVariants(t *testing.T) {
	cp := controlplane.Get(t)
	portal := filepath.Join(controlplane.Root(), "config", "portal")
	kubectl(t, cp, "create", "namespace", "portal-variants")
	// render applies the folder without effect, and returns the Deployment.
	render := func(folder string) (d appsv1.Deployment) {
		t.Helper()
		text := strings.ReplaceAll(kubectl(t, cp, "kustomize", "--load-restrictor=LoadRestrictionsNone", folder), "namespace: "+portalNamespace, "namespace: portal-variants")
		file := filepath.Join(t.TempDir(), "all.yaml")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		kubectl(t, cp, "apply", "--server-side", "--dry-run=server", "-f", file)
		for _, document := range strings.Split(text, "\n---\n") {
			if strings.Contains(document, "kind: Deployment") {
				if err := yaml.UnmarshalStrict([]byte(document), &d); err != nil {
					t.Fatal(err)
				}
			}
		}
		return d
	}
	args := func(d appsv1.Deployment) string { return strings.Join(d.Spec.Template.Spec.Containers[0].Args, " ") }
	if got := args(render(filepath.Join(portal, "ingress"))); !strings.Contains(got, "--trusted-proxy=10.0.0.0/8") {
		t.Errorf("the example with an Ingress has the arguments %s", got)
	}
	own := t.TempDir()
	for _, layout := range []string{"sqlite", "postgresql"} {
		path := func(name string) string {
			relative, err := filepath.Rel(own, filepath.Join(portal, name))
			if err != nil {
				t.Fatal(err)
			}
			return relative
		}
		text := fmt.Sprintf("{apiVersion: kustomize.config.k8s.io/v1beta1, kind: Kustomization, resources: [%s], components: [%s]}", path(layout), path("tls"))
		if err := os.WriteFile(filepath.Join(own, "kustomization.yaml"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		d := render(own)
		c := d.Spec.Template.Spec.Containers[0]
		if !strings.Contains(args(d), "--tls-cert-dir=/etc/portal/tls") {
			t.Errorf("%s with TLS has the arguments %s", layout, args(d))
		}
		for _, p := range []*corev1.Probe{c.StartupProbe, c.LivenessProbe, c.ReadinessProbe} {
			if p.HTTPGet.Scheme != corev1.URISchemeHTTPS || p.HTTPGet.Path == "" {
				t.Errorf("%s with TLS has the probe %v", layout, p.HTTPGet)
			}
		}
	}
}
