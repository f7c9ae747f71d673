// SPDX-License-Identifier: Apache-2.0

package rights

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/test/framework/controlplane"
	"lightrun.com/scim-operator/test/framework/poll"
)

func TestMain(m *testing.M) { controlplane.Main(m) }

// Namespaces. Each is one installation; they differ in the layout and in the restore window.
const (
	separate = "separate" // the window is closed
	shared   = "shared"   // the sidecar layout
	open     = "open"     // a window for the restorer
	foreign  = "foreign"  // a window for another user
)

var windows = map[string]string{
	open:    "another@example.test, " + person("restorer") + "," + person("wildcard-in-window"),
	foreign: person("restorer") + ".org,another@example.test",
}

// person returns the user name of a subject that is not a program.
func person(name string) string { return name + "@example.test" }

// account returns the user name of a service account.
func account(namespace, name string) string { return "system:serviceaccount:" + namespace + ":" + name }

// subject is a user of the Kubernetes API, with its namespace and its role there.
type subject struct {
	name, namespace string
	user            string // person(name) if empty
	role            string // a ClusterRole that is bound to it in the namespace; none if empty
}

func subjects() []subject {
	all := []subject{
		{name: "webhook", namespace: separate, user: account(separate, "scim-webhook")},
		{name: "manager", namespace: separate, user: account(separate, "scim-manager")},
		{name: "operator", namespace: shared, user: account(shared, "scim-operator")},
		// GitOps controllers often have this role; one subject for each kind of window.
		{name: "wildcard", namespace: separate, role: "cluster-admin"},
		{name: "wildcard-in-foreign-window", namespace: foreign, role: "cluster-admin"},
		{name: "wildcard-in-window", namespace: open, role: "cluster-admin"},
		// All verbs except our own: only the policies protect the objects.
		{name: "weak", namespace: separate, role: "test-weak"},
		{name: "patcher", namespace: separate, role: "test-patcher"},
		// The programs of another company.
		{name: "stranger", namespace: separate, user: account(shared, "scim-operator"), role: "test-weak"},
		{name: "collector", namespace: separate, user: account("kube-system", "generic-garbage-collector")},
		{name: "namespace-controller", namespace: separate, user: account("kube-system", "namespace-controller")},
	}
	for _, role := range []string{"view", "edit", "admin", "scim-viewer", "scim-pool-editor", "scim-pool-granter", "scim-decider", "scim-configurer"} {
		all = append(all, subject{name: strings.TrimPrefix(role, "scim-"), namespace: separate, role: role})
	}
	for name, namespace := range map[string]string{"restorer-closed": separate, "restorer": open, "restorer-foreign": foreign} {
		all = append(all, subject{name: name, namespace: namespace, user: person("restorer"), role: "scim-restorer"})
	}
	return all
}

func (s subject) userName() string {
	if s.user == "" {
		return person(s.name)
	}
	return s.user
}

// fixture is the API server with both layouts installed, and a client for each subject.
type fixture struct {
	cp       *controlplane.ControlPlane
	subjects []subject
	clients  map[string]client.Client
}

// shares contains the fixture that the tests of this package share.
var shares struct {
	once    sync.Once
	fixture *fixture
	err     error
}

// sharedFixture returns the fixture, built by the first test that needs it.
func sharedFixture(t *testing.T) *fixture {
	t.Helper()
	cp := controlplane.Get(t)
	shares.once.Do(func() {
		shares.err = errors.New("the first test that needed the fixture ended while it was being built")
		shares.fixture, shares.err = build(t, cp)
	})
	if shares.err != nil {
		t.Fatal(shares.err)
	}
	return shares.fixture
}

