package stories_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/conditions"
	"lightrun.com/scim-operator/internal/portalserver/store"
	"lightrun.com/scim-operator/internal/tokens"
)

func TestPortalKeysBecomeTokens(t *testing.T) {
	w := newWorld(t)
	key, _, err := w.store.CreateKey(t.Context(), admin, "okta", store.ScopeSCIM, noExpiry)
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
	w.eventually("and gone when the key is", func() error {
		w.must(w.client.Get(t.Context(), client.ObjectKeyFromObject(secret), secret))
		if strings.Contains(string(secret.Data["tokens"]), key.ID) {
			return errors.New("still there")
		}
		return nil
	})
}

// poke has the manager look at the configuration now, and not at its next turn.
func (w *world) poke() {
	w.t.Helper()
	c := w.identity()
	w.must(w.client.Get(w.t.Context(), client.ObjectKeyFromObject(c), c))
	before := c.DeepCopy()
	c.Annotations = map[string]string{"story": time.Now().String()}
	w.must(w.client.Patch(w.t.Context(), c, client.MergeFrom(before)))
}

// warns waits until the configuration's condition TokensExpiring holds all of words, or, without any, is absent.
func (w *world) warns(words ...string) {
	w.t.Helper()
	w.eventually(fmt.Sprintf("the configuration warns of %v", words), func() error {
		w.poke()
		c := w.identity()
		w.must(w.client.Get(w.t.Context(), client.ObjectKeyFromObject(c), c))
		have := conditions.Find(c.Status.Conditions, v1alpha1.ConditionTokensExpiring)
		if (have != nil) != (len(words) > 0) {
			return errors.New(told(c.Status.Conditions))
		}
		for _, word := range words {
			if !strings.Contains(have.Reason+" "+have.Message, word) {
				return errors.New(told(c.Status.Conditions))
			}
		}
		if !conditions.IsTrue(c.Status.Conditions, v1alpha1.ConditionReady) {
			return errors.New("a warning is no failure: " + told(c.Status.Conditions))
		}
		return nil
	})
}

func TestTokensThatExpireAreWarnedOf(t *testing.T) {
	w := newWorld(t)
	_, _, err := w.store.CreateKey(t.Context(), admin, "far", store.ScopeSCIM, time.Now().Add(30*24*time.Hour))
	w.must(err)
	w.says(w.identity(), v1alpha1.ConditionReady, v1alpha1.ReasonReady)
	w.warns()
	t.Log("a portal key with ten days to live")
	near, _, err := w.store.CreateKey(t.Context(), admin, "near", store.ScopeSCIM, time.Now().Add(10*24*time.Hour))
	w.must(err)
	w.warns(v1alpha1.ReasonTokenExpiresSoon, near.ID+" expires on "+near.ExpiresAt.UTC().Format(time.RFC3339))
	w.must(w.store.DeleteKey(t.Context(), admin, near.ID))
	w.warns()
	t.Log("a declared token that expired yesterday, and one of long ago that nobody misses")
	secret := &corev1.Secret{ObjectMeta: metav1Name(w.namespace, v1alpha1.DeclaredTokensSecret), Data: map[string][]byte{"okta": tokens.Format([]tokens.Entry{
		{Digest: tokens.Digest("a"), Name: "okta-2026", Expires: time.Now().Add(-24 * time.Hour)},
		{Digest: tokens.Digest("b"), Name: "okta-2020", Expires: time.Now().Add(-1000 * time.Hour)},
	})}}
	w.create(secret)
	w.warns(v1alpha1.ReasonTokenExpired, "okta-2026 expired on")
	t.Log("a line that declares nothing is told, and never shown")
	secret.Data["okta"] = []byte("plain-secret\n")
	w.must(w.client.Update(t.Context(), secret))
	c := w.identity()
	w.eventually("the line is told", func() error {
		w.poke()
		w.must(w.client.Get(t.Context(), client.ObjectKeyFromObject(c), c))
		have := conditions.Find(c.Status.Conditions, v1alpha1.ConditionTokensSynced)
		if have.Reason != v1alpha1.ReasonInvalidConfiguration || !strings.Contains(have.Message, "scim-tokens: okta, line 1") || strings.Contains(have.Message, "plain-secret") {
			return errors.New(told(c.Status.Conditions))
		}
		return nil
	})
	w.remove(secret)
	w.warns()
}

func TestAnExpiredPortalKeyIsToldFromAnUnknownOne(t *testing.T) {
	w := newWorld(t)
	key, _, err := w.store.CreateKey(t.Context(), admin, "short", store.ScopeSCIM, time.Now().Add(3*time.Second))
	w.must(err)
	w.warns(v1alpha1.ReasonTokenExpiresSoon, key.ID)
	w.warns(v1alpha1.ReasonTokenExpired, key.ID+" expired on")
	var secret corev1.Secret
	w.must(w.client.Get(t.Context(), client.ObjectKey{Namespace: w.namespace, Name: v1alpha1.PortalTokensSecret}, &secret))
	if !strings.Contains(string(secret.Data["tokens"]), key.ID) {
		t.Error("the webhook must know the token a while longer, to say that it expired")
	}
}
