// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	portalv1 "lightrun.com/scim-operator/api/portal/v1"
	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/test/framework/devenv"
	"lightrun.com/scim-operator/test/framework/idp"
)

// answers waits until the provider's connection test gets the status.
func (w *world) answers(what string, status int) idp.Answer {
	w.t.Helper()
	var got idp.Answer
	eventually(w.t, what, func(ctx context.Context) error {
		var err error
		if got, err = w.scim(ctx, "GET", "/Users?startIndex=1&count=1", nil); err != nil || got.Status != status {
			return errors.Join(err, fmt.Errorf("answered %d %s", got.Status, got.Detail()))
		}
		return nil
	})
	return got
}

// TestSwitchedOff: while SCIM is off in the portal, SCIM requests are refused with the reason, and
// users are editable in the portal. After it is turned on, the provider's data is authoritative
// again.
func TestSwitchedOff(t *testing.T) {
	w := shared(t)
	ada := w.name("ada")
	id := w.arrive(ada)
	account := w.becomes(ada, "arrives", active)

	w.loginMethods(func(m *portalv1.LoginMethods) { m.SCIM.Enabled = false })
	on := sync.OnceFunc(func() { w.loginMethods(func(m *portalv1.LoginMethods) { m.SCIM.Enabled = true }) })
	t.Cleanup(on)
	off := w.answers("pushes are refused", http.StatusForbidden)
	if !strings.Contains(off.Detail(), "SCIM is off") {
		t.Errorf("the refusal does not say why: %q", off.Detail())
	}
	if users, err := w.accounts(t.Context(), ada); err != nil || len(users) != 1 || users[0].ReadOnly || users[0].Status != "Active" {
		t.Errorf("with SCIM off the account must stay and be editable: %+v %v", users, err)
	}
	name := "Edited by hand"
	edited, err := w.env.API.UpdateUserWithResponse(t.Context(), account.ID, nil, portalv1.UserPatch{DisplayName: &name})
	if err != nil || edited.StatusCode() != http.StatusOK {
		t.Errorf("edit: %v %s", err, edited.Body)
	}
	w.condition(id, v1alpha1.ConditionSuspended, metav1.ConditionTrue, "")

	on()
	w.answers("pushes are taken", http.StatusOK)
	w.becomes(ada, "is as pushed again", func(u portalv1.User) bool { return active(u) && u.DisplayName == account.DisplayName })
	w.condition(id, v1alpha1.ConditionReady, metav1.ConditionTrue, "")
}

// TestTokenRotation: a portal API key with the scope scim works as a token within seconds, in
// addition to the old one; after its deletion it is refused.
func TestTokenRotation(t *testing.T) {
	w := shared(t)
	key, err := w.env.API.CreateAPIKeyWithResponse(t.Context(), portalv1.APIKeyCreate{Name: "rotation " + w.tag, Scope: "scim", ProviderType: "Okta"})
	if err != nil || key.JSON201 == nil {
		t.Fatalf("create a key: %v %s", err, key.Body)
	}
	old := w.token
	w.token = key.JSON201.Secret
	w.answers("the new token works", http.StatusOK)
	w.token = old
	w.answers("the old token works too", http.StatusOK)

	if gone, err := w.env.API.DeleteAPIKeyWithResponse(t.Context(), key.JSON201.Key.ID); err != nil || gone.StatusCode() != http.StatusNoContent {
		t.Fatalf("delete the key: %v %s", err, gone.Body)
	}
	w.token = key.JSON201.Secret
	refused := w.answers("the deleted token is refused", http.StatusUnauthorized)
	if !strings.Contains(refused.Header.Get("WWW-Authenticate"), "Bearer") {
		t.Errorf("WWW-Authenticate is %q", refused.Header.Get("WWW-Authenticate"))
	}
	w.token = old
	w.answers("the old token still works", http.StatusOK)
}

