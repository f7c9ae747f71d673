package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// ScimUserSpec is what the identity provider says of a person: the attributes of RFC 7643 §4.1 (User) and §4.3
// (enterprise extension) under their standard names. Written by the SCIM webhook. Absent means unassigned.
//
// +kubebuilder:validation:XValidation:rule="!has(self.emails) || self.emails.filter(e, has(e.primary) && e.primary).size() <= 1",message="at most one e-mail address can be primary (RFC 7643 §2.4)"
type ScimUserSpec struct {
	// userName is the provider's unique name for the person, compared without regard to case.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	// +required
	UserName string `json:"userName"`

	// externalId is the provider's own identifier of the person, case-exact.
	// +kubebuilder:validation:MaxLength=256
	// +optional
	ExternalID string `json:"externalId,omitempty"`

	// active says whether the person may sign in. Absent means true.
	// +optional
	Active *bool `json:"active,omitempty"`

	// suspend stops every write about this person to the portal until it is removed. A person sets it; the provider can't.
	// +optional
	Suspend bool `json:"suspend,omitempty"`

	// deleted is set when the provider deletes the user: over SCIM the user is gone and the name is
	// free, and the manager deprovisions the account before it deletes the object.
	// +optional
	Deleted bool `json:"deleted,omitempty"`

	// revision of the webhook's last write: max(old + 1, Unix milliseconds). An object older than
	// what the portal has seen is a restored backup and waits.
	// +kubebuilder:validation:Minimum=0
	// +optional
	Revision int64 `json:"revision,omitempty"`

	// +optional
	Name *Name `json:"name,omitempty"`
	// +kubebuilder:validation:MaxLength=256
	// +optional
	DisplayName string `json:"displayName,omitempty"`
	// +kubebuilder:validation:MaxLength=1024
	// +optional
	NickName string `json:"nickName,omitempty"`
	// +kubebuilder:validation:MaxLength=2048
	// +optional
	ProfileURL string `json:"profileUrl,omitempty"`
	// +kubebuilder:validation:MaxLength=1024
	// +optional
	Title string `json:"title,omitempty"`
	// +kubebuilder:validation:MaxLength=1024
	// +optional
	UserType string `json:"userType,omitempty"`
	// +kubebuilder:validation:MaxLength=1024
	// +optional
	PreferredLanguage string `json:"preferredLanguage,omitempty"`
	// +kubebuilder:validation:MaxLength=1024
	// +optional
	Locale string `json:"locale,omitempty"`
	// +kubebuilder:validation:MaxLength=1024
	// +optional
	Timezone string `json:"timezone,omitempty"`

	// +listType=atomic
	// +kubebuilder:validation:MaxItems=20
	// +optional
	Emails []MultiValue `json:"emails,omitempty"`
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=20
	// +optional
	PhoneNumbers []MultiValue `json:"phoneNumbers,omitempty"`
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=20
	// +optional
	Ims []MultiValue `json:"ims,omitempty"`
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=20
	// +optional
	Photos []LongMultiValue `json:"photos,omitempty"`
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=20
	// +optional
	Addresses []Address `json:"addresses,omitempty"`
	// entitlements are kept for the provider; they grant nothing in the portal.
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=50
	// +optional
	Entitlements []MultiValue `json:"entitlements,omitempty"`
	// roles are the provider's own role strings, kept for it; they grant nothing in the portal. Pools do.
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=50
	// +optional
	Roles []MultiValue `json:"roles,omitempty"`
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=5
	// +optional
	X509Certificates []LongMultiValue `json:"x509Certificates,omitempty"`

	// +kubebuilder:validation:MaxLength=1024
	// +optional
	EmployeeNumber string `json:"employeeNumber,omitempty"`
	// +kubebuilder:validation:MaxLength=1024
	// +optional
	CostCenter string `json:"costCenter,omitempty"`
	// +kubebuilder:validation:MaxLength=1024
	// +optional
	Organization string `json:"organization,omitempty"`
	// +kubebuilder:validation:MaxLength=1024
	// +optional
	Division string `json:"division,omitempty"`
	// +kubebuilder:validation:MaxLength=1024
	// +optional
	Department string `json:"department,omitempty"`
	// +optional
	Manager *Manager `json:"manager,omitempty"`
}

