package directory_test

import (
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/directory"
	"lightrun.com/scim-operator/internal/scim/patch"
)

// gate stands in a replica's watches and holds back what they bring, so that its cache stays behind.
type gate struct {
	mu   sync.Mutex
	held chan struct{} // closed when nothing is held back
}

func newGate() *gate {
	g := &gate{held: make(chan struct{})}
	close(g.held)
	return g
}

func (g *gate) shut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.held = make(chan struct{})
}

func (g *gate) open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	select {
	case <-g.held:
	default:
		close(g.held)
	}
}

func (g *gate) passed() <-chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.held
}

type gated struct {
	io.ReadCloser
	gate *gate
}

func (b gated) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	<-b.gate.passed()
	return n, err
}

// replicaBehind is a directory whose watches can be held back.
func (w world) replicaBehind(t *testing.T) (*directory.Directory, *gate) {
	g := newGate()
	d := w.replica(t, func(c *rest.Config) {
		c.Wrap(func(next http.RoundTripper) http.RoundTripper {
			return roundTrip(func(r *http.Request) (*http.Response, error) {
				response, err := next.RoundTrip(r)
				if err == nil && r.URL.Query().Get("watch") != "" {
					response.Body = gated{response.Body, g}
				}
				return response, err
			})
		})
	})
	t.Cleanup(g.open)
	return d, g
}

// TestCacheBehindADeadReplica: a replica wrote to a person and died before it left a trace on the pool. Another, whose cache does not know that
// write yet, must not take for done what is not.
func TestCacheBehindADeadReplica(t *testing.T) {
	tests := map[string]struct {
		reason string
		before bool // ada is a member before the dead replica's write, which is the opposite
		act    func(d *directory.Directory, t *testing.T, group, ada, bob string) error
		want   bool // ada is a member in the end
	}{
		"Add": {"A listed member is stored or the answer is an error.", true, func(d *directory.Directory, t *testing.T, group, ada, _ string) error {
			return change(d, t, group, patch.MemberChange{Op: patch.AddMembers, IDs: []string{ada}})
		}, true},
		"Remove": {"Who is taken out must be out.", false, func(d *directory.Directory, t *testing.T, group, ada, _ string) error {
			return change(d, t, group, patch.MemberChange{Op: patch.RemoveMembers, IDs: []string{ada}})
		}, false},
		"ReplaceWith": {"Who is listed in a replacement must be in.", true, func(d *directory.Directory, t *testing.T, group, ada, bob string) error {
			return change(d, t, group, patch.MemberChange{Op: patch.ReplaceMembers, IDs: []string{ada, bob}})
		}, true},
		"ReplaceWithout": {"Whom a replacement leaves out must be out.", false, func(d *directory.Directory, t *testing.T, group, _, bob string) error {
			return change(d, t, group, patch.MemberChange{Op: patch.ReplaceMembers, IDs: []string{bob}})
		}, false},
		"RemoveAll": {"Nobody must be left.", false, func(d *directory.Directory, t *testing.T, group, _, _ string) error {
			return change(d, t, group, patch.MemberChange{Op: patch.RemoveAll})
		}, false},
		"Delete": {"A deleted group has no members.", false, func(d *directory.Directory, t *testing.T, group, _, _ string) error {
			return d.Groups().Delete(t.Context(), group)
		}, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			d, watches := w.replicaBehind(t)
			ada, bob := createUser(t, d, "ada"), createUser(t, d, "bob")
			var first []string
			if tt.before {
				first = []string{ada}
			}
			g, err := createGroup(t, d, "Payments", first...)
			if err != nil {
				t.Fatal(err)
			}
			watches.shut()
			w.assert(t, ada, g.ID, !tt.before)
			answered := make(chan error, 1)
			go func() { answered <- tt.act(d, t, g.ID, ada, bob) }()
			w.answeredOrWaiting(t, answered, watches)
			if stored := w.stored(t, g.ID); slices.Contains(stored, ada) != tt.want {
				t.Errorf("%s Stored are %v, ada is %s", tt.reason, stored, ada)
			}
		})
	}
}

