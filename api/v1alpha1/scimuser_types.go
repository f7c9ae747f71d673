// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// ScimUserSpec contains what the identity provider says about one user: the attributes of RFC 7643
// §4.1 (User) and §4.3 (enterprise extension) under their standard names. The SCIM webhook writes
// it. An absent attribute is unassigned.
//
// +kubebuilder:validation:XValidation:rule="!has(self.emails) || self.emails.filter(e, has(e.primary) && e.primary).size() <= 1",message="at most one e-mail address can be primary (RFC 7643 §2.4)"
type ScimUserSpec struct {
	// userName is the provider's unique name for the user. Case is ignored.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	// +required
	UserName string `json:"userName"`

	// externalId is the provider's own identifier of the user. Case is significant.
	// +kubebuilder:validation:MaxLength=256
	// +optional
	ExternalID string `json:"externalId,omitempty"`

	// active is false if the provider does not let the user sign in. Absent means true.
	// +optional
	Active *bool `json:"active,omitempty"`

	// suspend set to true stops every write to the portal for this user. Administrators of the
	// cluster set it; the provider cannot.
	// +optional
	Suspend bool `json:"suspend,omitempty"`

	// deleted is true if the provider has deleted the user. From then on SCIM requests for the user
	// get the response 404, and another user can get the name. The manager deprovisions the account
	// and then deletes this object.
	// +optional
	Deleted bool `json:"deleted,omitempty"`

	// revision is the revision of the webhook's last write: max(old + 1, Unix milliseconds). An
	// object with a lower revision than the portal has seen comes from a backup. It waits
	// (BackupOlder).
	// +kubebuilder:validation:Minimum=0
	// +optional
	Revision int64 `json:"revision,omitempty"`

	// name contains the components of the user's name.
	// +optional
	Name *Name `json:"name,omitempty"`
	// displayName is the name to display for the user.
	// +kubebuilder:validation:MaxLength=256
	// +optional
	DisplayName string `json:"displayName,omitempty"`
	// nickName is the user's casual name.
	// +kubebuilder:validation:MaxLength=1024
	// +optional
	NickName string `json:"nickName,omitempty"`
	// profileUrl is the URL of a page about the user.
	// +kubebuilder:validation:MaxLength=2048
	// +optional
	ProfileURL string `json:"profileUrl,omitempty"`
	// title is the user's title, such as "Vice President".
	// +kubebuilder:validation:MaxLength=1024
	// +optional
	Title string `json:"title,omitempty"`
	// userType describes the relation to the organisation, such as "Contractor" or "Employee".
	// +kubebuilder:validation:MaxLength=1024
	// +optional
	UserType string `json:"userType,omitempty"`
	// preferredLanguage is the user's language, such as "en-US" (RFC 9110 §12.5.4).
	// +kubebuilder:validation:MaxLength=1024
	// +optional
	PreferredLanguage string `json:"preferredLanguage,omitempty"`
	// locale is used for formats of dates, numbers and currencies, such as "en-US" (RFC 5646).
	// +kubebuilder:validation:MaxLength=1024
	// +optional
	Locale string `json:"locale,omitempty"`
	// timezone is the user's IANA time zone, such as "Europe/Paris".
	// +kubebuilder:validation:MaxLength=1024
	// +optional
	Timezone string `json:"timezone,omitempty"`

	// emails are the user's e-mail addresses.
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=20
	// +optional
	Emails []MultiValue `json:"emails,omitempty"`
	// phoneNumbers are the user's phone numbers.
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=20
	// +optional
	PhoneNumbers []MultiValue `json:"phoneNumbers,omitempty"`
	// ims are the user's instant messaging addresses.
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=20
	// +optional
	Ims []MultiValue `json:"ims,omitempty"`
	// photos are URLs of photos of the user.
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=20
	// +optional
	Photos []LongMultiValue `json:"photos,omitempty"`
	// addresses are the user's physical mailing addresses.
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=20
	// +optional
	Addresses []Address `json:"addresses,omitempty"`
	// entitlements are stored for the provider. They grant nothing in the portal.
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=50
	// +optional
	Entitlements []MultiValue `json:"entitlements,omitempty"`
	// roles are the provider's own role strings, stored for the provider. They grant nothing in the
	// portal; pools do.
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=50
	// +optional
	Roles []MultiValue `json:"roles,omitempty"`
	// x509Certificates are certificates issued to the user, in base64-encoded DER.
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=5
	// +optional
	X509Certificates []LongMultiValue `json:"x509Certificates,omitempty"`

	// employeeNumber is the identifier that the organisation gives to the user.
	// +kubebuilder:validation:MaxLength=1024
	// +optional
	EmployeeNumber string `json:"employeeNumber,omitempty"`
	// costCenter is the name of a cost center.
	// +kubebuilder:validation:MaxLength=1024
	// +optional
	CostCenter string `json:"costCenter,omitempty"`
	// organization is the name of an organization.
	// +kubebuilder:validation:MaxLength=1024
	// +optional
	Organization string `json:"organization,omitempty"`
	// division is the name of a division.
	// +kubebuilder:validation:MaxLength=1024
	// +optional
	Division string `json:"division,omitempty"`
	// department is the name of a department.
	// +kubebuilder:validation:MaxLength=1024
	// +optional
	Department string `json:"department,omitempty"`
	// manager is the user's manager.
	// +optional
	Manager *Manager `json:"manager,omitempty"`
}

