// SPDX-License-Identifier: Apache-2.0

package stories_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/kernel/conditions"
)

// always returns a handler that sends the same response to every request.
func always(status int, contentType, body string) http.HandlerFunc {
	return func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("Content-Type", contentType)
		rw.WriteHeader(status)
		_, _ = rw.Write([]byte(body))
	}
}

// neverStalled checks for the duration d that no object is Stalled.
func (w *world) neverStalled(d time.Duration, all ...client.Object) {
	w.t.Helper()
	end := time.After(d)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-end:
			return
		case <-tick.C:
		}
		for _, o := range all {
			w.must(w.client.Get(w.t.Context(), client.ObjectKeyFromObject(o), o))
			if conditions.IsTrue(conditionsOf(o), v1alpha1.ConditionStalled) {
				w.t.Fatalf("%s is Stalled because of a response that is not from the portal; %s", o.GetName(), describe(conditionsOf(o)))
			}
		}
	}
}

func TestProxyAnswersForThePortal(t *testing.T) {
	w := newWorld(t)
	key, _, err := w.store.CreateKey(t.Context(), admin, oktaKey("okta", noExpiry))
	w.must(err)
	w.hasKey(key.ID)
	before := w.push("before@example.test")
	w.provisioned(before, user)
	pool := w.pool("leads", v1alpha1.AgentPoolSpec{DisplayName: "Leads"})
	w.says(pool, v1alpha1.ConditionReady, v1alpha1.ReasonReady)

	t.Log("a proxy answers 404 for 12 seconds")
	w.faults.answer("", always(http.StatusNotFound, "text/html", "<html>no such page</html>"))
	arrived, moved, other := w.push("arrived@example.test"), before, w.pool("other", v1alpha1.AgentPoolSpec{DisplayName: "Other"})
	w.change(moved, func(s *v1alpha1.ScimUserSpec) { s.DisplayName = "Moved" })
	w.changePool(pool, func(s *v1alpha1.AgentPoolSpec) { s.DisplayName = "Leaders" })
	all := []client.Object{arrived, moved, pool, other, w.identity()}
	w.says(arrived, v1alpha1.ConditionProvisioned, v1alpha1.ReasonPortalUnreachable)
	w.neverStalled(12*time.Second, all...)
	c := w.identity()
	w.says(c, v1alpha1.ConditionPortalReachable, v1alpha1.ReasonPortalUnreachable)
	if m := conditions.Find(c.Status.Conditions, v1alpha1.ConditionPortalReachable).Message; !strings.Contains(m, "not from the portal") || strings.Contains(m, "no such page") {
		t.Errorf("the condition must report that the response is not from the portal, and must not quote the page: %s", m)
	}

	t.Log("then {} with 200")
	w.faults.answer("", always(http.StatusOK, "application/json", "{}"))
	w.neverStalled(3*time.Second, all...)
	if a := w.account("arrived@example.test"); a != nil {
		t.Errorf("an account was created without a portal: %+v", a)
	}
	w.hasKey(key.ID)

	t.Log("the portal answers again, without any action")
	w.faults.answer("", nil)
	w.provisioned(arrived, user)
	w.provisioned(moved, user)
	w.says(pool, v1alpha1.ConditionReady, v1alpha1.ReasonReady)
	w.says(other, v1alpha1.ConditionReady, v1alpha1.ReasonReady)
	w.says(c, v1alpha1.ConditionReady, v1alpha1.ReasonReady)
	if a := w.account("before@example.test"); a.DisplayName != "Moved" {
		t.Errorf("the change was lost: %+v", a)
	}
	w.hasKey(key.ID)
}

// hasKey waits until the Secret of the portal's tokens has the key.
func (w *world) hasKey(id string) {
	w.t.Helper()
	w.eventually("the key works", func() error {
		if !strings.Contains(w.tokens(), id) {
			return errors.New("the Secret does not have it")
		}
		return nil
	})
}

// tokens returns the tokens in the Secret, or "" if there is no Secret.
func (w *world) tokens() string {
	w.t.Helper()
	var s corev1.Secret
	err := w.client.Get(w.t.Context(), client.ObjectKey{Namespace: w.namespace, Name: v1alpha1.PortalTokensSecret}, &s)
	w.must(client.IgnoreNotFound(err))
	return string(s.Data["tokens"])
}

func TestOneAnswerWithoutKeysRemovesNone(t *testing.T) {
	w := newWorld(t)
	key, _, err := w.store.CreateKey(t.Context(), admin, oktaKey("okta", noExpiry))
	w.must(err)
	w.hasKey(key.ID)
	c := w.identity()
	w.says(c, v1alpha1.ConditionReady, v1alpha1.ReasonReady)

	t.Log("one answer says that there is no key")
	w.faults.answer("/scim-keys", always(http.StatusOK, "application/json", `{"items":[]}`))
	w.poke()
	w.says(c, v1alpha1.ConditionTokensSynced, v1alpha1.ReasonKeysUnconfirmed)
	w.faults.answer("", nil)
	w.says(c, v1alpha1.ConditionTokensSynced, v1alpha1.ReasonSynced)
	w.hasKey(key.ID)

	t.Log("the last key is deleted, without any action")
	deleted := time.Now()
	w.must(w.store.DeleteKey(t.Context(), admin, key.ID))
	w.eventually("the key is removed", func() error {
		if strings.Contains(w.tokens(), key.ID) {
			return errors.New("the Secret still has it")
		}
		return nil
	})
	if after := time.Since(deleted); after < keysConfirm {
		t.Errorf("the key was removed after %s, so the manager did not ask twice", after)
	}
	w.says(c, v1alpha1.ConditionTokensSynced, v1alpha1.ReasonSynced)
}

func TestPortalKeyAsPasted(t *testing.T) {
	w := newWorld(t)
	c := w.identity()
	w.says(c, v1alpha1.ConditionReady, v1alpha1.ReasonReady)
	secret := &corev1.Secret{ObjectMeta: metav1Name(w.namespace, "portal")}
	put := func(key string) {
		w.must(w.client.Get(t.Context(), client.ObjectKeyFromObject(secret), secret))
		secret.Data = map[string][]byte{"token": []byte(key)}
		w.must(w.client.Update(t.Context(), secret))
		w.poke()
	}
	t.Log("a key of two lines is invalid, which is not an error of the portal")
	put(operatorKey + "\n" + operatorKey)
	w.says(c, v1alpha1.ConditionPortalReachable, v1alpha1.ReasonCredentialsMalformed)
	if !conditions.IsTrue(c.Status.Conditions, v1alpha1.ConditionStalled) {
		t.Error("a person must act; " + describe(c.Status.Conditions))
	}
	t.Log("one line with a newline is valid")
	put(operatorKey + "\n")
	w.says(c, v1alpha1.ConditionReady, v1alpha1.ReasonReady)
	w.provisioned(w.push("ada@example.test"), user)
}
