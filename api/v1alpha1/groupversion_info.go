// SPDX-License-Identifier: Apache-2.0

// Package v1alpha1 is the contract between the SCIM webhook, the controllers and the people who
// read or write these objects:
//
//   - ScimUser is a person as the identity provider describes them.
//   - ScimGroup is a group of the provider, and ScimGroupSlice a part of its members.
//   - AgentPool is a pool in the portal and the roles that it grants.
//   - IdentityConfiguration is the one portal, the provider and the login methods.
//   - NameClaim is the exclusive right to one name.
//
// +kubebuilder:object:generate=true
// +groupName=iam.lightrun.com
package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// GroupVersion is the API group and version of every kind here.
var GroupVersion = schema.GroupVersion{Group: "iam.lightrun.com", Version: "v1alpha1"}

// AddToScheme registers the kinds with a scheme.
func AddToScheme(s *runtime.Scheme) error {
	s.AddKnownTypes(GroupVersion,
		&ScimUser{}, &ScimUserList{},
		&ScimGroup{}, &ScimGroupList{},
		&ScimGroupSlice{}, &ScimGroupSliceList{},
		&AgentPool{}, &AgentPoolList{},
		&IdentityConfiguration{}, &IdentityConfigurationList{},
		&NameClaim{}, &NameClaimList{},
	)
	metav1.AddToGroupVersion(s, GroupVersion)
	return nil
}
