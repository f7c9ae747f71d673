// SPDX-License-Identifier: Apache-2.0

package schema

import (
	"sync"

	"lightrun.com/scim-operator/internal/scim"
)

// Group returns the Group of RFC 7643 §4.2. The result is shared; do not change it. The number of
// members is limited only by the size of a request; displayName is required, as the prose of §4.2
// says.
func Group() *ResourceType { return group() }

var group = sync.OnceValue(func() *ResourceType {
	return &ResourceType{
		Name:        "Group",
		Endpoint:    "/Groups",
		Description: "A group of people",
		Schema:      newSchema(scim.SchemaGroup, "Group", "A group of people", groupAttributes()...),
		common:      indexOf(commonAttributes()),
	}
})

func groupAttributes() []*Attribute {
	return []*Attribute{
		attribute("displayName", String, "The group's name; unique and case-insensitive.", required, unique, length(maxName), checked(checkName)),
		attribute("members", Complex, "The people in the group.", list(0), subs(
			attribute("value", String, "The person's id.", caseExact, immutable, length(maxID)),
			attribute("$ref", Reference, "The person's URL.", immutable, refers("User")),
			attribute("type", String, "User; nested groups are not supported.", immutable, canonical("User")),
			attribute("display", String, "The user's name, set by the server.", readOnly),
		)),
	}
}
