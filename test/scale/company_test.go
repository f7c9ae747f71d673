// SPDX-License-Identifier: Apache-2.0

package scale_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/controllers"
	"lightrun.com/scim-operator/internal/kernel/claims"
	"lightrun.com/scim-operator/internal/kernel/portalapi"
	"lightrun.com/scim-operator/internal/operator/portalclient/session"
)

const namespace = "company"

// cluster is a fake cache of a cluster. It serves the reads of a pass, and counts its writes; any
// other call panics.
type cluster struct {
	client.Client
	users  map[string]*v1alpha1.ScimUser
	claims map[string]*v1alpha1.NameClaim
	pools  map[string]*v1alpha1.AgentPool
	wrote  int // status writes
}

func (c *cluster) Get(_ context.Context, key client.ObjectKey, o client.Object, _ ...client.GetOption) error {
	missing := apierrors.NewNotFound(schema.GroupResource{}, key.Name)
	switch o := o.(type) {
	case *v1alpha1.ScimUser:
		if u := c.users[key.Name]; u != nil {
			u.DeepCopyInto(o)
			return nil
		}
	case *v1alpha1.NameClaim:
		if n := c.claims[key.Name]; n != nil {
			n.DeepCopyInto(o)
			return nil
		}
	case *v1alpha1.AgentPool:
		if p := c.pools[key.Name]; p != nil {
			p.DeepCopyInto(o)
			return nil
		}
	}
	return missing
}

func (c *cluster) List(_ context.Context, l client.ObjectList, _ ...client.ListOption) error {
	for _, p := range c.pools {
		l.(*v1alpha1.AgentPoolList).Items = append(l.(*v1alpha1.AgentPoolList).Items, *p.DeepCopy())
	}
	return nil
}

func (c *cluster) Status() client.SubResourceWriter { return status{c: c} }

type status struct {
	client.SubResourceWriter
	c *cluster
}

func (s status) Patch(_ context.Context, o client.Object, _ client.Patch, _ ...client.SubResourcePatchOption) error {
	s.c.wrote++
	switch o := o.(type) {
	case *v1alpha1.ScimUser:
		s.c.users[o.Name] = o.DeepCopy()
	case *v1alpha1.AgentPool:
		s.c.pools[o.Name] = o.DeepCopy()
	}
	return nil
}

// mapPortal is a fake portal that stores its records in maps.
type mapPortal struct {
	portalapi.Client
	mu       sync.Mutex
	accounts []portalapi.Account
	byUID    map[string]int
	pools    map[string]*portalapi.Pool
	feed     []portalapi.Change
	changed  chan struct{}
	puts     int
	reads    int
}

func newMapPortal() *mapPortal {
	return &mapPortal{byUID: map[string]int{}, changed: make(chan struct{}), pools: map[string]*portalapi.Pool{"default": {ID: "default", Name: "Default", Default: true, Revision: 1}}}
}

func (b *mapPortal) read() func() {
	b.mu.Lock()
	b.reads++
	return b.mu.Unlock
}

func (b *mapPortal) Position(context.Context) (portalapi.Position, error) {
	defer b.read()()
	return portalapi.Position{Epoch: "e", Sequence: int64(len(b.feed))}, nil
}

func (b *mapPortal) Configuration(context.Context) (*portalapi.Configuration, error) {
	defer b.read()()
	return &portalapi.Configuration{LoginMethods: portalapi.LoginMethods{SSO: portalapi.SSO{Enabled: true}, SCIMEnabled: true}, Revision: 1}, nil
}

func (b *mapPortal) Roles(context.Context) ([]portalapi.Role, error) {
	defer b.read()()
	return []portalapi.Role{{Name: portalapi.RoleUser, Grantable: true}, {Name: portalapi.RoleIgnoreQuota, Grantable: true}, {Name: portalapi.RoleManager, Grantable: true}}, nil
}

func (b *mapPortal) Released(context.Context, string, int) ([]portalapi.ReleasedOwner, string, error) {
	return nil, "", nil
}

func (b *mapPortal) ReleasedPools(context.Context, string, int) ([]portalapi.ReleasedPool, string, error) {
	return nil, "", nil
}