func build(t *testing.T, cp *controlplane.ControlPlane) (*fixture, error) {
	ctx := t.Context()
	s := &fixture{cp: cp, subjects: subjects(), clients: map[string]client.Client{}}
	if err := cp.StartControllers(); err != nil {
		return nil, err
	}
	for namespace, layout := range map[string]string{separate: "rbac/separate", shared: "rbac/shared", open: "rbac/separate", foreign: "rbac/separate"} {
		ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}
		if users, open := windows[namespace]; open {
			ns.Annotations = map[string]string{v1alpha1.AnnotationRestore: users}
		}
		if err := cp.Client.Create(ctx, ns); err != nil {
			return nil, err
		}
		if err := install(t, cp, namespace, "cluster", layout); err != nil {
			return nil, err
		}
	}
	if err := s.roles(ctx); err != nil {
		return nil, err
	}
	for _, sub := range s.subjects {
		c, err := s.as(sub.userName())
		if err != nil {
			return nil, err
		}
		s.clients[sub.name] = c
	}
	if err := s.fixtures(ctx); err != nil {
		return nil, err
	}
	if err := s.ready(ctx); err != nil {
		return nil, err
	}
	return s, nil
}

// install applies folders of config/ in the namespace.
func install(t *testing.T, cp *controlplane.ControlPlane, namespace string, folders ...string) error {
	dir, err := kustomization(t, namespace, folders...)
	if err != nil {
		return err
	}
	// --force-conflicts: envtest installed the kinds.
	_, err = kubectl(t, cp, "apply", "--server-side", "--force-conflicts", "-k", dir)
	return err
}

// kustomization writes a kustomization of folders of config/ in the namespace, and returns its
// folder.
func kustomization(t *testing.T, namespace string, folders ...string) (string, error) {
	dir := t.TempDir()
	text := "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nnamespace: " + namespace + "\nresources:\n"
	for _, folder := range folders {
		path, err := filepath.Rel(resolved(dir), resolved(filepath.Join(controlplane.Root(), "config", folder)))
		if err != nil {
			return "", err
		}
		text += "- " + path + "\n"
	}
	return dir, os.WriteFile(filepath.Join(dir, "kustomization.yaml"), []byte(text), 0o600)
}

// kubectl runs a command as the administrator.
func kubectl(t *testing.T, cp *controlplane.ControlPlane, args ...string) ([]byte, error) {
	home := t.TempDir()
	kubeconfig := filepath.Join(home, "kubeconfig")
	if err := os.WriteFile(kubeconfig, cp.Kubeconfig(), 0o600); err != nil {
		return nil, err
	}
	assets, err := controlplane.Assets(controlplane.Root())
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(t.Context(), filepath.Join(assets, "kubectl"), args...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+kubeconfig, "HOME="+home)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("kubectl %v: %w\n%s", args, err, out)
	}
	return out, nil
}

func resolved(path string) string {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		return real
	}
	return path
}

// as returns a client of the user without a client-side rate limit.
func (s *fixture) as(user string) (client.Client, error) {
	config := rest.CopyConfig(s.cp.Config)
	config.Impersonate = rest.ImpersonationConfig{UserName: user, Groups: []string{"system:authenticated"}}
	if rest, ok := strings.CutPrefix(user, "system:serviceaccount:"); ok {
		namespace, _, _ := strings.Cut(rest, ":")
		config.Impersonate.Groups = append(config.Impersonate.Groups, "system:serviceaccounts", "system:serviceaccounts:"+namespace)
	}
	return client.New(config, client.Options{Scheme: s.cp.Scheme})
}

func eventually(ctx context.Context, check func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	return poll.Until(ctx, 50*time.Millisecond, check)
}

func object(kind, namespace, name string, spec map[string]any) *unstructured.Unstructured {
	u := &unstructured.Unstructured{Object: map[string]any{}}
	if spec != nil {
		u.Object["spec"] = spec
	}
	u.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind(kind))
	u.SetNamespace(namespace)
	u.SetName(name)
	return u
}

// isRefused reports whether the API server responded with 403.
func isRefused(err error) bool { return apierrors.IsForbidden(err) }
