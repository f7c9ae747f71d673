// SPDX-License-Identifier: Apache-2.0

package stories_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/kernel/conditions"
	"lightrun.com/scim-operator/internal/kernel/provider"
	"lightrun.com/scim-operator/internal/kernel/tokenfile"
	"lightrun.com/scim-operator/internal/portal/store"
)

// oktaKey returns a key for the integrated provider of the stories.
func oktaKey(name string, expires time.Time) store.NewKey {
	return store.NewKey{Name: name, Scope: store.ScopeSCIM, Provider: provider.ID{Type: provider.Okta}, Expires: expires}
}

func TestPortalKeysBecomeTokens(t *testing.T) {
	w := newWorld(t)
	key, _, err := w.store.CreateKey(t.Context(), admin, oktaKey("okta", noExpiry))
	w.must(err)
	secret := &corev1.Secret{}
	w.eventually("the digest is in the Secret", func() error {
		if err := w.client.Get(t.Context(), client.ObjectKey{Namespace: w.namespace, Name: v1alpha1.PortalTokensSecret}, secret); err != nil {
			return err
		}
		if !strings.Contains(string(secret.Data["tokens"]), key.ID) {
			return errors.New("not yet")
		}
		return nil
	})
	w.must(w.store.DeleteKey(t.Context(), admin, key.ID))
	w.eventually("the digest is removed with the key", func() error {
		w.must(w.client.Get(t.Context(), client.ObjectKeyFromObject(secret), secret))
		if strings.Contains(string(secret.Data["tokens"]), key.ID) {
			return errors.New("still there")
		}
		return nil
	})
}