// Name is the components of a person's name (RFC 7643 §4.1.1).
type Name struct {
	// +kubebuilder:validation:MaxLength=1024
	// +optional
	Formatted string `json:"formatted,omitempty"`
	// +kubebuilder:validation:MaxLength=1024
	// +optional
	FamilyName string `json:"familyName,omitempty"`
	// +kubebuilder:validation:MaxLength=1024
	// +optional
	GivenName string `json:"givenName,omitempty"`
	// +kubebuilder:validation:MaxLength=1024
	// +optional
	MiddleName string `json:"middleName,omitempty"`
	// +kubebuilder:validation:MaxLength=1024
	// +optional
	HonorificPrefix string `json:"honorificPrefix,omitempty"`
	// +kubebuilder:validation:MaxLength=1024
	// +optional
	HonorificSuffix string `json:"honorificSuffix,omitempty"`
}

// MultiValue is one value of a multi-valued attribute (RFC 7643 §2.4).
type MultiValue struct {
	// +kubebuilder:validation:MaxLength=1024
	// +optional
	Value string `json:"value,omitempty"`
	// +kubebuilder:validation:MaxLength=1024
	// +optional
	Display string `json:"display,omitempty"`
	// +kubebuilder:validation:MaxLength=1024
	// +optional
	Type string `json:"type,omitempty"`
	// +optional
	Primary *bool `json:"primary,omitempty"`
}

// LongMultiValue is one value of photos or x509Certificates: a URI, or base64 DER.
type LongMultiValue struct {
	// +kubebuilder:validation:MaxLength=8192
	// +optional
	Value string `json:"value,omitempty"`
	// +kubebuilder:validation:MaxLength=1024
	// +optional
	Display string `json:"display,omitempty"`
	// +kubebuilder:validation:MaxLength=1024
	// +optional
	Type string `json:"type,omitempty"`
	// +optional
	Primary *bool `json:"primary,omitempty"`
}

// Address is one physical mailing address (RFC 7643 §4.1.2).
type Address struct {
	// +kubebuilder:validation:MaxLength=1024
	// +optional
	Formatted string `json:"formatted,omitempty"`
	// +kubebuilder:validation:MaxLength=1024
	// +optional
	StreetAddress string `json:"streetAddress,omitempty"`
	// +kubebuilder:validation:MaxLength=1024
	// +optional
	Locality string `json:"locality,omitempty"`
	// +kubebuilder:validation:MaxLength=1024
	// +optional
	Region string `json:"region,omitempty"`
	// +kubebuilder:validation:MaxLength=1024
	// +optional
	PostalCode string `json:"postalCode,omitempty"`
	// +kubebuilder:validation:MaxLength=1024
	// +optional
	Country string `json:"country,omitempty"`
	// +kubebuilder:validation:MaxLength=1024
	// +optional
	Type string `json:"type,omitempty"`
	// +optional
	Primary *bool `json:"primary,omitempty"`
}

// Manager names the person's manager by SCIM id (RFC 7643 §4.3).
type Manager struct {
	// +kubebuilder:validation:MaxLength=256
	// +optional
	Value string `json:"value,omitempty"`
}

// PoolSource says why a person is in a pool.
// +kubebuilder:validation:Enum=Default;Group;Declared;Filter;Held
type PoolSource string

const (
	PoolSourceDefault  PoolSource = "Default"  // everyone is
	PoolSourceGroup    PoolSource = "Group"    // a group that fills the pool contains the user
	PoolSourceDeclared PoolSource = "Declared" // spec.members of the pool names them
	PoolSourceFilter   PoolSource = "Filter"   // spec.memberFilter of the pool matches them
	PoolSourceHeld     PoolSource = "Held"     // nothing does any more: that they leave is held or was dropped
)

