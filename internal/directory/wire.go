package directory

import (
	"encoding/json"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/scim"
)

// This file is the one place that knows how a ScimUser or a ScimGroup looks as a SCIM resource and back. The objects bear SCIM's own
// attribute names, so that the structs below are the objects' types in another arrangement: the enterprise attributes, flat in the
// object, stand under their URN (RFC 7643 §3.3).

// userWire is a User (RFC 7643 §4.1) in the order in which people like to read it.
type userWire struct {
	Schemas           []string                  `json:"schemas,omitempty"`
	ID                string                    `json:"id,omitempty"`
	ExternalID        string                    `json:"externalId,omitempty"`
	UserName          string                    `json:"userName,omitempty"`
	Active            *bool                     `json:"active,omitempty"`
	Name              *v1alpha1.Name            `json:"name,omitempty"`
	DisplayName       string                    `json:"displayName,omitempty"`
	NickName          string                    `json:"nickName,omitempty"`
	ProfileURL        string                    `json:"profileUrl,omitempty"`
	Title             string                    `json:"title,omitempty"`
	UserType          string                    `json:"userType,omitempty"`
	PreferredLanguage string                    `json:"preferredLanguage,omitempty"`
	Locale            string                    `json:"locale,omitempty"`
	Timezone          string                    `json:"timezone,omitempty"`
	Emails            []v1alpha1.MultiValue     `json:"emails,omitempty"`
	PhoneNumbers      []v1alpha1.MultiValue     `json:"phoneNumbers,omitempty"`
	Ims               []v1alpha1.MultiValue     `json:"ims,omitempty"`
	Photos            []v1alpha1.LongMultiValue `json:"photos,omitempty"`
	Addresses         []v1alpha1.Address        `json:"addresses,omitempty"`
	Entitlements      []v1alpha1.MultiValue     `json:"entitlements,omitempty"`
	Roles             []v1alpha1.MultiValue     `json:"roles,omitempty"`
	X509Certificates  []v1alpha1.LongMultiValue `json:"x509Certificates,omitempty"`
	Enterprise        *enterpriseWire           `json:"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User,omitempty"`
	Meta              *metaWire                 `json:"meta,omitempty"`
}

// enterpriseWire is the enterprise extension (RFC 7643 §4.3).
type enterpriseWire struct {
	EmployeeNumber string            `json:"employeeNumber,omitempty"`
	CostCenter     string            `json:"costCenter,omitempty"`
	Organization   string            `json:"organization,omitempty"`
	Division       string            `json:"division,omitempty"`
	Department     string            `json:"department,omitempty"`
	Manager        *v1alpha1.Manager `json:"manager,omitempty"`
}

// groupWire is a Group (RFC 7643 §4.2) without its members.
type groupWire struct {
	Schemas     []string  `json:"schemas,omitempty"`
	ID          string    `json:"id,omitempty"`
	ExternalID  string    `json:"externalId,omitempty"`
	DisplayName string    `json:"displayName,omitempty"`
	Meta        *metaWire `json:"meta,omitempty"`
}

// metaWire is RFC 7643 §3.1's meta.
type metaWire struct {
	ResourceType string `json:"resourceType"`
	Created      string `json:"created"`
	LastModified string `json:"lastModified"`
	Location     string `json:"location"`
	Version      string `json:"version,omitempty"`
}

// AnnotationLastModified is when the provider last changed the object, in RFC 3339 with milliseconds. Without it the object is as it was created.
const AnnotationLastModified = "iam.lightrun.com/last-modified"

const (
	timeFormat = "2006-01-02T15:04:05.000Z"
	// baseMark stands for the base URL until encoded turns it into server.BaseMark: JSON strings can't hold the byte itself.
	baseMark = "\ue000"
)

func metaOf(o *metav1.ObjectMeta, resourceType, endpoint, version string) *metaWire {
	created := o.CreationTimestamp.UTC().Format(timeFormat)
	modified := created
	if at, err := time.Parse(time.RFC3339, o.Annotations[AnnotationLastModified]); err == nil {
		modified = at.UTC().Format(timeFormat)
	}
	return &metaWire{
		ResourceType: resourceType, Created: created, LastModified: modified,
		Location: baseMark + endpoint + o.Name, Version: version,
	}
}

// userVersion is a user's entity tag: the generation, which only a change of the spec advances, and the object's identity, so that a
// restored object with a lower generation is not taken for an old version of itself.
func userVersion(u *v1alpha1.ScimUser) string {
	return fmt.Sprintf(`W/"%d-%.8s"`, u.Generation, u.UID)
}