// Name is the components of a person's name (RFC 7643 §4.1.1).
type Name struct {
	// formatted is the full name, formatted for display.
	// +kubebuilder:validation:MaxLength=1024
	// +optional
	Formatted string `json:"formatted,omitempty"`
	// familyName is the family name.
	// +kubebuilder:validation:MaxLength=1024
	// +optional
	FamilyName string `json:"familyName,omitempty"`
	// givenName is the given name.
	// +kubebuilder:validation:MaxLength=1024
	// +optional
	GivenName string `json:"givenName,omitempty"`
	// middleName contains the middle names.
	// +kubebuilder:validation:MaxLength=1024
	// +optional
	MiddleName string `json:"middleName,omitempty"`
	// honorificPrefix is a title before the name, such as "Dr."
	// +kubebuilder:validation:MaxLength=1024
	// +optional
	HonorificPrefix string `json:"honorificPrefix,omitempty"`
	// honorificSuffix is a suffix after the name, such as "III".
	// +kubebuilder:validation:MaxLength=1024
	// +optional
	HonorificSuffix string `json:"honorificSuffix,omitempty"`
}

// MultiValue is one value of a multi-valued attribute (RFC 7643 §2.4).
type MultiValue struct {
	// value of this element, such as an e-mail address.
	// +kubebuilder:validation:MaxLength=1024
	// +optional
	Value string `json:"value,omitempty"`
	// display is a human-readable name of this element.
	// +kubebuilder:validation:MaxLength=1024
	// +optional
	Display string `json:"display,omitempty"`
	// type labels the function of this element, such as "work" or "home".
	// +kubebuilder:validation:MaxLength=1024
	// +optional
	Type string `json:"type,omitempty"`
	// primary is true for the preferred element. At most one element is primary.
	// +optional
	Primary *bool `json:"primary,omitempty"`
}

// LongMultiValue is one value of photos or x509Certificates: a URI, or base64 DER.
type LongMultiValue struct {
	// value of this element, a URI or base64-encoded DER.
	// +kubebuilder:validation:MaxLength=8192
	// +optional
	Value string `json:"value,omitempty"`
	// display is a human-readable name of this element.
	// +kubebuilder:validation:MaxLength=1024
	// +optional
	Display string `json:"display,omitempty"`
	// type labels the function of this element, such as "photo" or "thumbnail".
	// +kubebuilder:validation:MaxLength=1024
	// +optional
	Type string `json:"type,omitempty"`
	// primary is true for the preferred element. At most one element is primary.
	// +optional
	Primary *bool `json:"primary,omitempty"`
}

// Address is one physical mailing address (RFC 7643 §4.1.2).
type Address struct {
	// formatted is the full address, formatted for display or for a label.
	// +kubebuilder:validation:MaxLength=1024
	// +optional
	Formatted string `json:"formatted,omitempty"`
	// streetAddress is the street with house number, and may have several lines.
	// +kubebuilder:validation:MaxLength=1024
	// +optional
	StreetAddress string `json:"streetAddress,omitempty"`
	// locality is the city or town.
	// +kubebuilder:validation:MaxLength=1024
	// +optional
	Locality string `json:"locality,omitempty"`
	// region is the state or region.
	// +kubebuilder:validation:MaxLength=1024
	// +optional
	Region string `json:"region,omitempty"`
	// postalCode is the postal code.
	// +kubebuilder:validation:MaxLength=1024
	// +optional
	PostalCode string `json:"postalCode,omitempty"`
	// country is the country code of ISO 3166-1 alpha-2, such as "FR".
	// +kubebuilder:validation:MaxLength=1024
	// +optional
	Country string `json:"country,omitempty"`
	// type labels the function of this address, such as "work" or "home".
	// +kubebuilder:validation:MaxLength=1024
	// +optional
	Type string `json:"type,omitempty"`
	// primary is true for the preferred address. At most one address is primary.
	// +optional
	Primary *bool `json:"primary,omitempty"`
}

// Manager names the user's manager by SCIM id (RFC 7643 §4.3).
type Manager struct {
	// value is the SCIM id of the user's manager.
	// +kubebuilder:validation:MaxLength=256
	// +optional
	Value string `json:"value,omitempty"`
}

// PoolSource is the reason why a user is in a pool.
// +kubebuilder:validation:Enum=Default;Group;Declared;Filter;Held;OwnerGone;WithoutOwner
type PoolSource string

