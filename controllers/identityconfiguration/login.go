// SPDX-License-Identifier: Apache-2.0

package identityconfiguration

import (
	"context"
	"errors"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/kernel/conditions"
	"lightrun.com/scim-operator/internal/kernel/portalapi"
	"lightrun.com/scim-operator/internal/operator/pass"
)

// loginMethods writes the login methods if the configuration declares them, and otherwise hands
// them back to the portal's page.
func (p *scope) loginMethods(ctx context.Context) pass.Outcome {
	m := p.View.Mirror
	if !m.Listed() { // the Listed event triggers the next pass
		if m.Unreachable() == nil && p.config.Status.ObservedGeneration == p.config.Generation {
			// After a start the status of this generation remains until the portal is read: a
			// restart is no change.
			return pass.Quiet(0)
		}
		return pass.Stop(conditions.Unknown(v1alpha1.ConditionLoginMethods, v1alpha1.ReasonPortalNotListed, "Reading the portal's state"))
	}
	declared := p.config.Spec.LoginMethods
	kept := p.spec.Portal.Driver == v1alpha1.PortalDriverSCIM // the target has no login methods: writing them changes nothing there
	if p.spec.ManagementPolicy == v1alpha1.PolicyReportOnly && !kept || (declared == nil && m.Configuration().ManagedElsewhere == "") {
		return pass.Next(conditions.True(v1alpha1.ConditionLoginMethods, v1alpha1.ReasonMirrored, "Administrators edit the login methods in the portal"))
	}
	want, elsewhere := m.Configuration().LoginMethods, ""
	if declared != nil {
		var err error
		if want, err = p.declared(ctx, declared); errors.Is(err, errNoSecret) {
			return pass.Next(conditions.False(v1alpha1.ConditionLoginMethods, v1alpha1.ReasonInvalidConfiguration, err.Error()))
		} else if err != nil {
			return p.Retry(err)
		}
		elsewhere = fmt.Sprintf("IdentityConfiguration %s/%s in Kubernetes", p.config.Namespace, p.config.Name)
	}
	if m.Configuration().ManagedElsewhere != elsewhere || !sameLoginMethods(want, m.Configuration().LoginMethods) || p.config.Status.ObservedGeneration != p.config.Generation {
		got, err := p.client.PutLoginMethods(ctx, want, elsewhere)
		if err != nil {
			return p.loginRefused(err)
		}
		m.PutConfiguration(got)
	}
	return pass.Next(conditions.True(v1alpha1.ConditionLoginMethods, v1alpha1.ReasonApplied, "The portal has the declared login methods"))
}

func (p *scope) loginRefused(err error) pass.Outcome {
	reasons := map[portalapi.Code]string{
		portalapi.CodeSSORequired:     v1alpha1.ReasonSSORequired,
		portalapi.CodeSSONotReachable: v1alpha1.ReasonSSONotReachable,
		portalapi.CodeLastManager:     v1alpha1.ReasonLastManager,
		portalapi.CodeSCIMRequired:    v1alpha1.ReasonInvalidConfiguration,
		portalapi.CodeInvalid:         v1alpha1.ReasonInvalidConfiguration,
	}
	reason, ok := reasons[portalapi.CodeOf(err)]
	if !ok {
		return p.refused(v1alpha1.ConditionLoginMethods, fmt.Errorf("put the login methods: %w", err))
	}
	return pass.Next(conditions.False(v1alpha1.ConditionLoginMethods, reason, err.Error()))
}

// declared returns the login methods of the spec, with the client secret from its Secret.
func (p *scope) declared(ctx context.Context, d *v1alpha1.LoginMethods) (portalapi.LoginMethods, error) {
	var m portalapi.LoginMethods
	if s := d.SSO; s != nil {
		m.SSO = portalapi.SSO{Enabled: s.Enabled, Type: string(s.Type), Issuer: s.Issuer, ClientID: s.ClientID,
			MetadataURL: s.MetadataURL, Metadata: s.Metadata, IDAttribute: s.IDAttribute, UserNameAttribute: s.UserNameAttribute}
		if s.SecretRef != nil {
			secret, err := p.secret(ctx, s.SecretRef.Name, "clientSecret")
			if err != nil {
				return m, err
			}
			m.SSO.ClientSecret = strings.TrimRight(string(secret), "\r\n") // of the line that it was pasted as
		}
	}
	if s := d.SCIM; s != nil {
		m.SCIMEnabled, m.ProvisionExistingUsers = s.Enabled, s.ProvisionExistingUsers
		m.ProvisionGroups = s.ProvisionGroups == nil || *s.ProvisionGroups
	}
	return m, nil
}

// sameLoginMethods compares the login methods, except the client secret, which the portal never
// returns.
func sameLoginMethods(want, have portalapi.LoginMethods) bool {
	want.SSO.ClientSecret, have.SSO.ClientSecret = "", ""
	return want == have
}

// defaultPool creates the object that represents the portal's default pool.
func (p *scope) defaultPool(ctx context.Context) pass.Outcome {
	pool := &v1alpha1.AgentPool{ObjectMeta: metav1.ObjectMeta{Namespace: p.config.Namespace, Name: v1alpha1.DefaultName}}
	if err := p.Get(ctx, client.ObjectKeyFromObject(pool), pool); err == nil || !apierrors.IsNotFound(err) {
		return p.Retry(err)
	}
	if err := p.Create(ctx, pool); err != nil && !apierrors.IsAlreadyExists(err) {
		return p.Retry(fmt.Errorf("make the default pool's object: %w", err))
	}
	return pass.Next()
}

var errNoSecret = errors.New("there is no Secret")

// secret reads one key of a Secret live. The manager does not watch Secrets, so that it does not
// need the right to list them.
func (p *scope) secret(ctx context.Context, name, key string) ([]byte, error) {
	var s corev1.Secret
	if err := p.Live.Get(ctx, types.NamespacedName{Namespace: p.config.Namespace, Name: name}, &s); err != nil {
		if apierrors.IsNotFound(err) {
			return nil, fmt.Errorf("%w %s; create it with the key %q", errNoSecret, name, key)
		}
		return nil, fmt.Errorf("read Secret %s: %w", name, err)
	}
	if len(s.Data[key]) == 0 {
		return nil, fmt.Errorf("%w %s with the key %q", errNoSecret, name, key)
	}
	return s.Data[key], nil
}
