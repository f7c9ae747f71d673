// SPDX-License-Identifier: Apache-2.0

package faults_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/controllers"
	"lightrun.com/scim-operator/internal/kernel/portalapi"
	"lightrun.com/scim-operator/internal/operator/portalclient/session"
	"lightrun.com/scim-operator/internal/portal/store"
	"lightrun.com/scim-operator/test/framework/fakeportal"
	"lightrun.com/scim-operator/test/framework/kubefake"
)

const namespace = "company"

// mode is how a call fails.
type mode string

const (
	before      mode = "before"       // an error, without effect
	after       mode = "after"        // an error, with effect: the answer is lost
	conflict    mode = "conflict"     // Kubernetes answers that another client wrote
	crashBefore mode = "crash before" // the process dies before the call
	crashAfter  mode = "crash after"  // the process dies after the call's effect
)

// fault is one call, such as "PutAccount 3", and how it fails.
type fault struct {
	call string
	mode mode
}

var (
	errFault = errors.New("injected fault")
	errDead  = errors.New("the process is dead")
)

// world is a company whose controllers are driven by the test.
type world struct {
	t      *testing.T
	kube   client.WithWatch // for people and the webhook: without faults
	portal *fakeportal.Portal
	fault  fault

	connected portalapi.Client // the manager's portal: portal, unless a test wraps it

	calls   map[string]int // by kind of call
	order   []string       // every call that can fail
	hit     bool
	dice    *rand.Rand // if not nil, calls fail at random, up to left times
	left    int
	next    mode // how the current call fails
	process *process
	starts  int      // of processes
	ids     []string // SCIM id, name, SCIM id, name, …

	watch func() // called after each write to the portal

	ours, theirs jumping    // the manager's clock and the portal's; Kubernetes has the bubble's
	guard        budget     // of the deprovisioning guard
	jump         *rand.Rand // if not nil, the clocks jump at random before calls
}

// budget of the deprovisioning guard.
type budget struct{ minUsers, maxPercent int32 }

// jumping is a clock that tests set.
type jumping struct{ ahead atomic.Int64 }

func (j *jumping) Now() time.Time                  { return time.Now().Add(time.Duration(j.ahead.Load())) }
func (j *jumping) Since(t time.Time) time.Duration { return j.Now().Sub(t) }
func (j *jumping) set(ahead time.Duration)         { j.ahead.Store(int64(ahead)) }

// process is one run of the manager.
type process struct {
	parts  controllers.Parts
	dead   bool
	wrote  int
	slices []v1alpha1.ScimGroupSlice // in the index
}

// noEvents drops events.
type noEvents struct{}

func (noEvents) Eventf(runtime.Object, runtime.Object, string, string, string, string, ...any) {}

func newWorld(t *testing.T, f fault) *world {
	t.Helper()
	scheme := runtime.NewScheme()
	must(t, clientgoscheme.AddToScheme(scheme))
	must(t, v1alpha1.AddToScheme(scheme))
	w := &world{t: t, fault: f, calls: map[string]int{}, guard: budget{minUsers: 1000, maxPercent: 20}}
	w.portal = fakeportal.New(t, fakeportal.Options{Now: w.theirs.Now})
	w.connected = w.portal
	w.kube = kubefake.New(t, scheme,
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}},
		&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "portal"}, Data: map[string][]byte{"token": []byte("key")}},
	)
	w.portal.Before = func(_ context.Context, c fakeportal.Call) error {
		if !walked(c) { // by the mirror's goroutine
			return nil
		}
		return w.enter(c.Method)
	}
	w.portal.After = func(_ context.Context, c fakeportal.Call, err error) error {
		if !walked(c) {
			return err
		}
		if w.watch != nil && err == nil {
			w.watch()
		}
		return w.leave(err)
	}
	t.Cleanup(func() { w.kill() })
	return w
}

// walked reports whether the call belongs to a pass: writes, and the guard's read of removals.
func walked(c fakeportal.Call) bool { return c.Write || c.Method == "Removals" }

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (w *world) alive() error {
	if w.process == nil || w.process.dead {
		return errDead
	}
	return nil
}

