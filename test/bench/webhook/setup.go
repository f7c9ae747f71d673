// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/test/bench/internal/seed"
	"lightrun.com/scim-operator/test/framework/devenv"
)

// suite is the running environment and the servers that are measured.
type suite struct {
	options
	dir      string
	env      *devenv.Environment
	etcd     seed.Etcd
	template seed.Template
	ours     *scim
	raw      *raw
	node     error // why SCIMMY is not measured; nil if it is
}

// setUp starts the whole environment, creates one user, waits until the user is Ready, and stops
// the manager. From then on only the measured requests cause work.
func setUp(ctx context.Context, o options, dir string) (*suite, error) {
	s := &suite{options: o, dir: dir}
	programs := filepath.Join(dir, "bin")
	if err := os.MkdirAll(programs, 0o700); err != nil {
		return nil, err
	}
	fmt.Println("Starting the environment")
	build := exec.CommandContext(ctx, "go", "build", "-buildvcs=false", "-o", programs+"/", "./cmd/manager", "./cmd/scim-webhook", "./cmd/portal", "./hack/dev-oidc")
	if out, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build the programs: %w\n%s", err, out)
	}
	ports, err := devenv.RandomPorts()
	if err != nil {
		return nil, err
	}
	s.env, err = devenv.Start(ctx, devenv.Options{
		Dir: filepath.Join(dir, "run"), Root: ".", Assets: o.assets, Programs: programs, Ports: ports, Out: os.Stdout,
		WebhookArgs: []string{"--rate=0"}, Patience: 5 * time.Minute,
	})
	if err != nil {
		return nil, err
	}
	if err := s.prepare(ctx); err != nil {
		return nil, errors.Join(err, s.env.Stop())
	}
	return s, nil
}

func (s *suite) prepare(ctx context.Context) error {
	s.etcd = seed.NewEtcd(s.env.Ports.Etcd)
	ours, err := newSCIM(sideOurs, s.env.Values.SCIMURL, s.env.Values.SCIMToken)
	if err != nil {
		return err
	}
	s.ours = ours
	if err := s.connect(); err != nil {
		return err
	}
	user, err := s.first(ctx)
	if err != nil {
		return err
	}
	if s.template, err = s.etcd.Template(ctx, user); err != nil {
		return err
	}
	if err := errors.Join(s.env.Halt(devenv.Manager), s.env.Halt(devenv.Portal), s.env.Halt(devenv.SSO)); err != nil {
		return err
	}
	if s.peers {
		s.node = installSCIMMY(ctx, filepath.Join(s.dir, "scimmy"))
	}
	return nil
}

// connect creates the raw side's client: the webhook's service account and the same client library.
func (s *suite) connect() error {
	config, err := clientcmd.BuildConfigFromFlags("", filepath.Join(s.env.Dir, "kubernetes", devenv.Webhook+".kubeconfig"))
	if err != nil {
		return err
	}
	config.QPS = -1
	c, err := client.New(config, client.Options{Scheme: s.env.Client.Scheme(), Mapper: s.env.Client.RESTMapper()})
	s.raw = &raw{client: c}
	return err
}

// first creates a user over SCIM and waits until the user is Ready.
func (s *suite) first(ctx context.Context) (*v1alpha1.ScimUser, error) {
	const name = "template@example.test"
	if err := s.ours.post(ctx, name); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		var list v1alpha1.ScimUserList
		if err := s.env.Client.List(ctx, &list, client.InNamespace(devenv.Namespace)); err != nil {
			return nil, err
		}
		if len(list.Items) == 1 && ready(&list.Items[0]) {
			return &list.Items[0], nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil, fmt.Errorf("the first user did not become Ready: %w", ctx.Err())
		}
	}
}

func ready(u *v1alpha1.ScimUser) bool {
	for _, c := range u.Status.Conditions {
		if c.Type == v1alpha1.ConditionReady {
			return c.Status == "True"
		}
	}
	return false
}

func (s *suite) tearDown() error { return s.env.Stop() }

// populate seeds n users and restarts the webhook. It returns the time until the webhook was ready.
func (s *suite) populate(ctx context.Context, n int) (time.Duration, error) {
	fmt.Printf("Seeding %d users\n", n)
	if err := s.env.Halt(devenv.Webhook); err != nil {
		return 0, err
	}
	if err := s.seed(ctx, n); err != nil {
		return 0, fmt.Errorf("seed users: %w", err)
	}
	if err := seed.Visible(ctx, s.env.Client, personID(n-1)); err != nil {
		return 0, err
	}
	begun := time.Now()
	if err := s.env.Restart(ctx, devenv.Webhook); err != nil {
		return 0, err
	}
	took := time.Since(begun)
	return took, s.ours.holds(ctx, n)
}

// seed replaces all users, groups and pools by n users.
func (s *suite) seed(ctx context.Context, n int) error {
	if err := s.etcd.Wipe(ctx, "scimusers", "scimgroups", "scimgroupslices", "nameclaims", "agentpools"); err != nil {
		return err
	}
	people := make([]seed.Person, n)
	for i := range people {
		people[i] = seed.Nth(i)
	}
	return s.etcd.Put(ctx, s.template, people)
}

// metric reads one value from the webhook's /metrics; 0 if it is absent.
func (s *suite) metric(ctx context.Context, name string) float64 {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("http://127.0.0.1:%d/metrics", s.env.Ports.WebhookMetrics), http.NoBody)
	if err != nil {
		return 0
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		var value float64
		if rest, ok := strings.CutPrefix(line, name+" "); ok {
			if _, err := fmt.Sscan(rest, &value); err == nil {
				return value
			}
		}
	}
	return 0
}
