// SPDX-License-Identifier: Apache-2.0

// Package scimattrs converts a ScimUser's spec to a SCIM User. The kinds use SCIM's own attribute
// names, so both have the same fields in another arrangement: the enterprise attributes, which are
// flat in the object, are under their URN in the resource (RFC 7643 §3.3).
package scimattrs

import (
	"k8s.io/apimachinery/pkg/runtime"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/scim"
)

// User is a User (RFC 7643 §4.1). Its fields are in the order in which they appear in JSON.
type User struct {
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
	Enterprise        *Enterprise               `json:"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User,omitempty"`
	Meta              *Meta                     `json:"meta,omitempty"`
}

// Enterprise is the enterprise extension of a User (RFC 7643 §4.3).
type Enterprise struct {
	EmployeeNumber string            `json:"employeeNumber,omitempty"`
	CostCenter     string            `json:"costCenter,omitempty"`
	Organization   string            `json:"organization,omitempty"`
	Division       string            `json:"division,omitempty"`
	Department     string            `json:"department,omitempty"`
	Manager        *v1alpha1.Manager `json:"manager,omitempty"`
}

// Meta is the common attribute meta (RFC 7643 §3.1).
type Meta struct {
	ResourceType string `json:"resourceType"`
	Created      string `json:"created"`
	LastModified string `json:"lastModified"`
	Location     string `json:"location"`
	Version      string `json:"version,omitempty"`
}

// UserOf returns the SCIM User that a spec stores, without id and meta.
func UserOf(s *v1alpha1.ScimUserSpec) User {
	w := User{
		Schemas:    []string{scim.SchemaUser},
		ExternalID: s.ExternalID, UserName: s.UserName, Active: s.Active, Name: s.Name, DisplayName: s.DisplayName,
		NickName: s.NickName, ProfileURL: s.ProfileURL, Title: s.Title, UserType: s.UserType,
		PreferredLanguage: s.PreferredLanguage, Locale: s.Locale, Timezone: s.Timezone,
		Emails: s.Emails, PhoneNumbers: s.PhoneNumbers, Ims: s.Ims, Photos: s.Photos, Addresses: s.Addresses,
		Entitlements: s.Entitlements, Roles: s.Roles, X509Certificates: s.X509Certificates,
	}
	e := Enterprise{
		EmployeeNumber: s.EmployeeNumber, CostCenter: s.CostCenter, Organization: s.Organization,
		Division: s.Division, Department: s.Department, Manager: s.Manager,
	}
	if e != (Enterprise{}) {
		w.Schemas = append(w.Schemas, scim.SchemaEnterpriseUser)
		w.Enterprise = &e
	}
	return w
}

// Attributes are a user's SCIM attributes in canonical form, as filters read them. Groups, which
// the provider does not write on the user, are not among them. Without `active` a user is active.
func Attributes(s *v1alpha1.ScimUserSpec) scim.Object {
	u := UserOf(s)
	if u.Active == nil {
		active := true
		u.Active = &active
	}
	o, err := runtime.DefaultUnstructuredConverter.ToUnstructured(&u)
	if err != nil { // strings, booleans, lists and structs of them always convert
		return scim.Object{}
	}
	return o
}
