// SPDX-License-Identifier: Apache-2.0

// Package kubecontrollers runs kube-controller-manager, with the controllers that act on this
// repository's objects in every cluster: the garbage collector deletes objects whose owner does not
// exist, the namespace controller empties a deleted namespace, and role aggregation fills
// Kubernetes' own view, edit and admin.
package kubecontrollers

import (
	"fmt"
	"os"
	"path/filepath"
	"time"

	"lightrun.com/scim-operator/test/framework/devenv/process"
)

// Name is the program's name.
const Name = "kube-controller-manager"

// Find returns the program's path: below assets or, as setup-envtest has none, below the root's
// bin/k8s.
func Find(root, assets string) (string, error) {
	for _, dir := range []string{assets, filepath.Join(root, "bin", "k8s")} {
		path := filepath.Join(dir, Name)
		if _, err := os.Stat(path); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("%s contains no %s: run make test, or make %s, which builds it", assets, Name, Name)
}

// Spec returns how to run it. The kubeconfig is an administrator's; each controller uses its own
// service account, as in a real cluster, and policies identify it by that.
func Spec(path, kubeconfig, log string) process.Spec {
	return process.Spec{
		Name: Name, Path: path, Log: log, Stop: 30 * time.Second,
		Args: []string{
			"--kubeconfig=" + kubeconfig,
			"--controllers=garbage-collector-controller,namespace-controller,clusterrole-aggregation-controller",
			"--use-service-account-credentials",
			"--leader-elect=false",
			"--secure-port=0", // it serves nothing
		},
	}
}