func TestEveryTokenNamesItsProvider(t *testing.T) {
	w := newWorld(t)
	entra := oktaKey("entra", noExpiry)
	entra.Provider.Type = provider.EntraID
	acme := oktaKey("acme", noExpiry)
	acme.Provider.Name = "acme & sons"
	want := map[string]provider.ID{}
	for _, n := range []store.NewKey{oktaKey("okta", noExpiry), entra, acme} {
		key, _, err := w.store.CreateKey(t.Context(), admin, n)
		w.must(err)
		want["portal-key-"+key.ID] = n.Provider
	}
	w.says(w.identity(), v1alpha1.ConditionReady, v1alpha1.ReasonReady)
	synced := func(reason string, words ...string) {
		w.t.Helper()
		c := w.identity()
		w.eventually("TokensSynced says "+reason, func() error {
			w.poke()
			w.must(w.client.Get(t.Context(), client.ObjectKeyFromObject(c), c))
			have := conditions.Find(c.Status.Conditions, v1alpha1.ConditionTokensSynced)
			for _, word := range words {
				if have == nil || have.Reason != reason || !strings.Contains(have.Message, word) {
					return errors.New(describe(c.Status.Conditions))
				}
			}
			return nil
		})
	}
	synced(v1alpha1.ReasonSynced, "1 portal key(s) work", "2 more are for other identity providers than Okta")
	var secret corev1.Secret
	w.must(w.client.Get(t.Context(), client.ObjectKey{Namespace: w.namespace, Name: v1alpha1.PortalTokensSecret}, &secret))
	entries, err := tokenfile.Parse(secret.Data["tokens"])
	w.must(err)
	got := map[string]provider.ID{}
	for _, e := range entries {
		got[e.Name] = e.Provider
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	t.Log("a declared line without a provider is refused, and the condition says what to add")
	declared := &corev1.Secret{ObjectMeta: metav1Name(w.namespace, v1alpha1.DeclaredTokensSecret), Data: map[string][]byte{"okta": []byte("sha256:" + tokenfile.Digest("a") + " name=old\n")}}
	w.create(declared)
	synced(v1alpha1.ReasonInvalidConfiguration, "okta, line 1", "add provider=Okta")
	w.remove(declared)
	t.Log("so is a key of an older portal that names none")
	w.rawSQL(`UPDATE api_keys SET provider_type = '' WHERE name = 'okta'`)
	synced(v1alpha1.ReasonInvalidConfiguration, "1 portal key(s) name no identity provider", "Make a new key for Okta")
	w.must(w.client.Get(t.Context(), client.ObjectKeyFromObject(&secret), &secret))
	if entries, err := tokenfile.Parse(secret.Data["tokens"]); err != nil || len(entries) != 2 {
		t.Errorf("the webhook gets %v, %v", entries, err)
	}
}

// poke triggers a pass over the configuration now.
func (w *world) poke() {
	w.t.Helper()
	c := w.identity()
	w.must(w.client.Get(w.t.Context(), client.ObjectKeyFromObject(c), c))
	before := c.DeepCopy()
	c.Annotations = map[string]string{"story": time.Now().String()}
	w.must(w.client.Patch(w.t.Context(), c, client.MergeFrom(before)))
}

// warns waits until the configuration's condition TokensExpiring contains all words, or is absent
// if there are none.
func (w *world) warns(words ...string) {
	w.t.Helper()
	w.eventually(fmt.Sprintf("the configuration warns of %v", words), func() error {
		w.poke()
		c := w.identity()
		w.must(w.client.Get(w.t.Context(), client.ObjectKeyFromObject(c), c))
		have := conditions.Find(c.Status.Conditions, v1alpha1.ConditionTokensExpiring)
		if (have != nil) != (len(words) > 0) {
			return errors.New(describe(c.Status.Conditions))
		}
		for _, word := range words {
			if !strings.Contains(have.Reason+" "+have.Message, word) {
				return errors.New(describe(c.Status.Conditions))
			}
		}
		if !conditions.IsTrue(c.Status.Conditions, v1alpha1.ConditionReady) {
			return errors.New("a warning is no failure: " + describe(c.Status.Conditions))
		}
		return nil
	})
}

func TestWarningBeforeTokensExpire(t *testing.T) {
	w := newWorld(t)
	_, _, err := w.store.CreateKey(t.Context(), admin, oktaKey("far", time.Now().Add(30*24*time.Hour)))
	w.must(err)
	w.says(w.identity(), v1alpha1.ConditionReady, v1alpha1.ReasonReady)
	w.warns()
	t.Log("a portal key that expires in ten days")
	near, _, err := w.store.CreateKey(t.Context(), admin, oktaKey("near", time.Now().Add(10*24*time.Hour)))
	w.must(err)
	w.warns(v1alpha1.ReasonTokenExpiresSoon, near.ID+" expires on "+near.ExpiresAt.UTC().Format(time.RFC3339))
	w.must(w.store.DeleteKey(t.Context(), admin, near.ID))
	w.warns()
	t.Log("a declared token that expired yesterday, and one that expired long ago")
	secret := &corev1.Secret{ObjectMeta: metav1Name(w.namespace, v1alpha1.DeclaredTokensSecret), Data: map[string][]byte{"okta": tokenfile.Format([]tokenfile.Entry{
		{Digest: tokenfile.Digest("a"), Name: "okta-2026", Provider: provider.ID{Type: provider.Okta}, Expires: time.Now().Add(-24 * time.Hour)},
		{Digest: tokenfile.Digest("b"), Name: "okta-2020", Provider: provider.ID{Type: provider.Okta}, Expires: time.Now().Add(-1000 * time.Hour)},
	})}}
	w.create(secret)
	w.warns(v1alpha1.ReasonTokenExpired, "okta-2026 expired on")
	t.Log("an invalid line is reported, and never quoted")
	secret.Data["okta"] = []byte("plain-secret\n")
	w.must(w.client.Update(t.Context(), secret))
	c := w.identity()
	w.eventually("the line is reported", func() error {
		w.poke()
		w.must(w.client.Get(t.Context(), client.ObjectKeyFromObject(c), c))
		have := conditions.Find(c.Status.Conditions, v1alpha1.ConditionTokensSynced)
		if have.Reason != v1alpha1.ReasonInvalidConfiguration || !strings.Contains(have.Message, "scim-tokens: okta, line 1") || strings.Contains(have.Message, "plain-secret") {
			return errors.New(describe(c.Status.Conditions))
		}
		return nil
	})
	w.remove(secret)
	w.warns()
}

func TestExpiredKeyIsNotUnknown(t *testing.T) {
	w := newWorld(t)
	key, _, err := w.store.CreateKey(t.Context(), admin, oktaKey("short", time.Now().Add(3*time.Second)))
	w.must(err)
	w.warns(v1alpha1.ReasonTokenExpiresSoon, key.ID)
	w.warns(v1alpha1.ReasonTokenExpired, key.ID+" expired on")
	var secret corev1.Secret
	w.must(w.client.Get(t.Context(), client.ObjectKey{Namespace: w.namespace, Name: v1alpha1.PortalTokensSecret}, &secret))
	if !strings.Contains(string(secret.Data["tokens"]), key.ID) {
		t.Error("the webhook must keep the token for a while, to answer that it expired")
	}
}