// wireOf arranges a user's spec as SCIM has it.
func wireOf(s *v1alpha1.ScimUserSpec) userWire {
	w := userWire{
		Schemas:    []string{scim.SchemaUser},
		ExternalID: s.ExternalID, UserName: s.UserName, Active: s.Active, Name: s.Name, DisplayName: s.DisplayName,
		NickName: s.NickName, ProfileURL: s.ProfileURL, Title: s.Title, UserType: s.UserType,
		PreferredLanguage: s.PreferredLanguage, Locale: s.Locale, Timezone: s.Timezone,
		Emails: s.Emails, PhoneNumbers: s.PhoneNumbers, Ims: s.Ims, Photos: s.Photos, Addresses: s.Addresses,
		Entitlements: s.Entitlements, Roles: s.Roles, X509Certificates: s.X509Certificates,
	}
	e := enterpriseWire{
		EmployeeNumber: s.EmployeeNumber, CostCenter: s.CostCenter, Organization: s.Organization,
		Division: s.Division, Department: s.Department, Manager: s.Manager,
	}
	if e != (enterpriseWire{}) {
		w.Schemas = append(w.Schemas, scim.SchemaEnterpriseUser)
		w.Enterprise = &e
	}
	return w
}

// spec is wireOf backwards. What the provider does not write is taken from have.
func (w *userWire) spec(have *v1alpha1.ScimUserSpec) v1alpha1.ScimUserSpec {
	s := v1alpha1.ScimUserSpec{
		Suspend: have.Suspend, Deleted: have.Deleted, Revision: have.Revision,
		ExternalID: w.ExternalID, UserName: w.UserName, Active: w.Active, Name: w.Name, DisplayName: w.DisplayName,
		NickName: w.NickName, ProfileURL: w.ProfileURL, Title: w.Title, UserType: w.UserType,
		PreferredLanguage: w.PreferredLanguage, Locale: w.Locale, Timezone: w.Timezone,
		Emails: w.Emails, PhoneNumbers: w.PhoneNumbers, Ims: w.Ims, Photos: w.Photos, Addresses: w.Addresses,
		Entitlements: w.Entitlements, Roles: w.Roles, X509Certificates: w.X509Certificates,
	}
	if e := w.Enterprise; e != nil {
		s.EmployeeNumber, s.CostCenter, s.Organization = e.EmployeeNumber, e.CostCenter, e.Organization
		s.Division, s.Department, s.Manager = e.Division, e.Department, e.Manager
	}
	return s
}

// encodeUser is the JSON of a user as server.Resource wants it: without groups, the base URL left open.
func encodeUser(u *v1alpha1.ScimUser, version string) ([]byte, error) {
	w := wireOf(&u.Spec)
	w.ID = u.Name
	w.Meta = metaOf(&u.ObjectMeta, "User", "/Users/", version)
	return encoded(w)
}

// encodeGroup is the JSON of a group without its members.
func encodeGroup(g *v1alpha1.ScimGroup) ([]byte, error) {
	return encoded(groupWire{
		Schemas: []string{scim.SchemaGroup}, ID: g.Name, DisplayName: g.Spec.DisplayName, ExternalID: g.Spec.ExternalID,
		Meta: metaOf(&g.ObjectMeta, "Group", "/Groups/", ""),
	})
}

// userFrom reads a canonical User into a spec.
func userFrom(o scim.Object, have *v1alpha1.ScimUserSpec) (v1alpha1.ScimUserSpec, error) {
	var w userWire
	if err := through(o, &w); err != nil {
		return v1alpha1.ScimUserSpec{}, err
	}
	return w.spec(have), nil
}

// groupFrom reads a canonical Group into a spec. What the provider does not write is taken from have.
func groupFrom(o scim.Object, have *v1alpha1.ScimGroupSpec) (v1alpha1.ScimGroupSpec, error) {
	var w groupWire
	if err := through(o, &w); err != nil {
		return v1alpha1.ScimGroupSpec{}, err
	}
	s := *have
	s.DisplayName, s.ExternalID = w.DisplayName, w.ExternalID
	return s, nil
}

// through moves an object into a struct by way of JSON.
func through(o scim.Object, into any) error {
	b, err := json.Marshal(o)
	if err != nil {
		return fmt.Errorf("encode a resource: %w", err)
	}
	if err := json.Unmarshal(b, into); err != nil {
		return fmt.Errorf("read a canonical resource: %w", err)
	}
	return nil
}
