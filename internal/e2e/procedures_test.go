package e2e

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/devenv"
	"lightrun.com/scim-operator/internal/portal/openapi"
	"lightrun.com/scim-operator/internal/testing/controlplane"
)

// company is a world with users who are in pools for each reason that there is.
type company struct {
	*world
	folder string
	ids    map[string]string // user name → SCIM id
	groups map[string]string // display name → SCIM id
}

// alone is an environment of the test's own.
func alone(t *testing.T) *world {
	t.Helper()
	env, err := devenv.Start(t.Context(), options(t, t.TempDir()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			for _, program := range []string{devenv.Manager, devenv.Webhook} {
				log, _ := os.ReadFile(filepath.Join(env.Dir, "logs", program+".log"))
				t.Logf("%s: %s", program, log[max(0, len(log)-6000):])
			}
		}
		if err := env.Stop(); err != nil {
			t.Error(err)
		}
	})
	return newWorld(t, env)
}

// pools are what people and Git declare.
const pools = `
apiVersion: iam.lightrun.com/v1alpha1
kind: AgentPool
metadata: {name: payments}
spec: {displayName: Payments, roles: [ROLE_IGNORE_QUOTA], groups: [{displayName: payments-engineers}]}
---
apiVersion: iam.lightrun.com/v1alpha1
kind: AgentPool
metadata: {name: leads}
spec: {displayName: Leads, roles: [ROLE_MANAGER], groups: [{displayName: leads}]}
---
apiVersion: iam.lightrun.com/v1alpha1
kind: AgentPool
metadata: {name: listed}
spec: {displayName: Listed, roles: [ROLE_IGNORE_QUOTA], members: [{userName: user07@example.test}, {userName: user08@example.test}]}
---
apiVersion: iam.lightrun.com/v1alpha1
kind: AgentPool
metadata: {name: filtered}
spec: {displayName: Filtered, roles: [ROLE_IGNORE_QUOTA], memberFilter: 'userName sw "user09"'}
`

const people = 30

func user(i int) string { return fmt.Sprintf("user%02d@example.test", i) }

// members are the provider's groups. No pool names "Own".
var members = map[string][]int{"payments-engineers": {0, 1, 2, 3}, "leads": {3, 4}, "Own": {4, 5, 6}}

func newCompany(t *testing.T) *company {
	c := &company{world: alone(t), folder: t.TempDir(), ids: map[string]string{}, groups: map[string]string{}}
	kubectl(t, c.world, pools, "apply", "-f", "-")
	c.push()
	c.must("PATCH", "/Users/"+c.ids[user(20)], patch(setActive(false)), http.StatusOK)
	c.settled()
	return c
}

// push is all that the provider has.
func (c *company) push() {
	c.t.Helper()
	for i := range people {
		c.ids[user(i)] = c.arrive(user(i))
	}
	for name, who := range members {
		list := make([]any, 0, len(who))
		for _, i := range who {
			list = append(list, map[string]any{"value": c.ids[user(i)]})
		}
		c.groups[name] = c.must("POST", "/Groups", map[string]any{
			"schemas": []string{"urn:ietf:params:scim:schemas:core:2.0:Group"}, "displayName": name, "members": list,
		}, http.StatusCreated).id()
	}
}

// access is what a user has in the portal.
type access struct {
	Account, Status, ManagedBy string
	Roles, Pools               []string
}

// accesses are everybody's, by user name, as the portal's API tells.
func (c *company) accesses(ctx context.Context) (map[string]access, error) {
	all := map[string]access{}
	var after *openapi.After
	for {
		page, err := c.env.API.ListUsersWithResponse(ctx, &openapi.ListUsersParams{After: after})
		if err != nil {
			return nil, err
		}
		if page.JSON200 == nil {
			return nil, fmt.Errorf("the portal answered %s", page.Status())
		}
		for _, u := range page.JSON200.Items {
			a := access{Account: u.ID, Status: string(u.Status), ManagedBy: string(u.ManagedBy), Roles: slices.Sorted(slices.Values(u.Roles))}
			for _, p := range u.Pools {
				a.Pools = append(a.Pools, p.ID+" "+p.Name)
			}
			slices.Sort(a.Pools)
			if _, twice := all[u.UserName]; twice {
				return nil, fmt.Errorf("%s has two accounts", u.UserName)
			}
			all[u.UserName] = a
		}
		if page.JSON200.Next == "" {
			return all, nil
		}
		after = &page.JSON200.Next
	}
}

