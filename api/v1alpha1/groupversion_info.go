// Package v1alpha1 is the contract between the SCIM webhook, the controllers and the people who write or read these
// objects: ScimUser (a person as the identity provider describes them), ScimGroup and ScimGroupSlice (a group and its members), AgentPool (a pool and the roles it grants),
// IdentityConfiguration (the one portal, provider and set of login methods) and NameClaim (the right to one name).
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