const (
	PoolSourceDefault  PoolSource = "Default"  // every user is in the default pool
	PoolSourceGroup    PoolSource = "Group"    // a group that fills the pool contains the user
	PoolSourceDeclared PoolSource = "Declared" // spec.members of the pool lists the user
	PoolSourceFilter   PoolSource = "Filter"   // spec.memberFilter of the pool matches the user
	PoolSourceHeld     PoolSource = "Held"     // nothing gives the pool any more; the removal is held or was dropped

	// PoolSourceOwnerGone: the AgentPool no longer exists, and the portal still has its pool.
	PoolSourceOwnerGone PoolSource = "OwnerGone"
	// PoolSourceWithoutOwner: an AgentPool added the user and then released the pool, for example
	// with onDelete: Orphan. No AgentPool manages the pool: administrators do, in the portal.
	PoolSourceWithoutOwner PoolSource = "WithoutOwner"
)

// PoolMembership is one pool that a user is in, with the reason. If there are several reasons, it
// has the first one in the order of the constants of PoolSource.
type PoolMembership struct {
	// name of the AgentPool. With the source WithoutOwner, the pool's name in the portal.
	// +kubebuilder:validation:MaxLength=256
	Name string `json:"name"`
	// source is the reason why the user is in the pool.
	Source PoolSource `json:"source"`
	// held is true if the user is in the pool only because the deprovisioning guard holds the
	// removal, or because a person dropped it. The status of the AgentPool has the details.
	// +optional
	Held bool `json:"held,omitempty"`
}

// HeldRemoval is a removal that the deprovisioning guard holds until a person decides.
type HeldRemoval struct {
	// decision is the id of this removal. The commands kubectl scim release and kubectl scim drop
	// quote it. It identifies exactly these users: another set of users has another id.
	// +kubebuilder:validation:MaxLength=128
	Decision string `json:"decision"`
	// removal is what the users would lose: Deactivation, Deletion, ManagerRole or Members.
	// +kubebuilder:validation:MaxLength=32
	Removal string `json:"removal"`
	// users is the number of users who would lose what removal says.
	Users int64 `json:"users"`
}

// RoleGrant is one role that a user has, and the pools that grant it.
type RoleGrant struct {
	// name of the role, such as ROLE_USER.
	// +kubebuilder:validation:MaxLength=64
	Name string `json:"name"`
	// from contains the names of the AgentPools that grant the role, sorted. For a pool that
	// administrators manage in the portal, it contains the pool's name in the portal.
	// +listType=set
	// +kubebuilder:validation:MaxItems=1024
	// +kubebuilder:validation:items:MaxLength=256
	From []string `json:"from"`
}

// ScimUserStatus is the state of the user's account in the portal.
type ScimUserStatus struct {
	// userName is the user name of the account. This user has the claim on it.
	// +kubebuilder:validation:MaxLength=256
	// +optional
	UserName string `json:"userName,omitempty"`
	// account is the id of the account in the portal.
	// +kubebuilder:validation:MaxLength=128
	// +optional
	Account string `json:"account,omitempty"`
	// poolNames lists the names of the pools in one line, for a column of kubectl get.
	// +kubebuilder:validation:MaxLength=1024
	// +optional
	PoolNames string `json:"poolNames,omitempty"`
	// roleNames lists the names of the roles in one line, for a column of kubectl get.
	// +kubebuilder:validation:MaxLength=1024
	// +optional
	RoleNames string `json:"roleNames,omitempty"`
	// pools lists the pools that the user is in, with the reasons.
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=1024
	// +optional
	Pools []PoolMembership `json:"pools,omitempty"`
	// held is the removal that the deprovisioning guard holds until a person decides.
	// +optional
	Held *HeldRemoval `json:"held,omitempty"`
	// roles lists the roles that the user has, with the pools that grant them.
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=64
	// +optional
	Roles []RoleGrant `json:"roles,omitempty"`
	// conditions of the user. docs/reference/conditions.md lists types and reasons.
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=16
	// +optional
	Conditions []metav1.Condition `json:"conditions,omitempty"`
	// observedGeneration is the generation that this status describes.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
}

// ScimUser is a user as the identity provider describes them. Its name is its SCIM id: a random
// UUID that is never reassigned.
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

	// spec is what the identity provider says about the user.
	// +required
	Spec ScimUserSpec `json:"spec"`
	// status is the state that the manager has observed and written.
	// +optional
	Status ScimUserStatus `json:"status,omitempty,omitzero"`
}

// IsActive reports whether the provider lets the user sign in. It is true if spec.active is absent.
func (u *ScimUser) IsActive() bool { return u.Spec.Active == nil || *u.Spec.Active }

// ScimUserList is a list of users.
// +kubebuilder:object:root=true
type ScimUserList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []ScimUser `json:"items"`
}