// enter counts a call. If it is the one that fails, enter fails it before its effect.
func (w *world) enter(kind string) error {
	if err := w.alive(); err != nil {
		return err
	}
	w.calls[kind]++
	call := fmt.Sprintf("%s %d", kind, w.calls[kind])
	if everyLook := kind == "Bind" || kind == "get *v1.Secret" || kind == "Removals"; !everyLook || w.calls[kind] <= 3 {
		w.order = append(w.order, call)
	}
	if !strings.HasPrefix(kind, "get ") && kind != "Bind" && kind != "Removals" { // every pass repeats those
		w.process.wrote++
	}
	w.setClocks()
	w.next = w.fails(call)
	switch w.next {
	case before:
		return errFault
	case conflict:
		return apierrors.NewConflict(schema.GroupResource{Resource: kind}, "it", errFault)
	case crashBefore:
		w.process.dead = true
		return errDead
	}
	return nil
}

// fails returns how the call fails, or "" if it does not fail.
func (w *world) fails(call string) mode {
	switch {
	case w.dice != nil && w.left > 0 && w.dice.IntN(8) == 0:
		w.left--
		all := []mode{before, after, crashBefore, crashAfter}
		return all[w.dice.IntN(len(all))]
	case w.dice == nil && call == w.fault.call:
		w.hit = true
		return w.fault.mode
	}
	return ""
}

// leave loses the response of the current call, if that is how it fails.
func (w *world) leave(err error) error {
	how := w.next
	w.next = ""
	switch how {
	case after:
		return errFault
	case crashAfter:
		w.process.dead = true
		return errDead
	}
	return err
}

// around returns a client whose writes, and live reads, can fail.
func (w *world) around(live bool) client.Client {
	return kubefake.Around(w.kube, func(verb string, o client.Object, do func() error) error {
		if verb == "get" && !live {
			return do()
		}
		if verb == "create" {
			o.SetCreationTimestamp(metav1.Now())
		}
		if err := w.enter(verb + " " + strings.TrimPrefix(fmt.Sprintf("%T", o), "*v1alpha1.")); err != nil {
			return err
		}
		return w.leave(do())
	})
}

// start runs a manager if none runs.
func (w *world) start() {
	if w.process != nil && !w.process.dead {
		return
	}
	w.kill()
	w.process = &process{}
	w.starts++
	w.portal.Leader = fmt.Sprint("manager-", w.starts)
	w.process.parts = controllers.Assemble(w.around(false), w.around(true), func(string) events.EventRecorder { return noEvents{} }, controllers.Options{
		Namespace: namespace, Cluster: "cluster", Relist: 1000 * time.Hour, Grace: time.Second, Clock: &w.ours,
		Connect: func(v1alpha1.Portal, string) (portalapi.Client, error) { return w.connected, nil },
		Slices:  w.around(true),
	})
}

// kill ends the process at once.
func (w *world) kill() {
	if w.process != nil {
		w.process.dead = true
		w.process.parts.Session.Close(session.Block{Reason: "dead"})
		synctest.Wait()
	}
}

// settle runs passes until nothing changes, and restarts the manager if it died.
func (w *world) settle() {
	w.t.Helper()
	for quiet, rounds := 0, 0; quiet < 2; rounds++ {
		if rounds == 100 {
			w.t.Fatalf("%v: not settled after %d rounds:\n%s", w.fault, rounds, w.describe())
		}
		w.start()
		p := w.process
		wrote := p.wrote
		failed := w.round(p)
		time.Sleep(20 * time.Second) // two of these are longer than every pause
		synctest.Wait()
		if failed || p.dead || p.wrote != wrote {
			quiet = 0
		} else {
			quiet++
		}
	}
}

// round runs a pass over every object.
func (w *world) round(p *process) (failed bool) {
	ctx := w.t.Context()
	look := func(o client.Object, reconcile func(context.Context, ctrl.Request) (ctrl.Result, error)) {
		if p.dead {
			return
		}
		synctest.Wait()
		if _, err := reconcile(ctx, ctrl.Request{NamespacedName: client.ObjectKeyFromObject(o)}); err != nil {
			failed = true
		}
	}
	config := &v1alpha1.IdentityConfiguration{}
	config.Namespace, config.Name = namespace, v1alpha1.DefaultName
	look(config, p.parts.Configuration.Reconcile)
	p.parts.Users.Pools.Invalidate()
	w.index(p)
	for _, g := range w.groups() {
		look(&g, p.parts.Groups.Reconcile)
	}
	for _, pool := range w.pools() {
		look(&pool, p.parts.Pools.Reconcile)
	}
	p.parts.Users.Pools.Invalidate()
	for _, u := range w.users() {
		look(&u, p.parts.Users.Reconcile)
	}
	for _, c := range w.claims() {
		look(&c, p.parts.Claims.Reconcile)
	}
	return failed
}

