// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/kernel/conditions"
	"lightrun.com/scim-operator/internal/kernel/portalapi"
	"lightrun.com/scim-operator/test/bench/internal/seed"
	"lightrun.com/scim-operator/test/framework/devenv"
	"lightrun.com/scim-operator/test/framework/idp"
)

// The pools of the company. A group with all seeded users fills payments; the filter of engineers
// matches every user.
const (
	payments  = "payments"
	engineers = "engineers"

	paymentsGroup = "Payments" // the name of the group at the provider
)

// maxMembers is the largest group that is pushed in one request. It is below the server's limits,
// 16 MiB and 600,000 JSON values (two for each member).
const maxMembers = 200_000

// suite is the running company that is measured.
type suite struct {
	options
	env        *devenv.Environment
	etcd       seed.Etcd
	template   seed.Template
	first      *v1alpha1.ScimUser // the user that template was read from, as last read
	paymentsID string             // the SCIM id of the group that fills payments
	apiserver  *http.Client
	http       *http.Client
	provider   *idp.Provider
	debug      string // the manager's /debug/pprof
	users      int    // number of users
	seeded     int    // number of users that are copies of the template
	lastPrefix int
}

// setUp starts the whole environment and creates two pools, and one user who is in both and in the
// default pool.
func setUp(ctx context.Context, o options, dir string) (*suite, error) {
	s := &suite{options: o, http: &http.Client{Timeout: time.Minute, Transport: &http.Transport{MaxIdleConnsPerHost: 64}}}
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
	if s.debug, err = freeAddress(ctx); err != nil {
		return nil, err
	}
	s.env, err = devenv.Start(ctx, devenv.Options{
		Dir: filepath.Join(dir, "run"), Root: ".", Assets: o.assets, Programs: programs, Ports: ports, Out: os.Stdout,
		WebhookArgs: []string{"--rate=0"}, Patience: 5 * time.Minute,
		ManagerArgs: []string{"--pprof-listen=" + s.debug}, ManagerEnv: []string{"GOMEMLIMIT=900MiB"}, // as config/manager has it
	})
	if err != nil {
		return nil, err
	}
	s.provider = &idp.Provider{URL: s.env.Values.SCIMURL, Token: s.env.Values.SCIMToken, HTTP: s.http}
	if err := s.createFirstUser(ctx); err != nil {
		return nil, errors.Join(err, s.env.Stop())
	}
	return s, nil
}

// freeAddress returns a free address on loopback.
func freeAddress(ctx context.Context) (string, error) {
	socket, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return socket.Addr().String(), socket.Close()
}

// createFirstUser creates the pools and the first user; all other seeded users are copies of that
// user.
func (s *suite) createFirstUser(ctx context.Context) error {
	s.etcd = seed.NewEtcd(s.env.Ports.Etcd)
	var err error
	if s.apiserver, err = administrator(s.env.Kube); err != nil {
		return err
	}
	for name, spec := range map[string]v1alpha1.AgentPoolSpec{
		payments:  {Groups: []v1alpha1.GroupReference{{DisplayName: paymentsGroup}}},
		engineers: {MemberFilter: `title eq "Engineer"`, Roles: []v1alpha1.Role{portalapi.RoleIgnoreQuota}},
	} {
		pool := &v1alpha1.AgentPool{ObjectMeta: metav1.ObjectMeta{Namespace: devenv.Namespace, Name: name}, Spec: spec}
		if err := s.env.Client.Create(ctx, pool, client.FieldOwner("bench")); err != nil {
			return fmt.Errorf("create AgentPool %s: %w", name, err)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	seen, err := s.observe(ctx, func(u *v1alpha1.ScimUser) bool {
		return settled(u) && len(u.Status.Pools) == 3 // payments, engineers and the default pool
	})
	if err != nil {
		return err
	}
	defer seen.stop()
	id, err := s.post(ctx, "template@example.test")
	if err != nil {
		return err
	}
	if s.paymentsID, err = s.postGroup(ctx, paymentsGroup, []string{id}); err != nil {
		return err
	}
	if err := seen.wait(ctx, 1); err != nil {
		return fmt.Errorf("wait until the first user is Ready in three pools: %w", err)
	}
	s.users = 1
	s.first = &v1alpha1.ScimUser{}
	return s.env.Client.Get(ctx, client.ObjectKey{Namespace: devenv.Namespace, Name: id}, s.first)
}

// refreshTemplate reads the first user again and uses it as the template of later copies. grantRole
// may have changed its roles since the last call.
func (s *suite) refreshTemplate(ctx context.Context) error {
	var now v1alpha1.ScimUser
	if err := s.env.Client.Get(ctx, client.ObjectKeyFromObject(s.first), &now); err != nil {
		return err
	}
	if !settled(&now) {
		return fmt.Errorf("the first user, the template of all others, is not Ready: %+v", now.Status)
	}
	var err error
	s.first = &now
	s.template, err = s.etcd.Template(ctx, s.first)
	return err
}

// settled reports whether the user is Ready at its current generation. It does not notice a later
// change of a pool's roles.
func settled(u *v1alpha1.ScimUser) bool {
	return u.Status.ObservedGeneration == u.Generation && conditions.IsTrue(u.Status.Conditions, v1alpha1.ConditionReady)
}

// post creates one more user and returns the SCIM id.
func (s *suite) post(ctx context.Context, name string) (string, error) {
	made, err := s.provider.Push(ctx, http.MethodPost, "/Users", seed.Resource(name))
	return made.ID(), err
}

// postGroup creates a group and returns its SCIM id.
func (s *suite) postGroup(ctx context.Context, name string, members []string) (string, error) {
	made, err := s.provider.Push(ctx, http.MethodPost, "/Groups?excludedAttributes=members", idp.Group(name, members...))
	return made.ID(), err
}

// join adds users to a group, ten thousand per request, as providers do.
func (s *suite) join(ctx context.Context, group string, members []string) error {
	for chunk := range slices.Chunk(members, 10_000) {
		if _, err := s.provider.Push(ctx, http.MethodPatch, "/Groups/"+group, idp.Patch(idp.AddMembers(chunk...))); err != nil {
			return err
		}
	}
	return nil
}

// prefix returns a new prefix for the names of one scenario's users and groups.
func (s *suite) prefix() string {
	s.lastPrefix++
	return fmt.Sprintf("new%d-", s.lastPrefix)
}
