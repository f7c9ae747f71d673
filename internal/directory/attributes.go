package directory

import (
	"encoding/json"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/scim"
)

// Attributes are a person's SCIM attributes in canonical form, as filters read them. What the portal knows besides, such
// as groups, is not among them. A person of whom the provider does not say otherwise is active.
func Attributes(s *v1alpha1.ScimUserSpec) scim.Object {
	o := scim.Object{}
	wire := wireOf(s)
	if wire.Active == nil {
		active := true
		wire.Active = &active
	}
	data, err := json.Marshal(wire)
	if err == nil {
		err = json.Unmarshal(data, &o)
	}
	if err != nil { // strings, booleans, lists and structs of them always marshal
		return scim.Object{}
	}
	return o
}
