// SPDX-License-Identifier: Apache-2.0

// Package stories_test tests the product's rules as stories: a real API server and etcd, the real
// portal over HTTP, the controllers in this process, and the provider's pushes as objects, written
// as the webhook writes them.
package stories_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/controllers"
	gateway "lightrun.com/scim-operator/internal/gateway/server"
	directory "lightrun.com/scim-operator/internal/gateway/store"
	"lightrun.com/scim-operator/internal/kernel/claims"
	"lightrun.com/scim-operator/internal/kernel/conditions"
	"lightrun.com/scim-operator/internal/kernel/portalapi"
	"lightrun.com/scim-operator/internal/operator/pass"
	"lightrun.com/scim-operator/internal/operator/portalclient/connect"
	"lightrun.com/scim-operator/internal/operator/portalclient/rest"
	"lightrun.com/scim-operator/internal/portal/api"
	"lightrun.com/scim-operator/internal/portal/store"
	"lightrun.com/scim-operator/test/framework/controlplane"
	"lightrun.com/scim-operator/test/framework/idp"
	"lightrun.com/scim-operator/test/framework/poll"
)

func TestMain(m *testing.M) {
	ctrl.SetLogger(zap.New(zap.WriteTo(logSink{})))
	controlplane.Main(m)
}

// logSink discards the controllers' log: a story that fails reports what it saw.
type logSink struct{}

func (logSink) Write(p []byte) (int, error) { return len(p), nil }

const deadline = 30 * time.Second

var admin = store.SystemActor("story")

// world is one company: a namespace, a portal and a manager.
type world struct {
	t         testing.TB
	cp        *controlplane.ControlPlane
	client    client.WithWatch
	namespace string
	store     *store.Store
	server    *httptest.Server
	faults    *faults
	cluster   string
	relist    time.Duration
	file      string // the portal's database
	portal    atomic.Pointer[http.Handler]
	provider  *idp.Provider // pushes into the webhook
	groups    pushed
	leader    string       // the portal's name of the running manager
	token     string       // in the Secret of the portal's credentials
	ahead     atomic.Int64 // how far the portal's clock is ahead
	stop      func()
}

// option changes a world before it starts.
type option func(*world, *v1alpha1.IdentityConfiguration, *portalapi.LoginMethods)

func withConfig(f func(*v1alpha1.IdentityConfigurationSpec)) option {
	return func(_ *world, c *v1alpha1.IdentityConfiguration, _ *portalapi.LoginMethods) { f(&c.Spec) }
}

func withLogin(f func(*portalapi.LoginMethods)) option {
	return func(_ *world, _ *v1alpha1.IdentityConfiguration, m *portalapi.LoginMethods) { f(m) }
}

// wideGuard lets every removal pass, for stories that are not about the guard.
var wideGuard = withConfig(func(s *v1alpha1.IdentityConfigurationSpec) {
	n := int32(1_000_000)
	s.DeprovisioningGuard.MinUsers = &n
})

func newWorld(t *testing.T, options ...option) *world {
	t.Helper()
	t.Parallel()
	return build(t, options...)
}

// benchWorld returns a world for a benchmark.
func benchWorld(b *testing.B) *world {
	b.Helper()
	return build(b)
}

func build(t testing.TB, options ...option) *world {
	t.Helper()
	cp := controlplane.Get(t)
	w := &world{t: t, cp: cp, client: cp.Client, namespace: cp.Namespace(t), faults: &faults{}, cluster: "cluster-a", token: operatorKey}
	w.file = filepath.Join(t.TempDir(), "portal.db")
	w.openPortal(w.file)
	c := w.configuration()
	m := portalapi.LoginMethods{SSO: portalapi.SSO{Enabled: true, Type: "OIDC", Issuer: "http://127.0.0.1:1/idp", ClientID: "portal", ClientSecret: "s"}, SCIMEnabled: true, ProvisionGroups: true}
	for _, o := range options {
		o(w, c, &m)
	}
	w.login(m)
	w.create(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: "portal"}, Data: map[string][]byte{"token": []byte(w.token)}})
	w.create(c)
	w.startWebhook()
	w.startManager()
	return w
}

