// SPDX-License-Identifier: Apache-2.0

package ledger_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/operator/portalclient/ledger"
	"lightrun.com/scim-operator/internal/operator/portalclient/scimtarget"
	"lightrun.com/scim-operator/test/framework/kubefake"
)

const namespace = "company"

func kube(t *testing.T, objects ...client.Object) client.WithWatch {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)); err != nil {
		t.Fatal(err)
	}
	return kubefake.New(t, scheme, append(objects, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}})...)
}

func TestEntries(t *testing.T) {
	k := kube(t)
	first := ledger.New(k, k, namespace)
	if err := first.Lead(t.Context(), "first"); err != nil {
		t.Fatal(err)
	}
	want := map[string][]byte{}
	var group sync.WaitGroup
	for i := range 200 {
		key := fmt.Sprintf("user.%03d", i)
		value := fmt.Appendf(nil, `{"id":"%d"}`, i)
		want[key] = value
		group.Go(func() {
			if err := first.Put(t.Context(), "first", map[string][]byte{key: value}); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if err := first.Put(t.Context(), "first", map[string][]byte{"user.000": nil, "user.001": []byte("{}"), "user.unknown": nil}); err != nil {
		t.Fatal(err)
	}
	delete(want, "user.000")
	want["user.001"] = []byte("{}")
	got, err := ledger.New(k, k, namespace).Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("another process reads (-want +got):\n%s", diff)
	}
}

// TestLeaders: from the moment that a second process leads, each write of the first one is refused,
// also to a ConfigMap that the second one has not written since.
func TestLeaders(t *testing.T) {
	k := kube(t)
	first, second := ledger.New(k, k, namespace), ledger.New(k, k, namespace)
	if err := first.Lead(t.Context(), "first"); err != nil {
		t.Fatal(err)
	}
	if err := second.Lead(t.Context(), "second"); err != nil {
		t.Fatal(err)
	}
	for i := range 100 {
		key := fmt.Sprintf("user.%03d", i)
		if err := first.Put(t.Context(), "first", map[string][]byte{key: []byte("late")}); !errors.Is(err, scimtarget.ErrNotLeading) {
			t.Fatalf("a late write of %s: %v", key, err)
		}
	}
	if leader, err := first.Leader(t.Context()); err != nil || leader != "second" {
		t.Errorf("%q leads, %v", leader, err)
	}
	entries, err := second.Load(t.Context())
	if err != nil || len(entries) != 0 {
		t.Errorf("%v, %v", entries, err)
	}
}

// TestForeignWrite: a person edits a ConfigMap, or deletes it. The leader's next write succeeds.
func TestForeignWrite(t *testing.T) {
	k := kube(t)
	l := ledger.New(k, k, namespace)
	if err := l.Lead(t.Context(), "first"); err != nil {
		t.Fatal(err)
	}
	for i := range 32 {
		m := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: ledger.Name(i)}}
		if i%2 == 0 {
			if err := k.Delete(t.Context(), m); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if err := k.Get(t.Context(), client.ObjectKeyFromObject(m), m); err != nil {
			t.Fatal(err)
		}
		m.Labels = map[string]string{"a": "b"}
		if err := k.Update(t.Context(), m); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 100 {
		if err := l.Put(t.Context(), "first", map[string][]byte{fmt.Sprintf("user.%03d", i): []byte("{}")}); err != nil {
			t.Fatal(err)
		}
	}
}

func TestProfile(t *testing.T) {
	k := kube(t, &v1alpha1.ScimUser{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: kubefake.SCIMID("ada")},
		Spec:       v1alpha1.ScimUserSpec{UserName: "ada@example.test", Title: "Engineer", Revision: 1},
	})
	p := ledger.Profiles{Users: k, Namespace: namespace}
	got, err := p.Profile(t.Context(), kubefake.SCIMID("ada"))
	if err != nil || got["title"] != "Engineer" || got["active"] != true {
		t.Errorf("%v, %v", got, err)
	}
	if got, err := p.Profile(t.Context(), kubefake.SCIMID("bob")); err != nil || got != nil {
		t.Errorf("without a ScimUser: %v, %v", got, err)
	}
}