func (b *mapPortal) Pools(context.Context) ([]portalapi.Pool, error) {
	defer b.read()()
	var out []portalapi.Pool
	for _, p := range b.pools {
		out = append(out, *p)
	}
	return out, nil
}

func (b *mapPortal) Accounts(_ context.Context, after string, limit int) (page []portalapi.Account, next string, err error) {
	defer b.read()()
	i, found := slices.BinarySearchFunc(b.accounts, after, func(a portalapi.Account, id string) int { return compare(a.ID, id) })
	if found {
		i++
	}
	page = slices.Clone(b.accounts[i:min(i+limit, len(b.accounts))])
	if i+limit < len(b.accounts) {
		next = page[limit-1].ID
	}
	return page, next, nil
}

func compare(a, b string) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

func (b *mapPortal) Changes(ctx context.Context, p portalapi.Position, wait time.Duration) ([]portalapi.Change, portalapi.Position, error) {
	timeout := time.NewTimer(wait)
	defer timeout.Stop()
	for {
		b.mu.Lock()
		out, changed := slices.Clone(b.feed[p.Sequence:]), b.changed
		b.mu.Unlock()
		if len(out) > 0 {
			p.Sequence += int64(len(out))
			return out, p, nil
		}
		select {
		case <-ctx.Done():
			return nil, p, ctx.Err()
		case <-timeout.C:
			return nil, p, nil
		case <-changed:
		}
	}
}

func (b *mapPortal) PutAccount(_ context.Context, w portalapi.AccountWrite) (*portalapi.Account, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.puts++
	i, ok := b.byUID[w.Owner.UID]
	if !ok {
		i = len(b.accounts)
		b.byUID[w.Owner.UID] = i
		b.accounts = append(b.accounts, portalapi.Account{ID: fmt.Sprintf("account-%08d", i)})
	}
	a := &b.accounts[i]
	*a = portalapi.Account{
		ID: a.ID, UserName: w.UserName, DisplayName: w.DisplayName, GivenName: w.GivenName, FamilyName: w.FamilyName, Email: w.Email, ExternalID: w.ExternalID,
		Status: portalapi.StatusActive, ManagedBy: portalapi.ManagedBySCIM, Owner: w.Owner, Pools: w.Pools, Roles: b.roles(w.Pools), Revision: a.Revision + 1,
	}
	out := *a
	return &out, nil
}