func (w *world) users() []v1alpha1.ScimUser {
	var l v1alpha1.ScimUserList
	must(w.t, w.kube.List(context.Background(), &l))
	return l.Items
}

func (w *world) groups() []v1alpha1.ScimGroup {
	var l v1alpha1.ScimGroupList
	must(w.t, w.kube.List(context.Background(), &l))
	return l.Items
}

func (w *world) slices() []v1alpha1.ScimGroupSlice {
	var l v1alpha1.ScimGroupSliceList
	must(w.t, w.kube.List(context.Background(), &l))
	return l.Items
}

// index updates the process's index of groups, as its watches do.
func (w *world) index(p *process) {
	known := map[string]bool{}
	for _, g := range w.groups() {
		p.parts.Index.Put(&g)
		known[g.Name] = true
	}
	for _, s := range w.slices() {
		p.parts.Index.PutSlice(&s)
		known[s.Name] = true
	}
	for _, g := range p.parts.Index.All() {
		if !known[g.ID] {
			p.parts.Index.Drop(g.ID)
		}
	}
	for _, s := range p.slices {
		if !known[s.Name] {
			p.parts.Index.DropSlice(&s)
		}
	}
	p.slices = w.slices()
}

func (w *world) pools() []v1alpha1.AgentPool {
	var l v1alpha1.AgentPoolList
	must(w.t, w.kube.List(context.Background(), &l))
	return l.Items
}

func (w *world) claims() []v1alpha1.NameClaim {
	var l v1alpha1.NameClaimList
	must(w.t, w.kube.List(context.Background(), &l))
	return l.Items
}

// accounts returns all accounts of the portal.
func (w *world) accounts() []store.Account {
	page, _, err := w.portal.Store.Accounts(context.Background(), store.AccountFilter{}, "", 100)
	must(w.t, err)
	return page
}

// describe returns the company's state as text that is the same in every run.
func (w *world) describe() string {
	var out []string
	for _, u := range w.users() {
		ready := "?"
		for _, c := range u.Status.Conditions {
			if c.Type == v1alpha1.ConditionReady {
				ready = c.Reason
			}
		}
		out = append(out, fmt.Sprintf("user %s %s pools %v roles %v %s", u.Name, u.Status.UserName, memberships(&u), u.Status.Roles, ready))
	}
	for _, g := range w.groups() {
		out = append(out, fmt.Sprintf("group %s fills %v deleted %v", g.Name, g.Status.Pools, g.Spec.Deleted))
	}
	for _, s := range w.slices() {
		out = append(out, fmt.Sprintf("slice %s %v", s.Name, slices.Sorted(s.Spec.AllMembers())))
	}
	for _, p := range w.pools() {
		out = append(out, fmt.Sprintf("pool %s %s roles %v", p.Name, p.Status.DisplayName, p.Status.Roles))
	}
	for _, c := range w.claims() {
		out = append(out, fmt.Sprintf("claim %s of %s", c.Name, c.Spec.Holder.Name))
	}
	for _, a := range w.accounts() {
		var pools []string
		for _, p := range a.PoolRefs {
			pools = append(pools, p.Name)
		}
		slices.Sort(pools)
		out = append(out, fmt.Sprintf("account %s %s of %q %s roles %v pools %v migrated %v waiting %q", a.UserName, a.Status, a.Owner.Name, a.ManagedBy, a.Roles, pools, a.Migrated, a.WaitingFor.Name))
	}
	pools, err := w.portal.Store.Pools(context.Background())
	must(w.t, err)
	for _, p := range pools {
		out = append(out, fmt.Sprintf("portal pool %s roles %v owned %v members %d", p.Name, p.Roles, p.Owner.UID != "", p.Members))
	}
	made := map[string]int{}
	audit, err := w.portal.Store.AuditEvents(context.Background(), store.AuditFilter{}, 0, 1000)
	must(w.t, err)
	for _, e := range audit {
		if !e.Refused() && (e.Action == "user.create" || e.Action == "user.adopt" || e.Action == "user.delete") {
			made[e.Action]++
		}
	}
	out = append(out, fmt.Sprintf("audit %v", made))
	names := strings.NewReplacer(w.ids...)
	for i := range out {
		out[i] = names.Replace(out[i])
	}
	slices.Sort(out)
	return strings.Join(out, "\n")
}

// memberships returns the pools of the user's status, each with its source.
func memberships(u *v1alpha1.ScimUser) []string {
	out := []string{}
	for _, m := range u.Status.Pools {
		out = append(out, fmt.Sprintf("{%s %s}", m.Name, m.Source))
	}
	return out
}
