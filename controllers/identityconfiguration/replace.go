// SPDX-License-Identifier: Apache-2.0

package identityconfiguration

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/kernel/portalapi"
	"lightrun.com/scim-operator/internal/kernel/shell"
)

// replaceOperator handles the refusal that the portal is bound to another operator. If a person
// named that binding in the annotation, this operator replaces the other one and keeps the
// binding's id, so that every record keeps its owner. Afterwards it removes the annotation:
// otherwise this operator would take the portal back from an operator that replaces it later.
//
// A change of the provider is another decision. So the portal stays integrated with its provider if
// the configuration names another one, which is then refused as in every other case.
func (p *scope) replaceOperator(ctx context.Context, refused error) error {
	id := p.config.Annotations[v1alpha1.AnnotationReplaceOperator]
	switch {
	case refused == nil && id != "":
		return p.replaced(ctx)
	case portalapi.CodeOf(refused) != portalapi.CodeOperatorBound:
		return refused
	case id == "":
		return withRemedy(refused, "If that operator is lost or must give up the portal, replace it with this one: "+shell.Scim(p.config.Namespace, "bind", "--replace"))
	}
	err := p.replaceBinding(ctx, id)
	if portalapi.CodeOf(err) == portalapi.CodeStaleRevision {
		return withRemedy(refused, fmt.Sprintf("The annotation %s names another binding, %s: decide again with %s", v1alpha1.AnnotationReplaceOperator, id, shell.Scim(p.config.Namespace, "bind", "--replace")))
	}
	if err != nil {
		return err
	}
	p.Event(corev1.EventTypeNormal, "OperatorReplaced", "Bind", "This operator replaced the one that the portal was bound to, as %s decided; the binding id is still %s",
		p.config.Annotations[v1alpha1.AnnotationDecidedBy], id)
	if err := p.replaced(ctx); err != nil {
		return err
	}
	return p.bindAs(ctx, p.binding())
}

// replaceBinding binds the portal to this operator in place of the one that has the binding id: for
// the declared provider or, if the portal refuses that as another one, for the provider that it is
// integrated with.
func (p *scope) replaceBinding(ctx context.Context, id string) error {
	b := p.binding()
	b.Replaces = id
	err := p.bindAs(ctx, b)
	if portalapi.CodeOf(err) != portalapi.CodeIDPConfigured {
		return err
	}
	c, err := p.client.Configuration(ctx)
	if err != nil {
		return fmt.Errorf("read which provider the portal is integrated with: %w", err)
	}
	if c.Binding != nil {
		b.ProviderType, b.ProviderName = c.Binding.ProviderType, c.Binding.ProviderName
	}
	return p.bindAs(ctx, b)
}

// replaced removes the annotation, because the decision is carried out.
func (p *scope) replaced(ctx context.Context) error {
	before := p.config.DeepCopy()
	delete(p.config.Annotations, v1alpha1.AnnotationReplaceOperator)
	if err := p.Patch(ctx, p.config, client.MergeFrom(before)); err != nil {
		return fmt.Errorf("take the annotation %s away: %w", v1alpha1.AnnotationReplaceOperator, err)
	}
	return nil
}

// withRemedy appends the remedy to a refusal.
func withRemedy(refused error, remedy string) error {
	return &portalapi.Error{Status: 409, Code: portalapi.CodeOf(refused), Message: said(refused) + ". " + remedy}
}
