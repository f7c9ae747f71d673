// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// DefaultName is the name of the default pool's object and of the one IdentityConfiguration.
const DefaultName = "default"

// Role is a role of the portal's catalogue, such as ROLE_USER.
// +kubebuilder:validation:MaxLength=64
// +kubebuilder:validation:Pattern=`^ROLE_[A-Z][A-Z0-9_]*$`
type Role string

// PoolDeletion is what happens to the pool in the portal when its AgentPool is deleted.
// +kubebuilder:validation:Enum=Delete;Orphan
type PoolDeletion string

const (
	PoolDelete PoolDeletion = "Delete" // the pool is deleted in the portal, if its AgentPool created it
	PoolOrphan PoolDeletion = "Orphan" // the pool stays in the portal, and administrators edit it there
)

// AgentPoolSpec declares the name of a pool, the roles that it grants and its members.
// Administrators write it, by kubectl or from Git.
//
// +kubebuilder:validation:XValidation:rule="!has(self.memberFilter) || !has(self.roles) || !self.roles.exists(r, r == 'ROLE_MANAGER')",message="memberFilter and ROLE_MANAGER can't go together: an attribute in the identity provider must not make a manager; list the users in members or name groups"
// +kubebuilder:validation:XValidation:rule="!has(self.roles) || !self.roles.exists(r, r == 'ROLE_ADMIN' || r == 'ROLE_ACCOUNT_MANAGER')",message="ROLE_ADMIN and ROLE_ACCOUNT_MANAGER are the vendor's own and can't be granted from here"
type AgentPoolSpec struct {
	// displayName is the pool's name in the portal. If it is absent, the name is the object's name;
	// for a group's own pool it is the group's displayName.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	// +optional
	DisplayName string `json:"displayName,omitempty"`

	// description is the pool's description in the portal.
	// +kubebuilder:validation:MaxLength=1024
	// +optional
	Description string `json:"description,omitempty"`

	// roles are the roles that every member of the pool inherits. Absent and empty both mean none.
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:XValidation:rule="self.all(r, self.exists_one(s, s == r))",message="each role is listed once"
	// +optional
	Roles []Role `json:"roles,omitempty"`

	// groups lists the identity provider's groups whose members are in this pool. The manager
	// resolves a line once, and status.groups keeps the result while that group exists: if the
	// provider renames the group, its members stay in the pool, and another group that gets the old
	// name does not fill it.
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	// +optional
	Groups []GroupReference `json:"groups,omitempty"`

	// members lists users who are in the pool in addition to the users from groups and
	// memberFilter. In a pool with ROLE_MANAGER the manager resolves a line once, and
	// status.members keeps the result: if the provider renames the user, the user stays in the
	// pool, and another user who gets the name is not in it. In all other pools the name decides.
	// +listType=map
	// +listMapKey=userName
	// +kubebuilder:validation:MaxItems=1000
	// +optional
	Members []PoolMember `json:"members,omitempty"`

	// memberFilter is a SCIM filter (RFC 7644 §3.4.2.2) over User attributes. Every user that it
	// matches is in the pool. While the filter is invalid, the users that it put into the pool
	// stay, and it adds no users.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=4096
	// +optional
	MemberFilter string `json:"memberFilter,omitempty"`

	// adopt is the portal's id of a pool that this object takes over, with its agents and members.
	// By this field you consent to the adoption of a pool that was created in the portal: a pool is
	// never taken over only because it has the same name. After the adoption the field has no
	// effect.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	// +optional
	Adopt string `json:"adopt,omitempty"`

	// onDelete is what happens to the pool in the portal when this object is deleted. Delete
	// deletes a pool that this object created. From a pool that it adopted, and from the default
	// pool, Delete removes the roles that this object granted. Orphan changes nothing, and
	// administrators edit the pool in the portal. Absent means Delete.
	// +optional
	OnDelete PoolDeletion `json:"onDelete,omitempty"`
}

// GroupReference names one group of the identity provider, in exactly one of three ways.
//
// +kubebuilder:validation:XValidation:rule="[has(self.displayName), has(self.externalId), has(self.id)].filter(x, x).size() == 1",message="name a group by exactly one of displayName, externalId or id"
type GroupReference struct {
	// displayName is the group's name at the provider. Case is ignored.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	// +optional
	DisplayName string `json:"displayName,omitempty"`
	// externalId is the provider's own identifier of the group. Case is significant.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	// +optional
	ExternalID string `json:"externalId,omitempty"`
	// id is the group's SCIM id, which is the name of its ScimGroup.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +optional
	ID string `json:"id,omitempty"`
}

// PoolMember is one user that spec.members lists.
type PoolMember struct {
	// userName is the user's name at the provider. Case is ignored.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	UserName string `json:"userName"`
}

// PinnedGroup is a line of spec.groups with the group that the line was resolved to.
type PinnedGroup struct {
	GroupReference `json:",inline"`
	// group is the SCIM id of the group.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Group string `json:"group"`
	// deleted is true if the provider has deleted the group. Then its users leave the pool. If the
	// pool has ROLE_MANAGER, another group can take the place of this one only after a person
	// accepted it (GroupChanged).
	// +optional
	Deleted bool `json:"deleted,omitempty"`
}

