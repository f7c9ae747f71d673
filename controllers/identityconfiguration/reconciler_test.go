// SPDX-License-Identifier: Apache-2.0

package identityconfiguration_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/kernel/portalapi"
	"lightrun.com/scim-operator/internal/kernel/provider"
	"lightrun.com/scim-operator/internal/kernel/tokenfile"
	"lightrun.com/scim-operator/internal/operator/portalclient/session"
	"lightrun.com/scim-operator/internal/portal/store"
	"lightrun.com/scim-operator/test/framework/fakeportal"
	"lightrun.com/scim-operator/test/framework/onepass"
)

const (
	resync = 30 * time.Second
	retry  = 5 * time.Second
)

func configuration(edit func(*v1alpha1.IdentityConfigurationSpec)) *v1alpha1.IdentityConfiguration {
	c := &v1alpha1.IdentityConfiguration{ObjectMeta: onepass.Meta(v1alpha1.DefaultName), Spec: v1alpha1.IdentityConfigurationSpec{
		Portal:           v1alpha1.Portal{URL: "https://portal.example.test", CredentialsSecretRef: v1alpha1.LocalReference{Name: "portal"}},
		IdentityProvider: v1alpha1.IdentityProvider{Type: v1alpha1.ProviderOkta},
	}}
	if edit != nil {
		edit(&c.Spec)
	}
	return c
}

// declared declares the login methods that the portal lacks.
func declared(s *v1alpha1.IdentityConfigurationSpec) {
	s.LoginMethods = &v1alpha1.LoginMethods{SSO: &v1alpha1.SSO{Enabled: true, Type: "OIDC", Issuer: "https://other.example.test", ClientID: "portal"}}
}

func secret(name, key, value string) *corev1.Secret {
	return &corev1.Secret{ObjectMeta: onepass.Meta(name), Data: map[string][]byte{key: []byte(value)}}
}

func key(w *onepass.World) { w.Put(secret("portal", "token", "key")) }

// token is a line for the key SCIM, which ends at that time; the zero time: never.
func token(ends time.Time) string {
	return string(tokenfile.Format([]tokenfile.Entry{{Digest: tokenfile.Digest("SCIM"), Name: "okta", Provider: provider.ID{Type: "Okta"}, Expires: ends}}))
}

// known makes the pass over an open session: one pass opens it, and the portal answers.
func known(w *onepass.World) {
	listed, end := w.Listed(), w.Hang()
	_, err := w.Parts.Configuration.Reconcile(w.T.Context(), onepass.Request(configuration(nil)))
	w.Must(err)
	end()
	<-listed
	w.Before(nil)
}

// keyOfLeaver makes a SCIM key of a manager of the portal who is then deleted.
func keyOfLeaver(w *onepass.World) {
	leaver, err := w.Portal.Store.CreateAccount(w.T.Context(), fakeportal.Manager(), store.NewAccount{UserName: "leaver@example.test", DirectRoles: []string{portalapi.RoleManager}})
	w.Must(err)
	_, _, err = w.Portal.Store.CreateKey(w.T.Context(), store.ActorOf(leaver, ""), store.NewKey{Name: "okta", Scope: store.ScopeSCIM, Provider: provider.ID{Type: "Okta"}})
	w.Must(err)
	w.Must(w.Portal.Store.DeleteAccount(w.T.Context(), fakeportal.Manager(), leaver.ID, nil))
}

// boundElsewhere binds the portal to another operator, for the Okta of this name.
func boundElsewhere(w *onepass.World, name string) {
	_, err := w.Portal.Bind(w.T.Context(), portalapi.Binding{Cluster: "other", Namespace: "other", Name: "default", UID: "other", ProviderType: "Okta", ProviderName: name})
	w.Must(err)
}

// refuse fails one method of the portal.
func refuse(w *onepass.World, method string, err error) {
	w.Before(func(_ context.Context, c fakeportal.Call) error {
		if c.Method == method {
			return err
		}
		return nil
	})
}

