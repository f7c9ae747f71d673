package identityconfiguration

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/portal"
)

// binding is what this operator and provider claim the portal with.
func (p *pass) binding() portal.Binding { return Binding(p.config, p.Cluster) }

// Binding is what the operator of the configuration in the cluster claims the portal with.
func Binding(c *v1alpha1.IdentityConfiguration, cluster string) portal.Binding {
	return portal.Binding{
		Cluster: cluster, Namespace: c.Namespace, Name: c.Name, UID: string(c.UID),
		ProviderType: string(c.Spec.IdentityProvider.Type), ProviderName: c.ProviderName(),
		SCIMBaseURL: c.Spec.SCIMBaseURL,
	}
}

// replaceProvider puts the declared provider in the place of the one that the portal is integrated with, if that one is
// ours and a person named it in the annotation; otherwise it says what that would do. A binding is given free and taken
// again: cut off in between, the next pass takes it, unless another operator was faster, whom we then stand back for.
func (p *pass) replaceProvider(ctx context.Context, refused error) error {
	c, err := p.client.Configuration(ctx)
	if err != nil {
		return fmt.Errorf("read which provider the portal is integrated with: %w", err)
	}
	first, want := c.Binding, p.binding()
	switch {
	case first == nil: // given free meanwhile
		_, err := p.client.Bind(ctx, want)
		return err
	case first.Cluster != want.Cluster || first.Namespace != want.Namespace || first.Name != want.Name:
		return refused
	case p.config.Annotations[v1alpha1.AnnotationReplaceProvider] != first.ProviderType:
		return p.preview(refused, first.ProviderType, want)
	}
	if err := p.client.Unbind(ctx, first.UID); err != nil {
		return fmt.Errorf("give the portal free from %s: %w", first.ProviderType, err)
	}
	if _, err := p.client.Bind(ctx, want); err != nil {
		return err
	}
	p.Recorder.Eventf(p.config, nil, corev1.EventTypeNormal, "ProviderReplaced", "Bind", "%s took the place of %s", want.ProviderType, first.ProviderType)
	return nil
}

// preview says what replacing the provider would do, as the refusal that it follows.
func (p *pass) preview(refused error, first string, want portal.Binding) error {
	return &portal.Error{
		Status: 409, Code: portal.CodeIDPConfigured,
		Message: fmt.Sprintf("%v. %s", refused, Replacement(first, want.ProviderType, int(p.Tally.Counts().Users))),
	}
}

// Replacement says what it takes and does to have the provider want take the place of first, for so many people.
func Replacement(first, want string, people int) string {
	return fmt.Sprintf("To have %s take the place of %s, annotate this object with %s=%s. All %d people keep their accounts, pools and roles; %s takes over each whose user name it pushes, and whom it does not push stays until somebody removes them",
		want, first, v1alpha1.AnnotationReplaceProvider, first, people, want)
}
