// SPDX-License-Identifier: Apache-2.0

package e2e

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
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"

	portalv1 "lightrun.com/scim-operator/api/portal/v1"
	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/test/framework/controlplane"
	"lightrun.com/scim-operator/test/framework/devenv"
)

// portalUser is an account in the portal's API.
type portalUser = portalv1.User

// TestProcedures runs the procedures of an installation's operation: objects are deleted and
// applied again, the product is uninstalled, the cluster and the portal are lost. Each procedure
// starts and ends with the same access for every user, and with the same decisions.
func TestProcedures(t *testing.T) {
	c := newCompany(t)
	b := c.remember()
	for _, procedure := range []struct {
		name string
		play func(*company, before)
	}{
		{"RestoreWindow", (*company).window},
		{"ReportOnly", (*company).reportOnly},
		{"SCIMOff", (*company).scimOff},
		{"ConfigurationAndPools", (*company).everythingOfPeople},
		{"FinalizersStripped", (*company).finalizersStripped},
		{"UninstallInOrder", uninstall("In order")},
		{"UninstallAllAtOnce", uninstall("All at once")},
		{"UninstallNamespace", uninstall("One company of several")},
		{"KindsDeleted", (*company).kindsDeleted},
		{"PortalLost", (*company).portalLost},
		{"ClusterLost", (*company).clusterLost},
		{"BothLost", (*company).bothLost},
	} {
		if !t.Run(procedure.name, func(t *testing.T) {
			inner := c.in(t)
			procedure.play(inner, b)
			inner.keeps(b, procedure.name)
			inner.unchanged(b, procedure.name)
			c.line = inner.line
		}) {
			t.Fatal("the next procedures would start with another state")
		}
	}
	t.Run("PushedAgain", func(t *testing.T) { c.in(t).pushedAgain(b) })
}

// binding returns the id of the portal's binding; empty if there is none.
func (c *company) binding() string {
	c.t.Helper()
	got, err := c.env.API.GetIdentityConfigurationWithResponse(c.t.Context())
	if err != nil || got.JSON200 == nil {
		c.t.Fatalf("read the configuration: %v", err)
	}
	if got.JSON200.Binding == nil {
		return ""
	}
	return got.JSON200.Binding.ID
}

// plugin builds kubectl-scim, once.
var plugin = sync.OnceValues(func() (string, error) {
	path := filepath.Join(sharedSuite.programs, "kubectl-scim")
	cmd := exec.CommandContext(context.Background(), "go", "build", "-buildvcs=false", "-o", path, "./cmd/kubectl-scim")
	cmd.Dir = controlplane.Root()
	out, err := cmd.CombinedOutput()
	if err != nil {
		err = fmt.Errorf("build kubectl-scim: %w\n%s", err, out)
	}
	return path, err
})