func (b *mapPortal) roles(pools []string) []string {
	out := []string{portalapi.RoleUser}
	for _, id := range pools {
		out = append(out, b.pools[id].Roles...)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// PutPool changes the pool and the roles of all its users, and adds to the feed, as the portal
// does.
func (b *mapPortal) PutPool(_ context.Context, w portalapi.PoolWrite) (*portalapi.Pool, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.puts++
	id := "pool-" + w.Owner.UID
	p := portalapi.Pool{ID: id, Name: w.Name, Roles: w.Roles, Owner: w.Owner, Pins: w.Pins, Revision: 1}
	if before := b.pools[id]; before != nil {
		p.Revision = before.Revision + 1
	}
	b.pools[id] = &p
	b.feed = append(b.feed, portalapi.Change{Kind: portalapi.ChangePool, ID: id, Pool: &p})
	for i := range b.accounts {
		if a := &b.accounts[i]; slices.Contains(a.Pools, id) {
			a.Roles, a.Revision = b.roles(a.Pools), a.Revision+1
			entry := *a
			b.feed = append(b.feed, portalapi.Change{Kind: portalapi.ChangeAccount, ID: a.ID, Account: &entry})
		}
	}
	close(b.changed)
	b.changed = make(chan struct{})
	return &p, nil
}

// company is a cluster and a portal, with one manager.
type company struct {
	tb      testing.TB
	cluster *cluster
	portal  *mapPortal
	parts   controllers.Parts
	names   []string
	members map[string]bool // of the group that fills the pool
}

type noEvents struct{}

func (noEvents) Eventf(runtime.Object, runtime.Object, string, string, string, string, ...any) {}

// newCompany has n users, every other one in the pool "fast".
func newCompany(tb testing.TB, n int) *company {
	c := &company{tb: tb, portal: newMapPortal(), members: map[string]bool{}, cluster: &cluster{
		users: make(map[string]*v1alpha1.ScimUser, n), claims: make(map[string]*v1alpha1.NameClaim, n), pools: map[string]*v1alpha1.AgentPool{},
	}}
	fast := &v1alpha1.AgentPool{ObjectMeta: meta("fast"), Spec: v1alpha1.AgentPoolSpec{Roles: []v1alpha1.Role{portalapi.RoleIgnoreQuota}, Groups: []v1alpha1.GroupReference{{ID: "fast-group"}}}}
	fast.Finalizers = []string{v1alpha1.FinalizerPool}
	c.cluster.pools["fast"] = fast
	c.claim(v1alpha1.ClaimPool, "fast", fast)
	for i := range n {
		c.push(i)
	}
	c.start()
	return c
}

func meta(name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: namespace, Name: name, UID: types.UID("uid-" + name), Generation: 1, CreationTimestamp: metav1.NewTime(time.Now().Add(-time.Hour))}
}

func (c *company) claim(typ v1alpha1.ClaimType, name string, holder client.Object) {
	id := claims.ObjectName(typ, name)
	c.cluster.claims[id] = &v1alpha1.NameClaim{ObjectMeta: meta(id), Spec: v1alpha1.NameClaimSpec{Type: typ, Holder: v1alpha1.ClaimHolder{Name: holder.GetName(), UID: string(holder.GetUID())}}}
}

// push adds the i-th user, with the attributes that providers send.
func (c *company) push(i int) string {
	id := fmt.Sprintf("00000000-0000-4000-8000-%012d", i)
	userName := fmt.Sprintf("person.%06d@example.test", i)
	u := &v1alpha1.ScimUser{ObjectMeta: meta(id), Spec: v1alpha1.ScimUserSpec{
		UserName: userName, ExternalID: fmt.Sprintf("ext-%d", i), DisplayName: fmt.Sprintf("Person %d", i),
		Name:   &v1alpha1.Name{GivenName: "Person", FamilyName: fmt.Sprint(i)},
		Emails: []v1alpha1.MultiValue{{Value: userName, Type: "work"}},
	}}
	if i%2 == 0 {
		c.members[id] = true
	}
	c.cluster.users[id] = u
	c.claim(v1alpha1.ClaimUser, userName, u)
	c.names = append(c.names, id)
	return id
}

// start runs a new manager and waits until it has read the portal.
func (c *company) start() {
	c.stop()
	c.parts = controllers.Assemble(c.cluster, c.cluster, func(string) events.EventRecorder { return noEvents{} }, controllers.Options{
		Namespace: namespace, Slices: c.cluster,
	})
	c.parts.Index.Put(&v1alpha1.ScimGroup{ObjectMeta: meta("fast-group"), Spec: v1alpha1.ScimGroupSpec{DisplayName: "fast"}})
	c.parts.Index.PutSlice(groupSlice(c.members))
	listed := make(chan struct{})
	c.parts.Session.Subscribe(func(e session.Event) {
		if e.Listed {
			close(listed)
		}
	})
	c.parts.Session.Open(context.Background(), "key", c.portal, &v1alpha1.IdentityConfigurationSpec{})
	<-listed
}

func (c *company) stop() {
	if c.parts.Session != nil {
		c.parts.Session.Close(session.Block{Reason: "stopped"})
	}
}

func (c *company) look(people ...string) {
	for _, name := range people {
		if _, err := c.parts.Users.Reconcile(context.Background(), request(name)); err != nil {
			c.tb.Fatal(err)
		}
	}
}

func (c *company) passPool() {
	if _, err := c.parts.Pools.Reconcile(context.Background(), request("fast")); err != nil {
		c.tb.Fatal(err)
	}
	c.parts.Users.Pools.Invalidate()
}

func request(name string) ctrl.Request {
	return ctrl.Request{NamespacedName: types.NamespacedName{Namespace: namespace, Name: name}}
}

// count returns the numbers of calls and writes since the last count.
func (c *company) count() (puts, reads, wrote int) {
	c.portal.mu.Lock()
	defer c.portal.mu.Unlock()
	puts, reads, wrote = c.portal.puts, c.portal.reads, c.cluster.wrote
	c.portal.puts, c.portal.reads, c.cluster.wrote = 0, 0, 0
	return puts, reads, wrote
}