// settled waits until everybody has what the company's pools and groups give.
func (c *company) settled() {
	c.t.Helper()
	eventually(c.t, "everybody has their pools and roles", func(ctx context.Context) error {
		all, err := c.accesses(ctx)
		if err != nil {
			return err
		}
		var errs []error
		for i := range people {
			a := all[user(i)]
			roles, names := []string{"ROLE_USER"}, 1
			if slices.Contains(members["payments-engineers"], i) || 7 <= i && i <= 9 {
				roles, names = append(roles, "ROLE_IGNORE_QUOTA"), names+1
			}
			if slices.Contains(members["leads"], i) {
				roles, names = append(roles, "ROLE_MANAGER"), names+1
			}
			if slices.Contains(members["Own"], i) {
				names++
			}
			status := "Active"
			if i == 20 {
				status = "Deactivated"
			}
			slices.Sort(roles)
			if a.Status != status || !slices.Equal(a.Roles, roles) || len(a.Pools) != names {
				errs = append(errs, fmt.Errorf("%s has %+v, must be %s with %v in %d pools; %s", user(i), a, status, roles, names, c.status(ctx, user(i))))
			}
		}
		return errors.Join(errs...)
	})
}

// unchanged compares everybody's access with that before, for a while: what is taken away late counts.
func (c *company) unchanged(before map[string]access, what string) {
	c.t.Helper()
	now, err := c.accesses(c.t.Context())
	if err != nil {
		c.t.Fatal(err)
	}
	if diff := cmp.Diff(before, now); diff != "" {
		c.t.Errorf("%s: access in the portal changed (-before +now):\n%s", what, diff)
	}
}

func (c *company) access() map[string]access {
	c.t.Helper()
	all, err := c.accesses(c.t.Context())
	if err != nil {
		c.t.Fatal(err)
	}
	return all
}

// binding is the id of the portal's binding; empty: there is none.
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
	path := filepath.Join(theStage.programs, "kubectl-scim")
	cmd := exec.CommandContext(context.Background(), "go", "build", "-buildvcs=false", "-o", path, "./cmd/kubectl-scim")
	cmd.Dir = controlplane.Root()
	out, err := cmd.CombinedOutput()
	if err != nil {
		err = fmt.Errorf("build kubectl-scim: %w\n%s", err, out)
	}
	return path, err
})

// shell runs a line of the manual as a person does, in the company's folder.
func (c *company) shell(line string) (string, error) {
	c.t.Helper()
	if _, err := plugin(); err != nil {
		c.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(c.t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "/bin/bash", "-ec", line)
	cmd.Dir = c.folder
	cmd.Env = append(os.Environ(), "KUBECONFIG="+c.env.Values.Kubeconfig, "KUBECACHEDIR="+c.t.TempDir(),
		"PATH="+filepath.Dir(c.env.Values.Kubectl)+":"+theStage.programs+":"+os.Getenv("PATH"))
	out, err := cmd.CombinedOutput()
	c.t.Logf("$ %s\n%s", line, out)
	return string(out), err
}

// manual returns the commands of a page's section: each line of its sh blocks.
func (c *company) manual(page, section string) []string {
	c.t.Helper()
	text, err := os.ReadFile(filepath.Join(controlplane.Root(), "docs", "operations", page))
	if err != nil {
		c.t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(text), "\n## "+section+"\n")
	if !found {
		c.t.Fatalf("%s has no section %q", page, section)
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
		c.t.Fatalf("%s, section %q, has no commands", page, section)
	}
	return lines
}

// follow runs the commands of a section. They name the repository's folders.
func (c *company) follow(page, section string) {
	c.t.Helper()
	for _, line := range c.manual(page, section) {
		line = strings.ReplaceAll(line, "-k config/default", "-k "+filepath.Join(controlplane.Root(), "config", "overlays", "development"))
		if strings.Contains(line, "delete deployment") { // as a kubelet would
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

// crds are the kinds.
var crds = []string{"agentpools", "identityconfigurations", "nameclaims", "scimgroups", "scimgroupslices", "scimusers"}

// uninstalled waits until nothing of the product is in Kubernetes.
func (c *company) uninstalled() {
	c.t.Helper()
	eventually(c.t, "nothing stays", func(ctx context.Context) error {
		var errs []error
		err := c.env.Client.Get(ctx, client.ObjectKey{Name: devenv.Namespace}, &corev1.Namespace{})
		if !apierrors.IsNotFound(err) {
			errs = append(errs, fmt.Errorf("the namespace: %w", errors.Join(err, errors.New("is there"))))
		}
		cmd := exec.CommandContext(ctx, c.env.Values.Kubectl, "get", "crd", "-o", "name")
		cmd.Env = append(os.Environ(), "KUBECONFIG="+c.env.Values.Kubeconfig, "KUBECACHEDIR="+c.t.TempDir())
		out, err := cmd.CombinedOutput()
		if err != nil || strings.Contains(string(out), "iam.lightrun.com") {
			errs = append(errs, fmt.Errorf("kinds: %s %w", out, errors.Join(err, errors.New("are there"))))
		}
		return errors.Join(errs...)
	})
}

// answers waits until the provider's request is answered with the status.
func (c *company) answers(method, path string, status int) {
	c.t.Helper()
	eventually(c.t, fmt.Sprintf("%s %s is answered %d", method, path, status), func(ctx context.Context) error {
		a, err := c.scim(ctx, method, path, nil)
		if err == nil && a.status != status {
			err = fmt.Errorf("%d %s", a.status, a.detail())
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