// startWebhook serves SCIM as the webhook does, in this process, until the test ends.
func (w *world) startWebhook() {
	w.t.Helper()
	d, err := directory.New(directory.Options{Config: w.cp.Config, Namespace: w.namespace, Log: logr.Discard()})
	w.must(err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- d.Run(ctx) }()
	w.t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			w.t.Errorf("the directory ended with %v", err)
		}
	})
	// The login methods of the manager's status come later than the first push of a story, and a
	// story without SCIM pushes too: the server's own tests are about them.
	on := func() gateway.Configuration {
		return gateway.Configuration{Known: d.Synced(), SCIM: true, Groups: true}
	}
	served := httptest.NewServer(gateway.New(gateway.Options{Users: d.Users(), Groups: d.Groups(), Configuration: on, Tokens: anyToken{}, Log: logr.Discard()}))
	w.t.Cleanup(served.Close)
	w.provider = &idp.Provider{URL: served.URL + gateway.BasePath, Token: "token", HTTP: served.Client()}
	w.eventually("the webhook serves", func() error {
		_, err := w.provider.Push(w.t.Context(), http.MethodGet, "/Users?count=0", nil)
		return err
	})
}

// anyToken accepts every token.
type anyToken struct{}

func (anyToken) Authenticate(context.Context, string) (gateway.Identity, error) {
	return gateway.Identity{Name: "story"}, nil
}

// send sends a request of the provider, which must succeed.
func (w *world) send(method, path string, body any, headers ...string) idp.Answer {
	w.t.Helper()
	a, err := w.provider.Push(w.t.Context(), method, path, body, headers...)
	w.must(err)
	return a
}

// keysConfirm is the time for which the manager waits in stories before it accepts a response
// without keys.
const keysConfirm = 3 * time.Second

const operatorKey = "operator-key-operator-key-operator-key"

// openPortal serves the portal with the database in file.
func (w *world) openPortal(file string) {
	w.t.Helper()
	w.servePortal(file)
	w.server = httptest.NewServer(w.faults.around(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		(*w.portal.Load()).ServeHTTP(rw, r)
	})))
	w.t.Cleanup(func() {
		w.server.CloseClientConnections()
		w.server.Close()
	})
}

// servePortal opens the database in file, and lets the portal's server use it from now on.
func (w *world) servePortal(file string) {
	w.t.Helper()
	s, err := store.Open(w.t.Context(), store.Options{Database: file, Now: func() time.Time { return time.Now().Add(time.Duration(w.ahead.Load())) }, CheckSSO: func(context.Context, portalapi.SSO) error { return nil }})
	w.must(err)
	w.store = s
	w.must(s.EnsureManager(w.t.Context(), admin, "admin@example.test", "a-long-password-1"))
	w.must(s.EnsureKey(w.t.Context(), admin, store.NewKey{Name: "operator", Scope: store.ScopeProvisioning}, operatorKey))
	handler, err := api.New(api.Options{Store: s})
	w.must(err)
	w.portal.Store(&handler)
	w.t.Cleanup(func() { _ = s.Close() })
}

func (w *world) configuration() *v1alpha1.IdentityConfiguration {
	return &v1alpha1.IdentityConfiguration{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: v1alpha1.DefaultName},
		Spec: v1alpha1.IdentityConfigurationSpec{
			Portal:           v1alpha1.Portal{URL: w.server.URL, CredentialsSecretRef: v1alpha1.LocalReference{Name: "portal"}},
			IdentityProvider: v1alpha1.IdentityProvider{Type: v1alpha1.ProviderOkta},
		},
	}
}