func refusal(code portalapi.Code) error {
	return &portalapi.Error{Status: 409, Code: code, Message: "the portal says no"}
}

func TestReconcile(t *testing.T) {
	for name, tc := range map[string]struct {
		reason string
		edit   func(*v1alpha1.IdentityConfigurationSpec)
		given  func(*onepass.World)
		then   func(*onepass.World) // runs once the configuration exists, or nil
		block  string               // why the session is blocked afterwards; empty if it is not
		want   onepass.Want
	}{
		"NoSecret": {
			reason: "Without credentials, no portal is written.",
			given:  func(*onepass.World) {}, block: v1alpha1.ReasonConfigurationNotOK,
			want: onepass.Want{Ready: "False CredentialsNotFound", Says: "create it with the key", Again: retry},
		},
		"Malformed": {
			reason: "A key that cannot be sent is reported as malformed.",
			given:  func(w *onepass.World) { w.Put(secret("portal", "token", "two words")) }, block: v1alpha1.ReasonConfigurationNotOK,
			want: onepass.Want{Ready: "False CredentialsMalformed", Says: "malformed", Again: retry},
		},
		"NoClient": {
			reason: "An address for which no client can be built is a wrong configuration.",
			given: func(w *onepass.World) {
				key(w)
				w.Connect = func() (portalapi.Client, error) { return nil, errors.New("no such scheme") }
			}, block: v1alpha1.ReasonConfigurationNotOK,
			want: onepass.Want{Ready: "False InvalidConfiguration", Says: "no such scheme", Again: retry},
		},
		"First": {
			reason: "The first pass binds the portal and opens the session; the portal's response triggers the next pass.",
			given: func(w *onepass.World) {
				key(w)
				w.Hang()
			},
			want: onepass.Want{Calls: "Bind", Ready: "Unknown PortalNotListed", Again: resync},
		},
		"Restarted": {
			reason: "After a restart, the status stays until the portal has been read.",
			given:  key,
			then: func(w *onepass.World) {
				w.Hang()
				c := configuration(nil)
				w.Must(w.Kube.Get(w.T.Context(), client.ObjectKeyFromObject(c), c))
				c.Status.ObservedGeneration = c.Generation
				w.Must(w.Kube.Status().Update(w.T.Context(), c))
			},
			want: onepass.Want{Calls: "Bind", Same: true, Again: resync},
		},
		"Known": {
			reason: "Once the portal has been read, the configuration is ready and is checked again within half a minute.",
			given:  key, then: known,
			want: onepass.Want{Calls: "Bind", Ready: "True Ready", Again: resync},
		},
		"Declared": {
			reason: "Declared login methods are written to the portal.",
			edit:   declared, given: key, then: known,
			want: onepass.Want{Calls: "Bind PutLoginMethods", Ready: "True Ready", Again: resync},
		},
		"ReportOnly": {
			reason: "Under ReportOnly, the portal's login methods are not written.",
			edit:   func(s *v1alpha1.IdentityConfigurationSpec) { declared(s); onepass.ReportOnly(s) }, given: key, then: known,
			want: onepass.Want{Calls: "Bind", Ready: "True Ready", Again: resync},
		},
		"LoginRefused": {
			reason: "Login methods that the portal refuses have their own condition; the tokens are written all the same.",
			edit:   declared, given: key,
			then: func(w *onepass.World) {
				known(w)
				refuse(w, "PutLoginMethods", refusal(portalapi.CodeSSONotReachable))
			},
			want: onepass.Want{Calls: "Bind PutLoginMethods", Ready: "False SSONotReachable", Again: resync},
		},
		"Unreachable": {
			reason: "A call that the portal does not answer is repeated soon; an open session stays open.",
			given: func(w *onepass.World) {
				key(w)
				w.Refuse(errors.New("no route"))
			},
			want: onepass.Want{Calls: "Bind", Ready: "Unknown PortalUnreachable", Says: "no route", Again: retry},
		},
		"Limited": {
			reason: "After a rate limit, the pass waits until the portal's time, also if that is later than the next check.",
			given: func(w *onepass.World) {
				key(w)
				w.Refuse(&portalapi.Error{Status: 429, Code: portalapi.CodeRateLimited, RetryAfter: time.Minute})
			},
			want: onepass.Want{Calls: "Bind", Ready: "Unknown PortalUnreachable", Again: time.Minute},
		},
		"KeyRejected": {
			reason: "A revoked key is reported as rejected and blocks all writes.",
			given: func(w *onepass.World) {
				key(w)
				w.Refuse(refusal(portalapi.CodeUnauthenticated))
			}, block: v1alpha1.ReasonConfigurationNotOK,
			want: onepass.Want{Calls: "Bind", Ready: "False CredentialsRejected", Says: "The portal says no", Again: retry},
		},
		"BoundElsewhere": {
			reason: "A portal of another operator is not written, and the condition says how to take it over.",
			given:  func(w *onepass.World) { key(w); boundElsewhere(w, "") }, block: v1alpha1.ReasonConfigurationNotOK,
			want: onepass.Want{Calls: "Bind", Ready: "False BoundToAnotherOperator", Says: "kubectl scim bind --replace", Again: retry},
		},
		"OtherOperatorAndProvider": {
			reason: "If the portal is of another operator and of another provider, the operator is the cause, and its replacement comes first.",
			given:  func(w *onepass.World) { key(w); boundElsewhere(w, "theirs") }, block: v1alpha1.ReasonConfigurationNotOK,
			want: onepass.Want{Calls: "Bind", Ready: "False BoundToAnotherOperator", Says: "kubectl scim bind --replace", Again: retry},
		},
		"OperatorReplaced": {
			reason: "A replacement of the operator does not replace its provider: that one keeps working, and the condition says how to replace it too.",
			given:  func(w *onepass.World) { key(w); boundElsewhere(w, "theirs") },
			then: func(w *onepass.World) {
				bound, err := w.Portal.Configuration(w.T.Context())
				w.Must(err)
				c := configuration(nil)
				w.Must(w.Kube.Get(w.T.Context(), client.ObjectKeyFromObject(c), c))
				c.Annotations = map[string]string{v1alpha1.AnnotationReplaceOperator: bound.Binding.ID, v1alpha1.AnnotationDecidedBy: "boss"}
				w.Must(w.Kube.Update(w.T.Context(), c))
				known(w)
			},
			want: onepass.Want{Calls: "Bind Bind", Ready: "False AnotherProviderConfigured", Says: "kubectl scim provider --replace Okta/theirs", Again: resync},
		},
		"OtherProvider": {
			reason: "A second provider is refused, and the first keeps working.",
			edit:   func(s *v1alpha1.IdentityConfigurationSpec) { s.IdentityProvider.Type = v1alpha1.ProviderEntraID },
			given:  func(w *onepass.World) { key(w); w.Bind() }, then: known,
			want: onepass.Want{Calls: "Bind Bind", Ready: "False AnotherProviderConfigured", Says: "kubectl scim provider --replace", Again: resync},
		},
		"StaleLeader": {
			reason: "A manager that no longer leads reports nothing.",
			given: func(w *onepass.World) {
				key(w)
				w.Refuse(refusal(portalapi.CodeStaleLeader))
			},
			want: onepass.Want{Calls: "Bind", Same: true, Again: resync},
		},
		"RestoreWindow": {
			reason: "While the restore window is open, nothing is written, as under ReportOnly, and a condition warns about it.",
			edit:   declared, given: func(w *onepass.World) {
				key(w)
				ns := &corev1.Namespace{}
				w.Must(w.Kube.Get(w.T.Context(), client.ObjectKey{Name: onepass.Namespace}, ns))
				ns.Annotations = map[string]string{v1alpha1.AnnotationRestore: "ada"}
				w.Must(w.Kube.Update(w.T.Context(), ns))
			}, then: known,
			want: onepass.Want{Calls: "Bind", Ready: "True Ready", Also: "RestoreOpen", Again: resync},
		},
		"TokenExpires": {
			reason: "A token that expires soon is reported, also if the pass ends early.",
			given: func(w *onepass.World) {
				w.Put(secret(v1alpha1.DeclaredTokensSecret, "okta", token(w.Clock.Now().Add(time.Hour))))
			}, block: v1alpha1.ReasonConfigurationNotOK,
			want: onepass.Want{Ready: "False CredentialsNotFound", Also: "TokensExpiring", Events: "TokenExpiresSoon", Again: retry},
		},
		"MakerLeft": {
			reason: "A token works although its maker left, and people are asked to rotate it.",
			given:  func(w *onepass.World) { key(w); keyOfLeaver(w) }, then: known,
			want: onepass.Want{Calls: "Bind", Ready: "True Ready", Also: "TokensToRotate", Events: "TokenMakerLeft", Again: resync},
		},
		"AuditChanged": {
			reason: "The portal's audit is another one than the status recorded: the recorded head stays, and people are warned.",
			given:  key,
			then: func(w *onepass.World) {
				known(w)
				c := configuration(nil)
				w.Must(w.Kube.Get(w.T.Context(), client.ObjectKeyFromObject(c), c))
				c.Status.AuditHead = &v1alpha1.AuditHead{Sequence: 1, MAC: "another"}
				w.Must(w.Kube.Status().Update(w.T.Context(), c))
				w.Clock.SetTime(w.Clock.Now().Add(time.Hour))
			},
			want: onepass.Want{Calls: "Bind", Ready: "True Ready", Also: "AuditChanged", Events: "AuditChanged", Again: resync},
		},
		"DeclaredBroken": {
			reason: "A declared token that is not accepted is reported, and the rest of the configuration works.",
			given:  func(w *onepass.World) { key(w); w.Put(secret(v1alpha1.DeclaredTokensSecret, "okta", "sha256:short")) }, then: known,
			want: onepass.Want{Calls: "Bind", Ready: "False InvalidConfiguration", Says: "Some declared tokens are not accepted", Again: resync},
		},
		"NoKeys": {
			reason: "An empty list of keys must be read twice before a working key is removed: it cuts the provider off.",
			given:  func(w *onepass.World) { key(w) },
			then: func(w *onepass.World) {
				known(w)
				w.Put(secret(v1alpha1.PortalTokensSecret, "tokens", token(time.Time{})))
			},
			want: onepass.Want{Calls: "Bind", Ready: "Unknown KeysUnconfirmed", Again: resync},
		},
		"KeysRefused": {
			reason: "If the keys cannot be read, the call is repeated, and the later steps run.",
			given:  func(w *onepass.World) { key(w) },
			then:   func(w *onepass.World) { known(w); refuse(w, "SCIMKeys", refusal(portalapi.CodeLastManager)) },
			want:   onepass.Want{Calls: "Bind", Ready: "False LastManager", Again: resync},
		},
		"Failure": {
			reason: "A failure is reported without its details, and the pass is repeated with growing pauses.",
			given:  key,
			then: func(w *onepass.World) {
				known(w)
				w.Write = func(_ string, o client.Object) error {
					if _, ok := o.(*corev1.Secret); ok {
						return errors.New("no quota")
					}
					return nil
				}
			},
			want: onepass.Want{Calls: "Bind", Ready: "Unknown Progressing", Says: "see the manager's log", Fails: "create Secret"},
		},
		"Conflict": {
			reason: "After a conflict with another client's write, the next pass follows without a report or an error.",
			given:  key, then: func(w *onepass.World) { known(w); w.Conflict() },
			want: onepass.Want{Calls: "Bind", Ready: "Unknown PortalNotListed", Same: true, Again: 50 * time.Millisecond},
		},
		"Deleted": {
			reason: "A deleted configuration releases the portal and blocks all writes.",
			given:  key,
			then: func(w *onepass.World) {
				known(w)
				w.Must(w.Kube.Delete(w.T.Context(), configuration(nil)))
			}, block: v1alpha1.ReasonNoConfiguration,
			want: onepass.Want{Calls: "Unbind", Gone: true},
		},
		"DeletedWithNamespace": {
			reason: "A namespace that is being deleted leaves the portal's binding to the next installation.",
			given:  key,
			then: func(w *onepass.World) {
				known(w)
				w.Must(w.Kube.Delete(w.T.Context(), configuration(nil)))
				w.Ending()
			}, block: v1alpha1.ReasonNoConfiguration,
			want: onepass.Want{Gone: true},
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := onepass.New(t)
			tc.given(w)
			w.Put(configuration(tc.edit))
			if tc.then != nil {
				tc.then(w)
			}
			got := &v1alpha1.IdentityConfiguration{ObjectMeta: onepass.Meta(v1alpha1.DefaultName)}
			w.Check(tc.reason, w.Parts.Configuration.Reconcile, got, &got.Status.Conditions, tc.want)
			if got := blocked(w.Parts.Session.View()); got != tc.block {
				t.Errorf("%s\nthe session is blocked by %q, want %q", tc.reason, got, tc.block)
			}
		})
	}
}

