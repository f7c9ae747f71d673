// SPDX-License-Identifier: Apache-2.0

package provision

import (
	"fmt"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/kernel/portalapi"
	"lightrun.com/scim-operator/internal/kernel/provider"
	"lightrun.com/scim-operator/internal/kernel/shell"
)

// WantBinding returns the binding of the operator in this cluster and the provider that c declares.
func WantBinding(c *v1alpha1.IdentityConfiguration, cluster string) portalapi.Binding {
	return portalapi.Binding{
		Cluster: cluster, Namespace: c.Namespace, Name: c.Name, UID: string(c.UID),
		ProviderType: string(c.Spec.IdentityProvider.Type), ProviderName: c.Spec.IdentityProvider.Name,
		SCIMBaseURL: c.Spec.SCIMBaseURL, AcceptLoss: c.Annotations[v1alpha1.AnnotationAcceptLoss],
	}
}

// DescribeReplacement describes how to replace the provider first by want, in the namespace of its
// configuration, and what that does to the users. people is the number of users.
func DescribeReplacement(namespace string, first, want provider.ID, people int) string {
	return fmt.Sprintf("If %s replaces %s, all %d users keep their accounts, pools and roles. %s takes over each user whose user name it pushes; the others stay until a person removes them. Create a SCIM key for %s. To replace %s: %s",
		want, first, people, want, want, first, shell.Scim(namespace, "provider", "--replace", first.String()))
}
