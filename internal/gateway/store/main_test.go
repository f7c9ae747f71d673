// SPDX-License-Identifier: Apache-2.0

package store_test

import (
	"context"
	"errors"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/go-logr/logr/testr"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/gateway/server"
	"lightrun.com/scim-operator/internal/gateway/store"
	"lightrun.com/scim-operator/internal/kernel/provider"
	"lightrun.com/scim-operator/test/framework/controlplane"
	"lightrun.com/scim-operator/test/framework/poll"
)

func TestMain(m *testing.M) { controlplane.Main(m) }

// token is the token that every test server accepts.
const token = "test-token"

type anyone struct{}

func (anyone) Authenticate(_ context.Context, t string) (server.Identity, error) {
	if t != token {
		return server.Identity{}, errWrongToken
	}
	return server.Identity{Name: "test", Provider: provider.ID{Type: provider.Okta}}, nil
}

type wrongToken string

func (e wrongToken) Error() string { return string(e) }

const errWrongToken = wrongToken("the bearer token is not known")

// world is a namespace with an IdentityConfiguration in which SCIM is on.
type world struct {
	*controlplane.ControlPlane
	namespace string
}

func newWorld(tb testing.TB) world {
	tb.Helper()
	w := world{ControlPlane: controlplane.Get(tb)}
	w.namespace = w.Namespace(tb)
	w.configure(tb)
	return w
}

// configure creates the IdentityConfiguration with SCIM and groups on.
func (w world) configure(tb testing.TB) {
	tb.Helper()
	c := &v1alpha1.IdentityConfiguration{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: v1alpha1.DefaultName},
		Spec: v1alpha1.IdentityConfigurationSpec{
			Portal:           v1alpha1.Portal{URL: "http://127.0.0.1:1", CredentialsSecretRef: v1alpha1.LocalReference{Name: "portal"}},
			IdentityProvider: v1alpha1.IdentityProvider{Type: v1alpha1.ProviderOkta},
		},
	}
	if err := w.Client.Create(tb.Context(), c); err != nil {
		tb.Fatal(err)
	}
	c.Status.Provider = &v1alpha1.BoundProvider{Type: v1alpha1.ProviderOkta}
	c.Status.LoginMethods = &v1alpha1.EffectiveLoginMethods{SSO: true, SCIM: true, ProvisionGroups: true}
	if err := w.Client.Status().Update(tb.Context(), c); err != nil {
		tb.Fatal(err)
	}
}

// replica starts another directory in the namespace, as another process would.
func (w world) replica(tb testing.TB, change ...func(*rest.Config)) *store.Directory {
	tb.Helper()
	config := rest.CopyConfig(w.Config)
	for _, c := range change {
		c(config)
	}
	return w.start(tb, store.Options{Config: config})
}

func (w world) start(tb testing.TB, o store.Options) *store.Directory {
	tb.Helper()
	o.Namespace, o.Log = w.namespace, logr.Discard()
	d, err := store.New(o)
	if err != nil {
		tb.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- d.Run(ctx) }()
	tb.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			tb.Errorf("run the directory: %v", err)
		}
	})
	eventually(tb, func() bool { return d.Configuration().Known })
	return d
}

// serve starts a SCIM server for a directory and returns its base URL.
func serve(tb testing.TB, d *store.Directory) string {
	tb.Helper()
	log := logr.Discard()
	if testing.Verbose() {
		if t, ok := tb.(*testing.T); ok {
			log = testr.New(t)
		}
	}
	s := httptest.NewServer(server.New(server.Options{
		Users: d.Users(), Groups: d.Groups(), Configuration: d.Configuration, Tokens: anyone{}, Log: log,
	}))
	tb.Cleanup(s.Close)
	return s.URL + server.BasePath
}

// eventually polls until a condition is true.
func eventually(tb testing.TB, condition func() bool) {
	tb.Helper()
	poll.For(tb, "the condition", 30*time.Second, 2*time.Millisecond, func(context.Context) error {
		if !condition() {
			return errors.New("it is false")
		}
		return nil
	})
}

// list reads all objects of a kind in the namespace.
func list[L client.ObjectList](tb testing.TB, w world, into L) L {
	tb.Helper()
	if err := w.Client.List(tb.Context(), into, client.InNamespace(w.namespace)); err != nil {
		tb.Fatal(err)
	}
	return into
}