// assert writes that the provider put somebody into a pool, or out of it, as a replica does.
func (w world) assert(t *testing.T, who, pool string, in bool) {
	t.Helper()
	var pools []string
	if in {
		pools = []string{pool}
	}
	body, err := scimPatch(pools)
	if err != nil {
		t.Fatal(err)
	}
	u := &v1alpha1.ScimUser{ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: who}}
	if err := w.Client.Patch(t.Context(), u, client.RawPatch(types.MergePatchType, body)); err != nil {
		t.Fatal(err)
	}
}

// answeredOrWaiting lets a request be answered from a cache that is behind or, if it waits for the cache, lets the cache catch up.
func (w world) answeredOrWaiting(t *testing.T, answered <-chan error, watches *gate) {
	t.Helper()
	var err error
	select {
	case err = <-answered:
	case <-w.touched(t):
		watches.open()
		err = <-answered
	}
	if err != nil {
		t.Errorf("the request must succeed: %v", err)
	}
}

// touched is closed when somebody bears the mark of a write that changes nothing else.
func (w world) touched(t *testing.T) <-chan struct{} {
	t.Helper()
	out := make(chan struct{})
	events, err := w.Client.Watch(t.Context(), &v1alpha1.ScimUserList{}, client.InNamespace(w.namespace))
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		defer events.Stop()
		for e := range events.ResultChan() {
			if u, ok := e.Object.(*v1alpha1.ScimUser); ok && u.Annotations["iam.lightrun.com/claim-attempt"] != "" {
				close(out)
				return
			}
		}
	}()
	return out
}

// between runs act once, just before a replica's first request that matches.
func between(matches func(*http.Request) bool, act func()) func(*rest.Config) {
	var once sync.Once
	return func(c *rest.Config) {
		c.Wrap(func(next http.RoundTripper) http.RoundTripper {
			return roundTrip(func(r *http.Request) (*http.Response, error) {
				if matches(r) {
					once.Do(act)
				}
				return next.RoundTrip(r)
			})
		})
	}
}

// patches says whether a request patches an object of a kind.
func patches(kind string) func(*http.Request) bool {
	return func(r *http.Request) bool {
		return r.Method == http.MethodPatch && strings.Contains(r.URL.Path, "/"+kind+"/")
	}
}

// TestAdditionToAGroupThatIsDeleted: who is put into a group while another replica deletes it is not left in it.
func TestAdditionToAGroupThatIsDeleted(t *testing.T) {
	for name, spec := range map[string]v1alpha1.AgentPoolSpec{"Pushed": {}, "Declared": {Roles: []v1alpha1.Role{"ROLE_MANAGER"}}} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			deleter := w.replica(t)
			ada := createUser(t, deleter, "ada")
			g, err := createGroup(t, deleter, "Payments")
			if err != nil {
				t.Fatal(err)
			}
			p := w.pool(t, g.ID)
			p.Spec.Roles = spec.Roles
			if err := w.Client.Update(t.Context(), p); err != nil {
				t.Fatal(err)
			}
			adder := w.replica(t, between(patches("agentpools"), func() { // ada is in, which is about to be noted on the pool
				if err := deleter.Groups().Delete(t.Context(), g.ID); err != nil {
					t.Error(err)
				}
				w.assert(t, ada, g.ID, true) // as if the deletion had been over before
			}))
			err = change(adder, t, g.ID, patch.MemberChange{Op: patch.AddMembers, IDs: []string{ada}})
			if status(err) != http.StatusNotFound {
				t.Errorf("the group is gone: %v", err)
			}
			if stored := w.stored(t, g.ID); len(stored) != 0 {
				t.Errorf("left in the deleted group are %v", stored)
			}
		})
	}
}