// startManager runs the controllers until the test ends or stop is called.
func (w *world) startManager() {
	w.t.Helper()
	skip := true
	mgr, err := ctrl.NewManager(w.cp.Config, ctrl.Options{
		Scheme:         w.cp.Scheme,
		Metrics:        server.Options{BindAddress: "0"},
		Controller:     config.Controller{SkipNameValidation: &skip},
		MapperProvider: controllers.Mapper,
		Cache:          controllers.CacheOptions(w.namespace),
	})
	w.must(err)
	ctx, cancel := context.WithCancel(context.Background())
	w.leader = rand.Text()
	leader := w.leader // of this manager; later managers change the field
	w.must(controllers.Setup(ctx, mgr, controllers.Options{
		Namespace: w.namespace, Cluster: w.cluster, Grace: 2 * time.Second, Relist: w.relist, KeysConfirm: keysConfirm,
		Connect: func(p v1alpha1.Portal, key string) (portalapi.Client, error) {
			if p.Driver == v1alpha1.PortalDriverSCIM {
				return connect.Client(p, key, connect.Options{Namespace: w.namespace, Cached: mgr.GetClient(), Live: mgr.GetAPIReader(), Writer: mgr.GetClient(), Leader: leader})
			}
			return rest.New(rest.Options{URL: p.URL, Key: func(context.Context) (string, error) { return key, nil }, HTTP: &http.Client{Transport: &http.Transport{}}, Timeout: 30 * time.Second, RequestID: pass.RequestID, Leader: leader})
		},
	}))
	done := make(chan error, 1)
	go func() { done <- mgr.Start(ctx) }()
	var once sync.Once
	w.stop = func() {
		once.Do(func() {
			cancel()
			if err := <-done; err != nil {
				w.t.Errorf("the manager stopped: %v", err)
			}
		})
	}
	w.t.Cleanup(w.stop)
}

// passes advances the portal's clock, which the guard's window depends on.
func (w *world) passes(d time.Duration) { w.ahead.Add(int64(d)) }

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) create(o client.Object) {
	w.t.Helper()
	w.must(w.client.Create(w.t.Context(), o))
}

// eventually polls until f returns nil.
func (w *world) eventually(what string, f func() error) {
	w.t.Helper()
	poll.For(w.t, what, deadline, 20*time.Millisecond, func(context.Context) error { return f() })
}

// login saves the page Login methods.
func (w *world) login(m portalapi.LoginMethods) {
	w.t.Helper()
	_, _, err := w.store.SaveLoginMethods(w.t.Context(), admin, m, nil, false)
	w.must(err)
}

// changeLogin saves the page with one change.
func (w *world) changeLogin(f func(*portalapi.LoginMethods)) {
	w.t.Helper()
	c, err := w.store.Configuration(w.t.Context())
	w.must(err)
	m := c.LoginMethods
	f(&m)
	w.login(m)
}

// erase deletes an object in Kubernetes.
func (w *world) erase(o client.Object) {
	w.t.Helper()
	w.must(client.IgnoreNotFound(w.client.Delete(w.t.Context(), o)))
}

func (w *world) gone(o client.Object) {
	w.t.Helper()
	w.eventually("the object is deleted", func() error {
		err := w.client.Get(w.t.Context(), client.ObjectKeyFromObject(o), o)
		if apierrors.IsNotFound(err) {
			return nil
		}
		return errors.Join(err, fmt.Errorf("%s still exists: %+v", o.GetName(), o))
	})
}

// pool applies an AgentPool. If it declares no members, groups or filter, a group with its name
// fills it, which is pushed too.
func (w *world) pool(name string, spec v1alpha1.AgentPoolSpec) *v1alpha1.AgentPool {
	w.t.Helper()
	pushed := spec.Groups == nil && spec.Members == nil && spec.MemberFilter == "" && name != v1alpha1.DefaultName
	if pushed {
		spec.Groups = []v1alpha1.GroupReference{{DisplayName: name}}
	}
	p := &v1alpha1.AgentPool{ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: name}, Spec: spec}
	w.create(p)
	if pushed {
		w.groups.mu.Lock()
		defer w.groups.mu.Unlock()
		w.groupNamed(name)
	}
	return p
}

