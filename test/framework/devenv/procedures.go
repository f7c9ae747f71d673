// SPDX-License-Identifier: Apache-2.0

package devenv

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"lightrun.com/scim-operator/test/framework/devenv/kubecontrollers"
)

// Reinstall applies the manifests after they were deleted, or after LoseCluster, and starts the
// webhook and the manager under the new service accounts. The caller applies the portal's key and
// the configuration.
func (e *Environment) Reinstall(ctx context.Context) error {
	for _, name := range []string{Manager, Webhook} {
		child, err := e.child(name)
		if err != nil {
			return err
		}
		_ = child.Stop() // without its rights it may have ended already, with an error
	}
	if err := e.install(ctx); err != nil {
		return err
	}
	e.unmount()
	if err := e.mountTokens(ctx); err != nil {
		return err
	}
	for _, name := range []string{Webhook, Manager} {
		if err := e.Restart(ctx, name); err != nil {
			return err
		}
	}
	return nil
}

// LoseCluster ends the programs and Kubernetes, deletes etcd's data, and starts an empty
// Kubernetes. The portal keeps its data.
func (e *Environment) LoseCluster(ctx context.Context) error {
	for _, name := range []string{Manager, Webhook, kubecontrollers.Name, Kubernetes, Etcd} {
		child, err := e.child(name)
		if err != nil {
			if name == kubecontrollers.Name {
				continue
			}
			return err
		}
		child.Kill()
		<-child.Done()
	}
	if err := os.RemoveAll(e.path("etcd")); err != nil {
		return fmt.Errorf("lose etcd: %w", err)
	}
	for _, name := range []string{Etcd, Kubernetes} {
		if err := e.Restart(ctx, name); err != nil {
			return err
		}
	}
	if !e.KubeControllers {
		return nil
	}
	return e.startKubeControllers()
}

// LosePortal kills the portal and deletes its database.
func (e *Environment) LosePortal() error {
	child, err := e.child(Portal)
	if err != nil {
		return err
	}
	child.Kill()
	<-child.Done()
	files, err := filepath.Glob(e.path("portal", "*"))
	if err != nil {
		return err
	}
	for _, file := range files {
		if err := os.Remove(file); err != nil {
			return fmt.Errorf("lose the portal: %w", err)
		}
	}
	return nil
}

func (e *Environment) portalDatabase() string { return e.path("portal", "portal.db") }

// BackUpPortal writes a backup of the portal's database to the file, while the portal serves.
func (e *Environment) BackUpPortal(ctx context.Context, file string) error {
	return e.portalCommand(ctx, "backup", file)
}

// RestorePortal restores a backup and starts the portal, after LosePortal.
func (e *Environment) RestorePortal(ctx context.Context, backup string) error {
	if err := e.portalCommand(ctx, "restore", backup); err != nil {
		return err
	}
	return e.Restart(ctx, Portal)
}

func (e *Environment) portalCommand(ctx context.Context, command, file string) error {
	out, err := exec.CommandContext(ctx, filepath.Join(e.Programs, Portal), command, "--database="+e.portalDatabase(), file).CombinedOutput()
	if err != nil {
		return fmt.Errorf("portal %s: %w: %s", command, err, out)
	}
	return nil
}
