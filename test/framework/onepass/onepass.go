// SPDX-License-Identifier: Apache-2.0

// Package onepass runs one pass of one controller over a company in memory, and says what the pass
// did: the calls to the portal, the conditions, the events, and when it comes back. The API server
// and the portal are fakes that refuse what the real ones refuse. Each kind's reconciler table uses
// it.
package onepass

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/events"
	clocktesting "k8s.io/utils/clock/testing"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/controllers"
	"lightrun.com/scim-operator/internal/kernel/claims"
	"lightrun.com/scim-operator/internal/kernel/conditions"
	"lightrun.com/scim-operator/internal/kernel/portalapi"
	"lightrun.com/scim-operator/internal/operator/portalclient/session"
	"lightrun.com/scim-operator/test/framework/fakeportal"
	"lightrun.com/scim-operator/test/framework/kubefake"
)

// Namespace is the company's.
const Namespace = "company"

// World is a company in memory.
type World struct {
	T       *testing.T
	Kube    client.WithWatch
	Portal  *fakeportal.Portal
	Clock   *clocktesting.FakePassiveClock
	Parts   controllers.Parts
	Connect func() (portalapi.Client, error) // connects the IdentityConfiguration's pass to the portal; nil connects it to Portal
	Write   func(verb string, o client.Object) error

	mu     sync.Mutex
	events []string
	before func(context.Context, fakeportal.Call) error
}

// Want is what a pass does. Its zero fields are checked too.
type Want struct {
	Calls  string        // writes to the portal: names of methods, in order
	Ready  string        // status and reason of Ready; empty if the status has none, or the object is gone
	Says   string        // a part of the message of Ready
	Also   string        // types of the abnormal conditions, in order
	Events string        // reasons, in order
	Again  time.Duration // when the next pass comes without an event
	Fails  string        // a part of the error; empty if there is none
	Gone   bool          // the object
	Same   bool          // nothing is written to the object
}

// New returns a company without a portal connection, with these objects. An object without a UID
// gets "uid-" and its name.
func New(t *testing.T, objects ...client.Object) *World {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)); err != nil {
		t.Fatal(err)
	}
	w := &World{T: t, Clock: clocktesting.NewFakePassiveClock(time.Now().Truncate(time.Second))}
	w.Portal = fakeportal.New(t, fakeportal.Options{Now: w.Clock.Now})
	w.Portal.Before = func(ctx context.Context, c fakeportal.Call) error {
		w.mu.Lock()
		f := w.before
		w.mu.Unlock()
		if f == nil {
			return nil
		}
		return f(ctx, c)
	}
	w.Kube = kubefake.New(t, scheme, namespace())
	c := kubefake.Around(w.Kube, w.hook)
	w.Parts = controllers.Assemble(c, c, func(string) events.EventRecorder { return (*recorder)(w) }, controllers.Options{
		Namespace: Namespace, Cluster: "cluster", Relist: 1000 * time.Hour, Clock: w.Clock, Slices: c,
		Connect: func(v1alpha1.Portal, string) (portalapi.Client, error) {
			if w.Connect != nil {
				return w.Connect()
			}
			return w.Portal, nil
		},
	})
	t.Cleanup(func() { w.Parts.Session.Close(session.Block{}) })
	w.Put(objects...)
	return w
}

// namespace is the company's, with a finalizer: it stays for a while once it is deleted.
func namespace() *corev1.Namespace {
	return &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: Namespace, Finalizers: []string{"kubernetes.io/test"}}}
}

// hook fails the writes that Write refuses.
func (w *World) hook(verb string, o client.Object, do func() error) error {
	if w.Write != nil && verb != "get" {
		if err := w.Write(verb, o); err != nil {
			return err
		}
	}
	return do()
}

// Before runs f before each call to the portal from now on; its error ends the call without effect.
// nil: nothing runs.
func (w *World) Before(f func(context.Context, fakeportal.Call) error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.before = f
}

// recorder keeps the reasons of events.
type recorder World

func (r *recorder) Eventf(_, _ runtime.Object, _, reason, _, _ string, _ ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, reason)
}

// Put creates objects, with the claim that a webhook took for each user and group, and puts groups
// and slices into the index, as its watch does.
func (w *World) Put(objects ...client.Object) {
	w.T.Helper()
	for _, o := range objects {
		o.SetNamespace(Namespace)
		if o.GetUID() == "" {
			o.SetUID(types.UID("uid-" + o.GetName()))
		}
		if o.GetGeneration() == 0 {
			o.SetGeneration(1)
		}
		w.Must(w.Kube.Create(w.T.Context(), o))
		if typ, name, _ := claims.NameOf(o); name != "" {
			_, err := claims.Registry{Client: w.Kube, Live: w.Kube}.Take(w.T.Context(), typ, name, o)
			w.Must(err)
		}
		switch o := o.(type) {
		case *v1alpha1.ScimGroup:
			w.Parts.Index.Put(o)
		case *v1alpha1.ScimGroupSlice:
			w.Parts.Index.PutSlice(o)
		}
	}
}