// TestSecondProvider: the integrated provider keeps working, also if spec names another one, and
// the requests of a second provider are refused.
func TestSecondProvider(t *testing.T) {
	w := shared(t)
	entra, err := w.env.API.CreateAPIKeyWithResponse(t.Context(), portalv1.APIKeyCreate{Name: "second " + w.tag, Scope: "scim", ProviderType: "EntraID"})
	if err != nil || entra.JSON201 == nil {
		t.Fatalf("create a key: %v %s", err, entra.Body)
	}
	okta := w.token
	configure := func(edit func(*v1alpha1.IdentityConfigurationSpec)) *v1alpha1.IdentityConfiguration {
		c := &v1alpha1.IdentityConfiguration{}
		if err := w.env.Client.Get(context.WithoutCancel(t.Context()), client.ObjectKey{Namespace: devenv.Namespace, Name: v1alpha1.DefaultName}, c); err != nil {
			t.Fatal(err)
		}
		before := c.DeepCopy()
		edit(&c.Spec)
		if err := w.env.Client.Patch(context.WithoutCancel(t.Context()), c, client.MergeFrom(before)); err != nil {
			t.Fatal(err)
		}
		return c
	}
	var first v1alpha1.IdentityProvider
	configure(func(s *v1alpha1.IdentityConfigurationSpec) {
		first = s.IdentityProvider
		s.IdentityProvider = v1alpha1.IdentityProvider{Type: v1alpha1.ProviderEntraID}
	})
	t.Cleanup(func() { configure(func(s *v1alpha1.IdentityConfigurationSpec) { s.IdentityProvider = first }) })
	w.token = entra.JSON201.Secret
	refused := w.answers("the second provider is refused", http.StatusForbidden)
	if !strings.Contains(refused.Detail(), "This token is for EntraID, but Okta") {
		t.Errorf("the refusal does not say who is first: %q", refused.Detail())
	}
	w.must("POST", "/Users", map[string]any{"schemas": []string{"urn:ietf:params:scim:schemas:core:2.0:User"}, "userName": w.name("eve")}, http.StatusForbidden)
	w.token = okta
	if stored := w.search("Users", fmt.Sprintf("userName eq %q", w.name("eve"))); len(stored) != 0 {
		t.Errorf("a user of the second provider is stored: %v", stored)
	}
	ada := w.name("ada")
	w.arrive(ada)
	w.becomes(ada, "is pushed by the first provider", active)
}

// TestDeclaredToken: a token whose digest an administrator stores in a labelled Secret works, but
// only for its provider.
func TestDeclaredToken(t *testing.T) {
	w := shared(t)
	w.token = "declared-" + w.tag + "-0123456789"
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: devenv.Namespace, Name: "tokens-" + w.tag, Labels: map[string]string{v1alpha1.LabelTokenProvider: "Okta"}},
		StringData: map[string]string{"okta": fmt.Sprintf("sha256:%x name=e2e provider=Okta\n", sha256.Sum256([]byte(w.token)))},
	}
	if err := w.env.Client.Create(t.Context(), secret); err != nil {
		t.Fatal(err)
	}
	w.answers("the token works", http.StatusOK)
	secret.StringData = map[string]string{"okta": fmt.Sprintf("sha256:%x name=e2e provider=EntraID\n", sha256.Sum256([]byte(w.token)))}
	if err := w.env.Client.Update(t.Context(), secret); err != nil {
		t.Fatal(err)
	}
	other := w.answers("the token of another provider is refused", http.StatusForbidden)
	if !strings.Contains(other.Detail(), "EntraID") || !strings.Contains(other.Detail(), "Okta") {
		t.Errorf("the refusal does not name both providers: %q", other.Detail())
	}
	if err := w.env.Client.Delete(t.Context(), secret); err != nil {
		t.Fatal(err)
	}
	w.answers("the token is refused after its Secret is deleted", http.StatusUnauthorized)
}

// TestLeastPrivilege: neither program has rights that it does not need. All other stories show that
// the rights suffice; see wellBehaved.
func TestLeastPrivilege(t *testing.T) {
	w := shared(t)
	for as, forbidden := range map[string][][]string{
		"system:serviceaccount:lightrun-system:scim-webhook": {{"get", "secrets"}, {"patch", "scimusers", "--subresource=status"}, {"create", "identityconfigurations"}, {"get", "secrets", "-n", "kube-system"}},
		"system:serviceaccount:lightrun-system:scim-manager": {{"create", "scimusers"}, {"delete", "secrets"}, {"get", "secrets", "-n", "kube-system"}, {"list", "scimusers", "-A"}},
	} {
		for _, args := range forbidden {
			kubectlRefuses(t, w, as, args...)
		}
	}
}

// kubectlRefuses checks that the API server refuses an operation of the user who.
func kubectlRefuses(t *testing.T, w *world, who string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), w.env.Values.Kubectl, append([]string{"auth", "can-i", "--as", who}, args...)...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+w.env.Values.Kubeconfig, "KUBECACHEDIR="+t.TempDir())
	out, err := cmd.CombinedOutput()
	if err == nil || !strings.HasPrefix(string(out), "no") {
		t.Errorf("%s may %v: %s %v", who, args, out, err)
	}
}