func blocked(v session.View) string {
	if v.Block == nil {
		return ""
	}
	return v.Block.Reason
}

// TestAuditHeadIsRecorded: the status has the head of a chained audit, hourly, as long as the
// portal has the event that was recorded last.
func TestAuditHeadIsRecorded(t *testing.T) {
	w := onepass.New(t)
	key(w)
	w.Put(configuration(nil))
	known(w)
	recorded := func() *v1alpha1.AuditHead {
		t.Helper()
		_, err := w.Parts.Configuration.Reconcile(t.Context(), onepass.Request(configuration(nil)))
		w.Must(err)
		got := configuration(nil)
		w.Must(w.Kube.Get(t.Context(), client.ObjectKeyFromObject(got), got))
		return got.Status.AuditHead
	}
	head := func() portalapi.AuditHead {
		t.Helper()
		h, err := w.Portal.AuditHead(t.Context(), 0)
		w.Must(err)
		return h
	}
	first := recorded()
	if first == nil || *first != (v1alpha1.AuditHead{Sequence: first.Sequence, MAC: first.MAC}) || first.MAC == "" || first.Sequence > head().Sequence {
		t.Fatalf("recorded %+v of %+v", first, head())
	}
	keyOfLeaver(w) // writes events
	if got := recorded(); *got != *first {
		t.Errorf("within the hour the status records %+v after %+v", got, first)
	}
	w.Clock.SetTime(w.Clock.Now().Add(time.Hour))
	if got := recorded(); got.Sequence <= first.Sequence || got.MAC == first.MAC {
		t.Errorf("an hour later the status records %+v after %+v", got, first)
	}
}

