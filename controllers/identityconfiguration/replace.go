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
	b := p.binding()
	b.Replaces = id
	err := p.bindAs(ctx, b)
	if portalapi.CodeOf(err) == portalapi.CodeStaleRevision {
		return withRemedy(refused, fmt.Sprintf("The annotation %s names another binding, %s: decide again with %s", v1alpha1.AnnotationReplaceOperator, id, shell.Scim(p.config.Namespace, "bind", "--replace")))
	}
	if err != nil {
		return err
	}
	p.Event(corev1.EventTypeNormal, "OperatorReplaced", "Bind", "This operator replaced the one that the portal was bound to, as %s decided; the binding id is still %s",
		p.config.Annotations[v1alpha1.AnnotationDecidedBy], id)
	return p.replaced(ctx)
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
