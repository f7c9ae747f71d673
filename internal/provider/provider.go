// Package provider names identity providers: by type, and by name where two of one type must be
// told apart.
//
// One provider is integrated at a time. Every SCIM token is made for one, and is refused while
// another is integrated.
package provider

import (
	"errors"
	"slices"
	"strings"
)

// Types of identity providers.
const (
	Okta    = "Okta"
	EntraID = "EntraID"
	Other   = "Other"
)

// MaxName is the longest name of a provider, in bytes.
const MaxName = 128

// ID identifies one identity provider. The zero ID is none.
type ID struct {
	Type string // one of Okta, EntraID and Other
	Name string // empty where one of the type is enough
}

// Types lists the types.
func Types() []string { return []string{Okta, EntraID, Other} }

// String is Type, or Type/Name.
func (p ID) String() string {
	if p.Name == "" {
		return p.Type
	}
	return p.Type + "/" + p.Name
}

// Parse reads what String writes.
func Parse(text string) (ID, error) {
	var p ID
	p.Type, p.Name, _ = strings.Cut(text, "/")
	return p, p.Validate()
}

// Validate says what is wrong with p.
func (p ID) Validate() error {
	switch {
	case !slices.Contains(Types(), p.Type):
		return errors.New("the type of an identity provider is Okta, EntraID or Other")
	case len(p.Name) > MaxName:
		return errors.New("the name of an identity provider has at most 128 bytes")
	}
	return nil
}

// Accepts says whether what was made for the provider token may be used while p is integrated. A
// token without a name is for every provider of its type.
func (p ID) Accepts(token ID) bool {
	return p.Type == token.Type && (token.Name == "" || token.Name == p.Name)
}

// IsRefined says whether next is p, or p with a name where it had none. Everything that p accepts,
// next accepts too; any other change puts another provider in the place of p.
func (p ID) IsRefined(next ID) bool {
	return p.Type == next.Type && (p.Name == "" || p.Name == next.Name)
}
