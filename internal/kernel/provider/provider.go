// SPDX-License-Identifier: Apache-2.0

// Package provider identifies identity providers: by type, and by name if there are several of one
// type.
//
// One provider is integrated at a time. Every SCIM token belongs to one provider, and is refused
// while another is integrated.
package provider

import (
	"errors"
	"slices"
	"strings"
)

// Types of identity providers.
const (
	Okta    = "Okta"    // Okta
	EntraID = "EntraID" // Microsoft Entra ID, which was Azure AD
	Other   = "Other"   // any other SCIM 2.0 client
)

// MaxName is the maximum length of a provider's name, in bytes.
const MaxName = 128

// ID identifies one identity provider. The zero ID identifies none.
type ID struct {
	Type string // one of Okta, EntraID and Other
	Name string // empty if there is only one of the type
}

// Types returns the types.
func Types() []string { return []string{Okta, EntraID, Other} }

// String returns Type, or Type/Name.
func (p ID) String() string {
	if p.Name == "" {
		return p.Type
	}
	return p.Type + "/" + p.Name
}

// Parse parses the result of String.
func Parse(text string) (ID, error) {
	var p ID
	p.Type, p.Name, _ = strings.Cut(text, "/")
	return p, p.Validate()
}

// Validate returns what is wrong with p, or nil.
func (p ID) Validate() error {
	switch {
	case !slices.Contains(Types(), p.Type):
		return errors.New("the type of an identity provider is Okta, EntraID or Other")
	case len(p.Name) > MaxName:
		return errors.New("the name of an identity provider has at most 128 bytes")
	}
	return nil
}

// Accepts reports whether a token of the provider token may be used while p is integrated. A token
// without a name is for every provider of its type.
func (p ID) Accepts(token ID) bool {
	return p.Type == token.Type && (token.Name == "" || token.Name == p.Name)
}

// IsRefined reports whether next is p, or p with a name if p has none. Any other change replaces p
// with another provider.
func (p ID) IsRefined(next ID) bool {
	return p.Type == next.Type && (p.Name == "" || p.Name == next.Name)
}