// PoolMembership is one pool that a person is in, and why. A pool reached in several ways is listed once, with the first source in the order of the constants.
type PoolMembership struct {
	// name of the AgentPool.
	// +kubebuilder:validation:MaxLength=253
	Name   string     `json:"name"`
	Source PoolSource `json:"source"`
	// held: they are in the pool in the portal though nothing puts them there any more. The
	// deprovisioning guard holds the removal, or a person dropped it: see the AgentPool.
	// +optional
	Held bool `json:"held,omitempty"`
}

// HeldRemoval is a removal that the deprovisioning guard holds until a person decides.
type HeldRemoval struct {
	// decision is the id of this removal, which a decision quotes. It names exactly these users
	// and when the removal was first wanted; another set of users is another id.
	// +kubebuilder:validation:MaxLength=128
	Decision string `json:"decision"`
	// removal is what they would lose: Deactivation, Deletion, ManagerRole or Members.
	// +kubebuilder:validation:MaxLength=32
	Removal string `json:"removal"`
	// users is how many would lose it.
	Users int64 `json:"users"`
}

// RoleGrant is one role that a person holds, and the pools that grant it.
type RoleGrant struct {
	// +kubebuilder:validation:MaxLength=64
	Name string `json:"name"`
	// from names the AgentPools that grant the role, sorted.
	// +listType=set
	// +kubebuilder:validation:MaxItems=1024
	// +kubebuilder:validation:items:MaxLength=253
	From []string `json:"from"`
}

// ScimUserStatus is what became of the person in the portal.
type ScimUserStatus struct {
	// userName is the name that is claimed for the person and that their account bears.
	// +kubebuilder:validation:MaxLength=256
	// +optional
	UserName string `json:"userName,omitempty"`
	// account is the id of the account in the portal.
	// +kubebuilder:validation:MaxLength=128
	// +optional
	Account string `json:"account,omitempty"`
	// poolNames are the pools in one line, for people: kubectl's columns show one value each.
	// +kubebuilder:validation:MaxLength=1024
	// +optional
	PoolNames string `json:"poolNames,omitempty"`
	// roleNames are the roles in one line.
	// +kubebuilder:validation:MaxLength=1024
	// +optional
	RoleNames string `json:"roleNames,omitempty"`
	// pools the person is in, and why.
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=1024
	// +optional
	Pools []PoolMembership `json:"pools,omitempty"`
	// held is the removal that the deprovisioning guard holds: decide by its id.
	// +optional
	Held *HeldRemoval `json:"held,omitempty"`
	// roles the person holds, and from which pools.
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=64
	// +optional
	Roles []RoleGrant `json:"roles,omitempty"`
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=16
	// +optional
	Conditions []metav1.Condition `json:"conditions,omitempty"`
	// observedGeneration is the generation that this status speaks of.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
}

// ScimUser is a person as the identity provider describes them. Its name is its SCIM id: a random UUID, never reassigned.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:path=scimusers,shortName=scu,categories=scim
// +kubebuilder:subresource:status
// +kubebuilder:selectablefield:JSONPath=`.spec.userName`
// +kubebuilder:selectablefield:JSONPath=`.spec.externalId`
// +kubebuilder:printcolumn:name="User name",type=string,JSONPath=`.spec.userName`
// +kubebuilder:printcolumn:name="Active",type=boolean,JSONPath=`.spec.active`
// +kubebuilder:printcolumn:name="Pools",type=string,JSONPath=`.status.poolNames`
// +kubebuilder:printcolumn:name="Roles",type=string,JSONPath=`.status.roleNames`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Reason",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="Account",type=string,priority=1,JSONPath=`.status.account`
// +kubebuilder:validation:XValidation:rule="self.metadata.name.matches('^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$')",message="the name of a ScimUser is its SCIM id, a lower-case UUID; users are created through SCIM"
type ScimUser struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// +required
	Spec ScimUserSpec `json:"spec"`
	// +optional
	Status ScimUserStatus `json:"status,omitempty,omitzero"`
}

// IsActive says whether the provider lets the person sign in; absent means yes.
func (u *ScimUser) IsActive() bool { return u.Spec.Active == nil || *u.Spec.Active }

// ScimUserList is a list of people.
// +kubebuilder:object:root=true
type ScimUserList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []ScimUser `json:"items"`
}
