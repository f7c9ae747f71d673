// SPDX-License-Identifier: Apache-2.0

package identityconfiguration

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/kernel/portalapi"
	"lightrun.com/scim-operator/internal/kernel/provider"
	"lightrun.com/scim-operator/internal/operator/decide/provision"
)

// binding returns the binding of this operator and the declared provider.
func (p *scope) binding() portalapi.Binding { return provision.WantBinding(p.config, p.Cluster) }

// conflict handles the refusal that the portal is integrated with another provider, the first one.
// If the portal is bound to this configuration, and a person named the first provider in the
// annotation, the declared provider replaces it: conflict releases the binding and takes it again.
// If that is interrupted, the next pass takes the binding, unless another operator was faster.
// Without the annotation the first provider keeps working: conflict binds the portal for it again,
// and refusal describes what a replacement would do. If failed is not nil, the portal is not bound.
func (p *scope) conflict(ctx context.Context, refused error) (refusal, failed error) {
	c, err := p.client.Configuration(ctx)
	if err != nil {
		return nil, fmt.Errorf("read which provider the portal is integrated with: %w", err)
	}
	first, want := c.Binding, p.binding()
	switch {
	case first == nil: // released meanwhile
		return nil, p.bindAs(ctx, want)
	case !first.SamePlace(want):
		return nil, refused
	case p.config.Annotations[v1alpha1.AnnotationReplaceProvider] != first.Provider().String():
		keep := want
		keep.ProviderType, keep.ProviderName = first.ProviderType, first.ProviderName
		return p.preview(refused, first.Provider(), want.Provider()), p.bindAs(ctx, keep)
	}
	if err := p.client.Unbind(ctx, first.UID); err != nil {
		return nil, fmt.Errorf("release the portal from %s: %w", first.Provider(), err)
	}
	if err := p.bindAs(ctx, want); err != nil {
		return nil, err
	}
	p.Event(corev1.EventTypeNormal, "ProviderReplaced", "Bind", "%s replaced %s", want.Provider(), first.Provider())
	return nil, nil
}

// bindAs binds the portal, and records the provider that it is bound for.
func (p *scope) bindAs(ctx context.Context, b portalapi.Binding) error {
	_, err := p.client.Bind(ctx, b)
	if err == nil {
		p.bound = b.Provider()
		p.ownBinding = ownBinding{client: p.client, uid: b.UID}
	}
	return err
}

// preview returns the refusal, with a text that describes what a replacement of the provider would
// do.
func (p *scope) preview(refused error, first, want provider.ID) error {
	return &portalapi.Error{
		Status: 409, Code: portalapi.CodeIDPConfigured,
		Message: fmt.Sprintf("%s. %s", said(refused), provision.DescribeReplacement(p.config.Namespace, first, want, int(p.Counter.Counts().Users))),
	}
}