// Must ends the test because of an error.
func (w *World) Must(err error) {
	w.T.Helper()
	if err != nil {
		w.T.Fatal(err)
	}
}

// Bind binds the portal as the manager does, so that its records are of this binding.
func (w *World) Bind() {
	w.T.Helper()
	_, err := w.Portal.Bind(w.T.Context(), portalapi.Binding{Cluster: "cluster", Namespace: Namespace, Name: v1alpha1.DefaultName, UID: "uid-default", ProviderType: "Okta"})
	w.Must(err)
}

// Open opens the session with the portal and waits until its state is known. edit changes the
// configuration's spec; nil: not.
func (w *World) Open(edit func(*v1alpha1.IdentityConfigurationSpec)) {
	w.T.Helper()
	var spec v1alpha1.IdentityConfigurationSpec
	if edit != nil {
		edit(&spec)
	}
	listed := w.Listed()
	w.Parts.Session.Open(w.T.Context(), "key", w.Portal, &spec)
	<-listed
}

// Listed is closed once the portal's state is known.
func (w *World) Listed() <-chan struct{} {
	listed := make(chan struct{})
	var once sync.Once
	w.Parts.Session.Subscribe(func(e session.Event) {
		if e.Listed {
			once.Do(func() { close(listed) })
		}
	})
	return listed
}

// Reconcile is a controller's.
type Reconcile func(context.Context, ctrl.Request) (ctrl.Result, error)

// Check runs one pass over o, compares what it does with want, and reads o again. reason is why
// that is right.
func (w *World) Check(reason string, pass Reconcile, o client.Object, have *[]metav1.Condition, want Want) {
	w.T.Helper()
	w.Portal.Forget()
	w.mu.Lock()
	w.events = nil
	w.mu.Unlock()
	key := client.ObjectKey{Namespace: Namespace, Name: o.GetName()}
	w.Must(client.IgnoreNotFound(w.Kube.Get(w.T.Context(), key, o)))
	version := o.GetResourceVersion()
	result, err := pass(w.T.Context(), ctrl.Request{NamespacedName: key})
	got := Want{Again: result.RequeueAfter, Fails: want.Fails}
	if (err == nil) != (want.Fails == "") || err != nil && !strings.Contains(err.Error(), want.Fails) {
		got.Fails = fmt.Sprint(err)
	}
	missing := w.Kube.Get(w.T.Context(), key, o)
	w.Must(client.IgnoreNotFound(missing))
	if got.Gone = apierrors.IsNotFound(missing); !got.Gone {
		got.Same = o.GetResourceVersion() == version
		got.Ready, got.Says, got.Also = ready(*have, want.Says)
	}
	var calls []string
	for _, c := range w.Portal.Writes() {
		calls = append(calls, c.Method)
	}
	w.mu.Lock()
	got.Calls, got.Events = strings.Join(calls, " "), strings.Join(w.events, " ")
	w.mu.Unlock()
	if got != want {
		w.T.Errorf("%s\ngot  %+v\nwant %+v\n%v", reason, got, want, said(*have))
	}
}

// ready is what the conditions say in the form of Want.
func ready(have []metav1.Condition, part string) (ready, says, also string) {
	var abnormal []string
	for _, c := range have {
		if slices.Contains([]string{v1alpha1.ConditionSuspended, v1alpha1.ConditionDrifted, v1alpha1.ConditionDeprovisioningHeld, v1alpha1.ConditionRestoreOpen, v1alpha1.ConditionDegraded, v1alpha1.ConditionTokensExpiring, v1alpha1.ConditionTokensToRotate, v1alpha1.ConditionAuditChanged}, c.Type) {
			abnormal = append(abnormal, c.Type)
		}
	}
	if c := conditions.Find(have, v1alpha1.ConditionReady); c != nil {
		ready, says = string(c.Status)+" "+c.Reason, c.Message
		if strings.Contains(c.Message, part) {
			says = part
		}
	}
	return ready, says, strings.Join(abnormal, " ")
}

func said(have []metav1.Condition) (out []string) {
	for _, c := range have {
		out = append(out, fmt.Sprintf("\n  %s=%s %s: %s", c.Type, c.Status, c.Reason, c.Message))
	}
	return out
}

// Request is the request for a pass over o.
func Request(o client.Object) ctrl.Request {
	return ctrl.Request{NamespacedName: client.ObjectKey{Namespace: Namespace, Name: o.GetName()}}
}

// Settle runs one pass over o and then lets the pause pass that it asked for.
func (w *World) Settle(pass Reconcile, o client.Object) {
	w.T.Helper()
	result, err := pass(w.T.Context(), Request(o))
	w.Must(err)
	w.Clock.SetTime(w.Clock.Now().Add(result.RequeueAfter))
}
