// SPDX-License-Identifier: Apache-2.0

package controlplane

import (
	"os"
	"path/filepath"

	"lightrun.com/scim-operator/test/framework/devenv/kubecontrollers"
	"lightrun.com/scim-operator/test/framework/devenv/process"
)

// StartControllers starts Kubernetes' own garbage collector, namespace controller and role
// aggregation for the API server; Stop ends them. They have no health endpoint: a test waits for
// their effect.
func (c *ControlPlane) StartControllers() error {
	path, err := kubecontrollers.Find(Root(), c.env.BinaryAssetsDirectory)
	if err != nil {
		return err
	}
	if c.dir, err = os.MkdirTemp("", "controllers-"); err != nil {
		return err
	}
	kubeconfig := filepath.Join(c.dir, "kubeconfig")
	if err := os.WriteFile(kubeconfig, c.env.KubeConfig, 0o600); err != nil {
		return err
	}
	c.controllers, err = process.Start(kubecontrollers.Spec(path, kubeconfig, filepath.Join(c.dir, "log")))
	return err
}

// stopControllers stops the controllers if they were started.
func (c *ControlPlane) stopControllers() error {
	var err error
	if c.controllers != nil {
		err = c.controllers.Stop()
	}
	if c.dir != "" {
		_ = os.RemoveAll(c.dir) // a temporary folder
	}
	return err
}
