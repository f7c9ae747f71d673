// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// ScimGroupSpec is what the identity provider says about one group: the attributes of RFC 7643
// §4.2 under their standard names. Members are in ScimGroupSlices. A group grants nothing: an
// AgentPool names the groups that fill it. Written by the SCIM webhook.
//
// +kubebuilder:validation:XValidation:rule="!has(oldSelf.revision) || has(self.revision) && self.revision >= oldSelf.revision",message="the group has a newer revision, and an older export does not replace it"
type ScimGroupSpec struct {
	// displayName is the provider's name for the group. It is unique; case is ignored.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	// +required
	DisplayName string `json:"displayName"`

	// externalId is the provider's own identifier of the group. Case is significant.
	// +kubebuilder:validation:MaxLength=256
	// +optional
	ExternalID string `json:"externalId,omitempty"`

	// deleted is true if the provider has deleted the group. From then on SCIM requests for the
	// group get the response 404. The manager removes the group's members from the pools that it
	// fills, and then deletes this object.
	// +optional
	Deleted bool `json:"deleted,omitempty"`

	// revision is the revision of the last write of displayName, externalId or deleted: max(old +
	// 1, Unix milliseconds). An object with a lower revision than the portal has seen comes from a
	// backup.
	// +kubebuilder:validation:Minimum=0
	// +optional
	Revision int64 `json:"revision,omitempty"`

	// round is the number of the last replacement of all members. An older replacement, with a
	// lower round, does not overwrite a slice that a newer one has written.
	// +kubebuilder:validation:Minimum=0
	// +optional
	Round int64 `json:"round,omitempty"`
}

// ScimGroupStatus is the state of the group that the manager has observed.
type ScimGroupStatus struct {
	// displayName is the last name that was claimed for the group. It is absent before the first
	// claim.
	// +kubebuilder:validation:MaxLength=256
	// +optional
	DisplayName string `json:"displayName,omitempty"`
	// memberCount is the number of users in the group, without deleted users. It is updated at most
	// twice a minute.
	// +optional
	MemberCount int64 `json:"memberCount"`
	// pools are the names of the AgentPools that the group fills, sorted.
	// +listType=set
	// +kubebuilder:validation:MaxItems=256
	// +kubebuilder:validation:items:MaxLength=253
	// +optional
	Pools []string `json:"pools,omitempty"`
	// poolNames lists the same pools in one line, for a column of kubectl get.
	// +kubebuilder:validation:MaxLength=1024
	// +optional
	PoolNames string `json:"poolNames,omitempty"`
	// olderThan is the portal's revision of the group, while the group's objects come from an older
	// backup (BackupOlder). A change of single members does not end that, so it is kept here.
	// +optional
	OlderThan int64 `json:"olderThan,omitempty"`
	// olderRound is the highest round of the slices at the time when olderThan was set. A later
	// replacement of all members clears both.
	// +optional
	OlderRound int64 `json:"olderRound,omitempty"`
	// conditions of the group. docs/reference/conditions.md lists types and reasons.
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=16
	// +optional
	Conditions []metav1.Condition `json:"conditions,omitempty"`
	// observedGeneration is the generation that this status describes.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
}

// ScimGroup is a group as the identity provider describes it. Its name is its SCIM id: a random
// UUID that is never reassigned.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:path=scimgroups,shortName=scg,categories=scim
// +kubebuilder:subresource:status
// +kubebuilder:printcolumn:name="Display name",type=string,JSONPath=`.spec.displayName`
// +kubebuilder:printcolumn:name="Members",type=integer,JSONPath=`.status.memberCount`
// +kubebuilder:printcolumn:name="Pools",type=string,JSONPath=`.status.poolNames`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Reason",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:validation:XValidation:rule="self.metadata.name.matches('^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$')",message="the name of a ScimGroup is its SCIM id, a lower-case UUID; groups are created through SCIM"
type ScimGroup struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is what the identity provider says about the group.
	// +required
	Spec ScimGroupSpec `json:"spec"`
	// status is the state that the manager has observed and written.
	// +optional
	Status ScimGroupStatus `json:"status,omitempty,omitzero"`
}

// ScimGroupList is a list of groups.
// +kubebuilder:object:root=true
type ScimGroupList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []ScimGroup `json:"items"`
}

// Limits of a slice.
const (
	SliceTarget  = 256  // members; a slice with more is split after the write
	SliceMax     = 1024 // members at most; a write that would exceed it splits the slice first
	SliceMaxBits = 16   // of the id that a slice can use
)

// ScimGroupSliceSpec is a part of one group's members: the users whose id begins with the first
// bits of the slice's prefix.
//
// +kubebuilder:validation:XValidation:rule="self.epoch > oldSelf.epoch || self.epoch == oldSelf.epoch && self.bits == oldSelf.bits && self.round >= oldSelf.round",message="the slice was split or replaced meanwhile: read the group again"
// +kubebuilder:validation:XValidation:rule="self.revision >= oldSelf.revision",message="the slice has a newer revision: read the group again"
type ScimGroupSliceSpec struct {
	// bits is the number of leading bits that a user's id must have in common with the slice's
	// prefix, which is the last four hexadecimal digits of the slice's name. With 0, the slice
	// covers every user.
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=16
	Bits int32 `json:"bits"`
	// epoch increases whenever bits changes. A write contains the epoch that its writer has read,
	// so the API server refuses a write that was decided before a split.
	// +kubebuilder:validation:Minimum=0
	Epoch int64 `json:"epoch"`
	// round is the round of the last replacement of all members that was written to this slice; 0
	// before the first one. It is always present, because the validation rules of this type and the
	// JSON patches compare it.
	// +kubebuilder:validation:Minimum=0
	// +required
	Round int64 `json:"round"`
	// revision is the revision of the last write of members: max(old + 1, Unix milliseconds). It
	// never decreases, because a group with a lower revision than before counts as restored from a
	// backup.
	// +kubebuilder:validation:Minimum=0
	// +required
	Revision int64 `json:"revision"`
	// members are the SCIM ids of users, one on each line and sorted, as of the last time that the
	// slice was written as a whole. It is one string because the API server handles a string of
	// 1,024 ids at a fraction of the cost of 1,024 map entries or list items.
	// +kubebuilder:validation:MaxLength=37888
	// +optional
	Members string `json:"members,omitempty"`
	// changes are the later changes of single members: true for a user who was added and false for
	// one who was removed. They take precedence over members. A writer moves them into members when
	// there are many.
	// +mapType=atomic
	// +kubebuilder:validation:MaxProperties=1024
	// +optional
	Changes map[string]bool `json:"changes,omitempty"`
}

// ScimGroupSlice is a part of one group's members. Its name is the group's name, a hyphen and a
// prefix of four hexadecimal digits; its label iam.lightrun.com/group is the group's name.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:path=scimgroupslices,shortName=scgs,categories=scim-internal
// +kubebuilder:printcolumn:name="Group",type=string,JSONPath=`.metadata.labels.iam\.lightrun\.com/group`
// +kubebuilder:printcolumn:name="Bits",type=integer,JSONPath=`.spec.bits`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:validation:XValidation:rule="self.metadata.name.matches('^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}-[0-9a-f]{4}$')",message="a slice is named by its group's SCIM id, a hyphen and four hexadecimal digits"
type ScimGroupSlice struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is the part of the members that this slice contains.
	// +required
	Spec ScimGroupSliceSpec `json:"spec"`
}

// ScimGroupSliceList is a list of slices.
// +kubebuilder:object:root=true
type ScimGroupSliceList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []ScimGroupSlice `json:"items"`
}