func (w *world) changePool(p *v1alpha1.AgentPool, edit func(*v1alpha1.AgentPoolSpec)) {
	w.t.Helper()
	w.must(w.client.Get(w.t.Context(), client.ObjectKeyFromObject(p), p))
	before := p.DeepCopy()
	edit(&p.Spec)
	w.must(w.client.Patch(w.t.Context(), p, client.MergeFrom(before)))
}

// account reads the portal's record.
func (w *world) account(userName string) *store.Account {
	w.t.Helper()
	a, err := w.store.AccountByName(w.t.Context(), userName)
	if err != nil {
		return nil
	}
	return a
}

// provisioned waits until the user's account is active and managed by SCIM, with exactly these
// roles, and the status shows them.
func (w *world) provisioned(u *v1alpha1.ScimUser, roles ...string) {
	w.t.Helper()
	slices.Sort(roles)
	w.eventually(u.Spec.UserName+" has "+fmt.Sprint(roles), func() error {
		if err := w.client.Get(w.t.Context(), client.ObjectKeyFromObject(u), u); err != nil {
			return err
		}
		a := w.account(u.Spec.UserName)
		switch {
		case a == nil:
			return errors.New("no account in the portal; " + describe(u.Status.Conditions))
		case a.Status != portalapi.StatusActive || a.ManagedBy != portalapi.ManagedBySCIM || a.Owner.UID != string(u.UID):
			return fmt.Errorf("the account is %s, managed by %s, of %s; %s", a.Status, a.ManagedBy, a.Owner.UID, describe(u.Status.Conditions))
		case !slices.Equal(a.Roles, roles):
			return fmt.Errorf("the portal has %v; %s", a.Roles, describe(u.Status.Conditions))
		case !slices.Equal(roleNames(u), roles):
			return fmt.Errorf("the status has %v; %s", roleNames(u), describe(u.Status.Conditions))
		case !conditions.IsTrue(u.Status.Conditions, v1alpha1.ConditionReady) || u.Status.ObservedGeneration != u.Generation:
			return errors.New(describe(u.Status.Conditions))
		}
		return nil
	})
}

func roleNames(u *v1alpha1.ScimUser) []string {
	var out []string
	for _, r := range u.Status.Roles {
		out = append(out, r.Name)
	}
	return out
}

// says waits until an object's condition has the reason.
func (w *world) says(o client.Object, typ, reason string) {
	w.t.Helper()
	w.eventually(fmt.Sprintf("%s says %s=%s", o.GetName(), typ, reason), func() error {
		if err := w.client.Get(w.t.Context(), client.ObjectKeyFromObject(o), o); err != nil {
			return err // it may not exist yet
		}
		all := conditionsOf(o)
		if c := conditions.Find(all, typ); c == nil || c.Reason != reason {
			return errors.New(describe(all))
		}
		return nil
	})
}

func conditionsOf(o client.Object) []metav1.Condition {
	switch o := o.(type) {
	case *v1alpha1.ScimUser:
		return o.Status.Conditions
	case *v1alpha1.AgentPool:
		return o.Status.Conditions
	case *v1alpha1.ScimGroup:
		return o.Status.Conditions
	case *v1alpha1.IdentityConfiguration:
		return o.Status.Conditions
	}
	return nil
}

func describe(all []metav1.Condition) string {
	var b strings.Builder
	b.WriteString("conditions:")
	for _, c := range all {
		fmt.Fprintf(&b, "\n  %s=%s %s: %s", c.Type, c.Status, c.Reason, c.Message)
	}
	return b.String()
}

func (w *world) identity() *v1alpha1.IdentityConfiguration {
	return &v1alpha1.IdentityConfiguration{ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: v1alpha1.DefaultName}}
}

// local makes a local account in the portal.
func (w *world) local(userName string, n store.NewAccount) *store.Account {
	w.t.Helper()
	n.UserName = userName
	a, err := w.store.CreateAccount(w.t.Context(), admin, n)
	w.must(err)
	return a
}

var noExpiry time.Time

func metav1Name(namespace, name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: namespace, Name: name}
}

// registry returns the claim protocol that webhook and controllers use.
func registry(c client.Client) claims.Registry { return claims.Registry{Client: c, Live: c} }
