// SPDX-License-Identifier: Apache-2.0

package devenv

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/go-logr/logr/funcr"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/test/framework/devenv/mount"
)

// credentialsSecret holds the operator's portal API key.
const credentialsSecret = "portal-credentials"

// configure creates the two objects that connect the namespace to the portal. Existing objects
// belong to the developer: only addresses with changed ports are corrected.
func (e *Environment) configure(ctx context.Context) error {
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: Namespace, Name: credentialsSecret},
		StringData: map[string]string{"token": e.credentials.get(provisioningKey)},
	}
	if e.scim() {
		secret.StringData["token"] = e.credentials.get(targetToken)
	}
	if e.fresh() {
		return errors.Join(e.create(ctx, secret), e.declareToken(ctx), e.create(ctx, e.configuration()))
	}
	var found v1alpha1.IdentityConfiguration
	err := e.Client.Get(ctx, client.ObjectKey{Namespace: Namespace, Name: v1alpha1.DefaultName}, &found)
	if apierrors.IsNotFound(err) {
		e.note("the IdentityConfiguration was deleted, so nothing is provisioned; kubectl apply one, or start over with an empty data folder")
		return nil
	}
	if err != nil {
		return err
	}
	before, err := e.readMarker()
	if err != nil {
		return err
	}
	changed := found.DeepCopy()
	if changed.Spec.Portal.URL == before.PortalURL {
		changed.Spec.Portal.URL = e.portalURL()
	}
	if changed.Spec.SCIMBaseURL == before.SCIMURL {
		changed.Spec.SCIMBaseURL = e.Values.SCIMURL
	}
	return e.Client.Patch(ctx, changed, client.MergeFrom(&found), client.FieldOwner("devenv"))
}

// declareToken declares the provider's token in a Secret: a SCIM target has no keys for the
// webhook.
func (e *Environment) declareToken(ctx context.Context) error {
	if !e.scim() {
		return nil
	}
	digest := sha256.Sum256([]byte(e.Values.SCIMToken))
	return e.create(ctx, &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: Namespace, Name: v1alpha1.DeclaredTokensSecret},
		StringData: map[string]string{"okta": "sha256:" + hex.EncodeToString(digest[:]) + " name=make-run provider=Okta\n"},
	})
}

func (e *Environment) configuration() *v1alpha1.IdentityConfiguration {
	c := &v1alpha1.IdentityConfiguration{
		ObjectMeta: metav1.ObjectMeta{Namespace: Namespace, Name: v1alpha1.DefaultName},
		Spec: v1alpha1.IdentityConfigurationSpec{
			Portal:           v1alpha1.Portal{URL: e.Values.PortalURL, CredentialsSecretRef: v1alpha1.LocalReference{Name: credentialsSecret}},
			SCIMBaseURL:      e.Values.SCIMURL,
			IdentityProvider: v1alpha1.IdentityProvider{Type: v1alpha1.ProviderOkta, Name: "Okta (development)"},
			// Developers create and delete a few users here all day; the default budget would hold
			// the sixth
			// deletion.
			DeprovisioningGuard: v1alpha1.DeprovisioningGuard{MinUsers: ptr.To[int32](50)},
		},
	}
	if e.scim() {
		c.Spec.Portal.Driver, c.Spec.Portal.URL = v1alpha1.PortalDriverSCIM, e.Values.TargetURL
		c.Spec.LoginMethods = &v1alpha1.LoginMethods{
			SSO:  &v1alpha1.SSO{Enabled: true, Type: v1alpha1.SSOTypeOIDC, Issuer: "https://sso.example.com", ClientID: "target"},
			SCIM: &v1alpha1.SCIM{Enabled: true},
		}
	}
	return c
}

func (e *Environment) create(ctx context.Context, object client.Object) error {
	err := e.Client.Create(ctx, object, client.FieldOwner("devenv"))
	if apierrors.IsAlreadyExists(err) {
		return nil
	}
	return err
}

