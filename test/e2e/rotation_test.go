// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	portalv1 "lightrun.com/scim-operator/api/portal/v1"
	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/kernel/provider"
	"lightrun.com/scim-operator/internal/kernel/tokenfile"
	"lightrun.com/scim-operator/test/framework/devenv"
	"lightrun.com/scim-operator/test/framework/idp"
)

// refusedWithin is the maximum time for which a token is still accepted after its removal from the
// mounted files: the webhook is notified of changes, and also reads the files every 30 seconds.
// docs/operations/tokens.md states it.
const refusedWithin = 30 * time.Second

// keeper is a place that stores tokens.
type keeper interface {
	// add creates a token and returns it; the others stay.
	add() string
	// remove removes a token.
	remove(token string)
}

// TestRotationUnderLoad: tokens are rotated while a provider pushes continuously: the new one is
// added, the provider changes to it, the old one is removed. Nothing is restarted, no push fails,
// and the old token is refused soon after.
func TestRotationUnderLoad(t *testing.T) {
	for name, kept := range map[string]func(*world) keeper{
		"Declared": func(w *world) keeper { return &declared{world: w, digests: map[string]string{}} },
		"Portal":   func(w *world) keeper { return &portalKeys{world: w, ids: map[string]string{}} },
	} {
		t.Run(name, func(t *testing.T) {
			w := shared(t)
			k := kept(w)
			old := k.add()
			w.accepts(old, true)
			p := &rotating{world: w, token: old}
			stop := p.push(4)
			for range 3 {
				fresh := k.add()
				w.accepts(fresh, true)
				p.use(fresh)
				k.remove(old)
				removed := time.Now()
				w.accepts(old, false)
				if took := time.Since(removed); took > refusedWithin {
					t.Errorf("the old token was refused %s after it was removed, must be within %s", took, refusedWithin)
				} else {
					t.Logf("the old token was refused %s after it was removed", took.Round(time.Millisecond))
				}
				old = fresh
			}
			stop()
			k.remove(old)
			t.Logf("%d pushes", p.pushes.Load())
		})
	}
}

// accepts waits until the webhook accepts a token, or refuses it.
func (w *world) accepts(token string, wanted bool) {
	w.t.Helper()
	prober := *w
	prober.token = token
	eventually(w.t, fmt.Sprintf("a token is accepted: %v", wanted), func(ctx context.Context) error {
		a, err := prober.scim(ctx, http.MethodGet, "/Users?count=1", nil)
		if err == nil && (a.Status == http.StatusOK) != wanted {
			err = fmt.Errorf("answered %d %s", a.Status, a.Detail())
		}
		return err
	})
}

// rotating is an identity provider that pushes with the token that it got last.
type rotating struct {
	*world
	mu     sync.RWMutex // locked for reading during a push
	token  string
	pushes atomic.Int64
}

// use changes the token, between two pushes.
func (p *rotating) use(token string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.token = token
}

// push starts to push from several connections. The returned function ends it.
func (p *rotating) push(connections int) (stop func()) {
	ctx, cancel := context.WithCancel(p.t.Context())
	var pushing sync.WaitGroup
	for i := range connections {
		name := p.name(fmt.Sprintf("rotating%d", i))
		pushing.Go(func() {
			id := ""
			tick := time.NewTicker(50 * time.Millisecond) // below the rate limit of a token
			defer tick.Stop()
			for n := 0; ctx.Err() == nil; n++ {
				<-tick.C
				if id == "" {
					id = p.once(http.MethodPost, "/Users", idp.User(name), http.StatusCreated)
					continue
				}
				p.once(http.MethodPatch, "/Users/"+id, idp.Patch(idp.Replace("title", fmt.Sprint(n))), http.StatusOK)
				p.once(http.MethodGet, "/Users/"+id, nil, http.StatusOK)
			}
		})
	}
	return func() {
		cancel()
		pushing.Wait()
	}
}

// once pushes, and fails on another status. It returns the id in the answer.
func (p *rotating) once(method, path string, body any, status int) string {
	p.mu.RLock()
	defer p.mu.RUnlock()
	sender := *p.world
	sender.token = p.token
	a, err := sender.scim(p.t.Context(), method, path, body)
	if err != nil || a.Status != status {
		p.t.Errorf("a push failed during a rotation: %s %s: %d %s %v", method, path, a.Status, a.Detail(), err)
	}
	p.pushes.Add(1)
	return a.ID()
}

// declared stores tokens in a Secret of digests.
type declared struct {
	*world
	digests map[string]string // lines by token
}

func (d *declared) add() string {
	token := rand.Text()
	d.digests[token] = string(tokenfile.Format([]tokenfile.Entry{{Digest: tokenfile.Digest(token), Name: "rotation", Provider: provider.ID{Type: provider.Okta}}}))
	d.apply()
	return token
}

func (d *declared) remove(token string) {
	delete(d.digests, token)
	d.apply()
}

// apply writes the lines to the Secret.
func (d *declared) apply() {
	d.t.Helper()
	text := ""
	for _, line := range d.digests {
		text += line
	}
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: devenv.Namespace, Name: "rotation-" + d.tag, Labels: map[string]string{v1alpha1.LabelTokenProvider: string(v1alpha1.ProviderOkta)}},
		Data:       map[string][]byte{"okta": []byte(text)},
	}
	err := d.env.Client.Update(d.t.Context(), secret)
	if client.IgnoreNotFound(err) == nil && err != nil {
		err = d.env.Client.Create(d.t.Context(), secret)
	}
	if err != nil {
		d.t.Fatal(err)
	}
}

// portalKeys stores tokens as API keys of the portal, which the manager brings to the webhook.
type portalKeys struct {
	*world
	ids map[string]string // by token
}

func (k *portalKeys) add() string {
	k.t.Helper()
	made, err := k.env.API.CreateAPIKeyWithResponse(k.t.Context(), portalv1.APIKeyCreate{Name: "rotation " + rand.Text(), Scope: "scim", ProviderType: provider.Okta})
	if err != nil || made.JSON201 == nil {
		k.t.Fatalf("make a key: %v %s", err, made.Body)
	}
	k.ids[made.JSON201.Secret] = made.JSON201.Key.ID
	return made.JSON201.Secret
}

func (k *portalKeys) remove(token string) {
	k.t.Helper()
	gone, err := k.env.API.DeleteAPIKeyWithResponse(k.t.Context(), k.ids[token])
	if err != nil || gone.StatusCode() != http.StatusNoContent {
		k.t.Fatalf("delete a key: %v %s", err, gone.Body)
	}
}