// PinnedMember is a line of spec.members with the user that the line was resolved to.
type PinnedMember struct {
	// userName is the user name in the line.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	UserName string `json:"userName"`
	// id is the SCIM id of the user. If the user is gone, another user who has the name can take
	// the place of this one only after a person accepted it (MemberChanged).
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	ID string `json:"id"`
	// gone is why the user is not in the pool: Deleted if the provider deleted the user, Missing if
	// the ScimUser does not exist for another reason. It is absent while the user exists.
	// +optional
	Gone MemberGone `json:"gone,omitempty"`
}

// MemberGone is the reason why a user that a line of spec.members means is gone.
// +kubebuilder:validation:Enum=Deleted;Missing
type MemberGone string

const (
	MemberDeleted MemberGone = "Deleted" // the provider deleted the user
	MemberMissing MemberGone = "Missing" // the ScimUser does not exist, and it is not known that the provider deleted the user
)

// AgentPoolStatus is the state of the pool in the portal.
type AgentPoolStatus struct {
	// held is the removal that the deprovisioning guard holds until a person decides.
	// +optional
	Held *HeldRemoval `json:"held,omitempty"`
	// pool is the id of the pool in the portal.
	// +kubebuilder:validation:MaxLength=128
	// +optional
	Pool string `json:"pool,omitempty"`
	// displayName is the pool's name in the portal. This object has the claim on it.
	// +kubebuilder:validation:MaxLength=256
	// +optional
	DisplayName string `json:"displayName,omitempty"`
	// roles lists the roles that this object has granted and that the pool grants in the portal
	// now.
	// +listType=set
	// +kubebuilder:validation:MaxItems=64
	// +optional
	Roles []Role `json:"roles,omitempty"`
	// roleNames lists the roles in one line, for a column of kubectl get.
	// +kubebuilder:validation:MaxLength=1024
	// +optional
	RoleNames string `json:"roleNames,omitempty"`
	// groups lists the lines of spec.groups that are resolved, each with its group.
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	// +optional
	Groups []PinnedGroup `json:"groups,omitempty"`
	// members lists the lines of spec.members that are resolved, each with its user. It is empty
	// while the pool does not have ROLE_MANAGER.
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=1000
	// +optional
	Members []PinnedMember `json:"members,omitempty"`
	// memberCount is the number of ScimUsers in the pool. It is updated at most twice a minute. The
	// portal's own number also has local accounts, which administrators manage there.
	// +optional
	MemberCount int64 `json:"memberCount"`
	// conditions of the pool. docs/reference/conditions.md lists types and reasons.
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=16
	// +optional
	Conditions []metav1.Condition `json:"conditions,omitempty"`
	// observedGeneration is the generation that this status describes.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
}

// AgentPool is a pool of agents in the portal, with the roles that it grants and its members.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:path=agentpools,shortName=apool,categories=scim
// +kubebuilder:subresource:status
// +kubebuilder:printcolumn:name="Display name",type=string,JSONPath=`.status.displayName`
// +kubebuilder:printcolumn:name="Roles",type=string,JSONPath=`.status.roleNames`
// +kubebuilder:printcolumn:name="Members",type=integer,JSONPath=`.status.memberCount`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Reason",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:validation:XValidation:rule="self.metadata.name != 'default' || !has(self.spec) || (!has(self.spec.groups) && !has(self.spec.members) && !has(self.spec.memberFilter) && !has(self.spec.adopt))",message="the default pool contains every user; it takes no groups, members, memberFilter or adopt"
type AgentPool struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is the desired state of the pool.
	// +optional
	Spec AgentPoolSpec `json:"spec,omitempty,omitzero"`
	// status is the state that the manager has observed and written.
	// +optional
	Status AgentPoolStatus `json:"status,omitempty,omitzero"`
}

// UserNames returns the user names of spec.members.
func (p *AgentPool) UserNames() []string {
	out := make([]string, len(p.Spec.Members))
	for i, m := range p.Spec.Members {
		out[i] = m.UserName
	}
	return out
}

// OwnPoolOf returns the SCIM id of the group whose own pool this is, and "" for a pool that
// administrators declared. A group that no pool names has a pool of its own: the AgentPool's name
// is the group's id, and its spec contains only one line of groups, which names this id.
func (p *AgentPool) OwnPoolOf() string {
	s := p.Spec
	if s.DisplayName != "" || s.Description != "" || len(s.Roles) != 0 || len(s.Members) != 0 ||
		s.MemberFilter != "" || s.Adopt != "" || s.OnDelete != "" {
		return ""
	}
	if len(s.Groups) != 1 || s.Groups[0] != (GroupReference{ID: p.Name}) {
		return ""
	}
	return p.Name
}

// PortalName returns the pool's name in the portal: displayName, or else the object's name. Do not
// call it for a group's own pool: that pool has the group's displayName, which this object does not
// contain.
func (p *AgentPool) PortalName() string {
	if p.Spec.DisplayName != "" {
		return p.Spec.DisplayName
	}
	return p.Name
}

// AgentPoolList is a list of pools.
// +kubebuilder:object:root=true
type AgentPoolList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []AgentPool `json:"items"`
}
