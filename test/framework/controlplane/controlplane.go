// SPDX-License-Identifier: Apache-2.0

// Package controlplane gives tests a real kube-apiserver and etcd with the CRDs of this repository.
//
// A test package starts one control plane, on first use, and each test has its own namespace:
//
//	func TestMain(m *testing.M) { controlplane.Main(m) }
//
//	func TestSomething(t *testing.T) {
//		cp := controlplane.Get(t)
//		namespace := cp.Namespace(t)
//		…
//	}
//
// The binaries come from KUBEBUILDER_ASSETS or, without it, from bin/k8s. If the control plane
// can't start, the test fails; it is never skipped.
package controlplane

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	k8sruntime "k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/test/framework/devenv/process"
)

// ControlPlane is a running API server. Config is for an administrator and has no client-side rate
// limit.
type ControlPlane struct {
	Config *rest.Config
	Scheme *k8sruntime.Scheme
	Client client.WithWatch

	env         *envtest.Environment
	controllers *process.Process // nil until StartControllers
	dir         string           // of the controllers' files
}

// shared is the test process's one control plane, started on first use.
type shared struct {
	once  sync.Once
	plane *ControlPlane
	err   error
}

// running is the one control plane of this test binary: starting it takes seconds, so all tests of
// a package share it.
var running shared

// Get returns the control plane of this test process, and starts it on the first call.
func Get(tb testing.TB) *ControlPlane {
	tb.Helper()
	running.once.Do(func() { running.plane, running.err = Start(Root()) })
	if running.err != nil {
		tb.Fatalf("start the control plane: %v", running.err)
	}
	return running.plane
}

// Main runs a package's tests and then stops the control plane, if one was started.
func Main(m *testing.M) {
	code := m.Run()
	if running.plane != nil {
		if err := running.plane.Stop(); err != nil {
			fmt.Fprintln(os.Stderr, "stop the control plane:", err)
		}
	}
	os.Exit(code)
}

// Start starts a control plane with the CRDs in config/crd/bases below root. A test that would
// disturb other tests, for example because it deletes a CRD, starts its own; other tests use Get.
func Start(root string) (*ControlPlane, error) {
	assets, err := Assets(root)
	if err != nil {
		return nil, err
	}
	scheme := k8sruntime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)); err != nil {
		return nil, err
	}
	env := &envtest.Environment{
		Scheme:                   scheme,
		BinaryAssetsDirectory:    assets,
		CRDDirectoryPaths:        []string{filepath.Join(root, "config", "crd", "bases")},
		ErrorIfCRDPathMissing:    true,
		ControlPlaneStartTimeout: 2 * time.Minute,
	}
	config, err := env.Start()
	if err != nil {
		return nil, err
	}
	config.QPS, config.Burst = -1, -1
	c, err := client.NewWithWatch(config, client.Options{Scheme: scheme})
	if err != nil {
		return nil, errors.Join(err, env.Stop())
	}
	return &ControlPlane{Config: config, Scheme: scheme, Client: c, env: env}, nil
}

// Stop ends the API server, etcd and Kubernetes' own controllers, and removes their data.
func (c *ControlPlane) Stop() error {
	return errors.Join(c.stopControllers(), c.env.Stop())
}

// Namespace creates a namespace that no other test uses. It is not deleted: the control plane ends
// with the process.
func (c *ControlPlane) Namespace(tb testing.TB) string {
	tb.Helper()
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "test-"}}
	if err := c.Client.Create(context.Background(), ns); err != nil {
		tb.Fatalf("create a namespace: %v", err)
	}
	return ns.Name
}

// Assets returns the folder with kube-apiserver and etcd.
func Assets(root string) (string, error) {
	dir := os.Getenv("KUBEBUILDER_ASSETS")
	if dir == "" {
		dir = filepath.Join(root, "bin", "k8s")
	}
	for _, name := range []string{"kube-apiserver", "etcd"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			return "", fmt.Errorf("%s contains no %s: run make control-plane, which finds, downloads or builds it", dir, name)
		}
	}
	return dir, nil
}

// Root returns the top folder of the repository.
func Root() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Join(filepath.Dir(file), "..", "..", "..")
}

// Kubeconfig returns the administrator's kubeconfig, for kubectl and other programs of an
// administrator.
func (c *ControlPlane) Kubeconfig() []byte { return c.env.KubeConfig }
