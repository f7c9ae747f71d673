// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// ClaimType is the kind of name that is claimed.
// +kubebuilder:validation:Enum=User;Group;Pool
type ClaimType string

const (
	ClaimUser  ClaimType = "User"  // a userName
	ClaimGroup ClaimType = "Group" // a displayName at the provider
	ClaimPool  ClaimType = "Pool"  // a name in the portal
)

// NameClaimSpec names the object that has the name.
type NameClaimSpec struct {
	// type is the kind of name that is claimed. It never changes.
	// +required
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="the type of a claim never changes"
	Type ClaimType `json:"type"`
	// holder is the ScimUser, ScimGroup or AgentPool that may have the name.
	// +required
	Holder ClaimHolder `json:"holder"`
}

// ClaimHolder identifies the object that has the claim, by name and UID.
type ClaimHolder struct {
	// name of the object. Its kind follows from the type of the claim.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`
	// uid of the object. An object that is created again under the same name has another one.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	UID string `json:"uid"`
}

// NameClaim is the exclusive right to one name of a user, a group or a pool. Its own name is user-,
// group- or pool- and the SHA-256 of the folded name, so a claim is taken atomically by creating
// it.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:path=nameclaims,categories=scim-internal
// +kubebuilder:printcolumn:name="Type",type=string,JSONPath=`.spec.type`
// +kubebuilder:printcolumn:name="Holder",type=string,JSONPath=`.spec.holder.name`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:validation:XValidation:rule="self.metadata.name.matches(self.spec.type == 'User' ? '^user-[0-9a-f]{64}$' : self.spec.type == 'Group' ? '^group-[0-9a-f]{64}$' : '^pool-[0-9a-f]{64}$')",message="a claim is named user-, group- or pool- and the SHA-256 of the folded name"
type NameClaim struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec names the object that has the name.
	// +required
	Spec NameClaimSpec `json:"spec"`
}

// NameClaimList is a list of claims.
// +kubebuilder:object:root=true
type NameClaimList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []NameClaim `json:"items"`
}