// TestTokensAreWritten: the webhook's Secret has the digests of the portal's keys, and the default
// pool has its object.
func TestTokensAreWritten(t *testing.T) {
	w := onepass.New(t)
	key(w)
	_, secret, err := w.Portal.Store.CreateKey(t.Context(), fakeportal.Manager(), store.NewKey{Name: "okta", Scope: store.ScopeSCIM, Provider: provider.ID{Type: "Okta"}})
	w.Must(err)
	w.Put(configuration(nil))
	known(w)
	got := &v1alpha1.IdentityConfiguration{ObjectMeta: onepass.Meta(v1alpha1.DefaultName)}
	w.Check("The pass after the portal answered writes both.", w.Parts.Configuration.Reconcile, got, &got.Status.Conditions, onepass.Want{Calls: "Bind", Ready: "True Ready", Again: resync})
	var s corev1.Secret
	w.Must(w.Kube.Get(t.Context(), client.ObjectKey{Namespace: onepass.Namespace, Name: v1alpha1.PortalTokensSecret}, &s))
	if !strings.Contains(string(s.Data["tokens"]), "sha256:"+tokenfile.Digest(secret)+" ") {
		t.Errorf("the Secret has %q", s.Data)
	}
	w.Must(w.Kube.Get(t.Context(), client.ObjectKey{Namespace: onepass.Namespace, Name: v1alpha1.DefaultName}, &v1alpha1.AgentPool{}))
}