// shell runs a line of the manual in the company's folder. As for most people, the namespace of the
// kubeconfig is default: a line names the namespace that it is about.
func (c *company) shell(line string) (string, error) {
	c.t.Helper()
	if _, err := plugin(); err != nil {
		c.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(c.t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "/bin/bash", "-ec", line)
	cmd.Dir = c.folder
	cmd.Env = append(os.Environ(), "KUBECONFIG="+c.elsewhere(), "KUBECACHEDIR="+c.t.TempDir(),
		"PATH="+filepath.Dir(c.env.Values.Kubectl)+":"+sharedSuite.programs+":"+os.Getenv("PATH"))
	out, err := cmd.CombinedOutput()
	c.t.Logf("$ %s\n%s", line, out)
	if strings.HasPrefix(line, "kubectl scim plan") {
		c.plan = string(out)
	}
	return string(out), err
}

// elsewhere writes a copy of the kubeconfig whose namespace is default.
func (w *world) elsewhere() string {
	w.t.Helper()
	config, err := clientcmd.LoadFromFile(w.env.Values.Kubeconfig)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, c := range config.Contexts {
		c.Namespace = corev1.NamespaceDefault
	}
	file := filepath.Join(w.t.TempDir(), "kubeconfig")
	if err := clientcmd.WriteToFile(*config, file); err != nil {
		w.t.Fatal(err)
	}
	return file
}

// page returns the text of a page of the manual.
func page(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(controlplane.Root(), "docs", "operations", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// manual returns the commands of a page's section: each line of its sh blocks.
func (c *company) manual(name, section string) []string {
	c.t.Helper()
	_, rest, found := strings.Cut(page(c.t, name), "\n## "+section+"\n")
	if !found {
		c.t.Fatalf("%s has no section %q", name, section)
	}
	rest, _, _ = strings.Cut(rest, "\n## ")
	var lines []string
	for {
		_, after, found := strings.Cut(rest, "```sh\n")
		if !found {
			break
		}
		block, next, _ := strings.Cut(after, "```")
		block = strings.ReplaceAll(block, "\\\n", "")
		lines = append(lines, strings.Split(strings.TrimSpace(block), "\n")...)
		rest = next
	}
	if len(lines) == 0 {
		c.t.Fatalf("%s, section %q, has no commands", name, section)
	}
	return lines
}

// follow runs the commands of a section, with the repository's folders.
func (c *company) follow(page, section string) {
	c.t.Helper()
	c.steps(page, section, nil)
}

// steps runs the commands of a section. A comment in them is a step without a command: the function
// whose key is the start of the comment runs instead.
func (c *company) steps(page, section string, others map[string]func()) {
	c.t.Helper()
	for _, line := range c.manual(page, section) {
		line = strings.ReplaceAll(line, "-k config/default", "-k "+filepath.Join(controlplane.Root(), "config", "overlays", "development"))
		if strings.HasPrefix(line, "#") {
			c.other(line, others)
			continue
		}
		if strings.Contains(line, "delete deployment") { // as a kubelet does
			for _, program := range []string{devenv.Manager, devenv.Webhook} {
				if err := c.env.Halt(program); err != nil {
					c.t.Fatal(err)
				}
			}
		}
		if out, err := c.shell(line); err != nil {
			c.t.Fatalf("%s, %s: %s: %v\n%s", page, section, line, err, out)
		}
	}
}

func (c *company) other(line string, all map[string]func()) {
	c.t.Helper()
	for begins, f := range all {
		if strings.HasPrefix(line, begins) {
			f()
			return
		}
	}
	c.t.Fatalf("no test does %q", line)
}

// crds are the kinds.
var crds = []string{"agentpools", "identityconfigurations", "nameclaims", "scimgroups", "scimgroupslices", "scimusers"}

// uninstalled waits until Kubernetes contains nothing of the product.
func (c *company) uninstalled() {
	c.t.Helper()
	eventually(c.t, "nothing stays", func(ctx context.Context) error {
		var errs []error
		err := c.env.Client.Get(ctx, client.ObjectKey{Name: devenv.Namespace}, &corev1.Namespace{})
		if !apierrors.IsNotFound(err) {
			errs = append(errs, fmt.Errorf("the namespace: %w", errors.Join(err, errors.New("still exists"))))
		}
		cmd := exec.CommandContext(ctx, c.env.Values.Kubectl, "get", "crd", "-o", "name")
		cmd.Env = append(os.Environ(), "KUBECONFIG="+c.env.Values.Kubeconfig, "KUBECACHEDIR="+c.t.TempDir())
		out, err := cmd.CombinedOutput()
		if err != nil || strings.Contains(string(out), "iam.lightrun.com") {
			errs = append(errs, fmt.Errorf("kinds: %s %w", out, errors.Join(err, errors.New("still exist"))))
		}
		return errors.Join(errs...)
	})
}

// answers waits until the provider's request gets the status.
func (c *company) answers(method, path string, status int) {
	c.t.Helper()
	eventually(c.t, fmt.Sprintf("%s %s is answered %d", method, path, status), func(ctx context.Context) error {
		a, err := c.scim(ctx, method, path, nil)
		if err == nil && a.Status != status {
			err = fmt.Errorf("%d %s", a.Status, a.Detail())
		}
		return err
	})
}

// configured waits until the configuration has the condition.
func (c *company) configured(kind, reason string) {
	c.t.Helper()
	eventually(c.t, "the configuration says "+kind+" "+reason, func(ctx context.Context) error {
		var config v1alpha1.IdentityConfiguration
		if err := c.env.Client.Get(ctx, client.ObjectKey{Namespace: devenv.Namespace, Name: v1alpha1.DefaultName}, &config); err != nil {
			return err
		}
		if found := meta.FindStatusCondition(config.Status.Conditions, kind); found == nil || found.Reason != reason {
			return fmt.Errorf("conditions are %+v", config.Status.Conditions)
		}
		return nil
	})
}