// mountTokens starts the replacement of the kubelet: the Secrets with tokens become files for the
// webhook.
func (e *Environment) mountTokens(ctx context.Context) error {
	clients, err := kubernetes.NewForConfig(e.Kube)
	if err != nil {
		return err
	}
	log := funcr.New(func(prefix, args string) { e.say("mounting Secrets: %s %s", prefix, args) }, funcr.Options{})
	following, cancel := context.WithCancel(context.WithoutCancel(ctx))
	e.unmount = cancel
	return mount.Follow(following, clients, Namespace, e.path("secrets"), hasTokens, log)
}

// hasTokens reports whether a Secret contains tokens for the webhook: the two that the manifests
// mount, and those with the label.
func hasTokens(s *corev1.Secret) bool {
	_, labelled := s.Labels[v1alpha1.LabelTokenProvider]
	return labelled || s.Name == v1alpha1.PortalTokensSecret || s.Name == v1alpha1.DeclaredTokensSecret
}

// startOperator starts the webhook and the manager under their own service accounts.
func (e *Environment) startOperator(ctx context.Context) error {
	e.say("starting %s and %s", Webhook, Manager)
	specs := e.specs()
	if err := e.run(ctx, specs[Webhook]); err != nil {
		return err
	}
	return e.run(ctx, specs[Manager])
}

// settle waits until a SCIM request would succeed. If a developer may have changed the data, an
// obstacle becomes a note.
func (e *Environment) settle(ctx context.Context) error {
	e.say("waiting until pushes succeed")
	limit := 90 * time.Second
	if !e.fresh() {
		limit = 20 * time.Second
	}
	waiting, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	var last string
	err := poll(waiting, func(ctx context.Context) (bool, error) {
		for _, child := range e.children {
			if err := child.Err(); err != nil {
				return false, err
			}
		}
		var status int
		status, last = e.push(ctx)
		if status == http.StatusForbidden && !e.fresh() {
			return true, nil // a developer turned SCIM off: do not wait
		}
		if status != http.StatusOK {
			return false, nil
		}
		last = e.configurationState(ctx)
		return last == "", nil
	})
	switch {
	case errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil && e.fresh():
		return fmt.Errorf("pushes do not succeed after %s: %s; logs are in %s", limit, last, e.path("logs"))
	case errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil:
		e.note("pushes do not succeed: %s", last)
	case err != nil:
		return err
	case last != "":
		e.note("pushes do not succeed: %s", last)
	}
	return e.writeMarker()
}

// push sends an identity provider's connection test to the webhook. problem is not empty if the
// status is not 200.
func (e *Environment) push(ctx context.Context) (status int, problem string) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, e.Values.SCIMURL+"/Users?startIndex=1&count=1", http.NoBody)
	if err != nil {
		return 0, err.Error()
	}
	request.Header.Set("Authorization", "Bearer "+e.Values.SCIMToken)
	answer, err := e.http.Do(request)
	if err != nil {
		return 0, err.Error()
	}
	defer answer.Body.Close()
	if answer.StatusCode == http.StatusOK {
		return answer.StatusCode, ""
	}
	var body struct {
		Detail string `json:"detail"`
	}
	_ = json.NewDecoder(answer.Body).Decode(&body) // the status is sufficient without it
	return answer.StatusCode, strings.TrimSpace(answer.Status + " " + body.Detail)
}

// configurationState returns why the IdentityConfiguration is not Ready, "" when it is.
func (e *Environment) configurationState(ctx context.Context) string {
	var found v1alpha1.IdentityConfiguration
	if err := e.Client.Get(ctx, client.ObjectKey{Namespace: Namespace, Name: v1alpha1.DefaultName}, &found); err != nil {
		return err.Error()
	}
	ready := meta.FindStatusCondition(found.Status.Conditions, v1alpha1.ConditionReady)
	switch {
	case ready == nil || found.Status.ObservedGeneration != found.Generation:
		return "the manager has not observed the IdentityConfiguration yet"
	case ready.Status != metav1.ConditionTrue:
		return "the IdentityConfiguration is not Ready: " + ready.Reason + ": " + ready.Message
	}
	return ""
}
