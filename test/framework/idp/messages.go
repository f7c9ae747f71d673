// SPDX-License-Identifier: Apache-2.0

package idp

import (
	"fmt"
	"strings"
)

// User returns a user as Okta pushes it; the given name is the user name's first part.
func User(userName string) Object {
	first, _, _ := strings.Cut(userName, ".")
	return Object{
		"schemas": []string{SchemaUser}, "userName": userName,
		"name": Object{"givenName": strings.ToUpper(first[:1]) + first[1:], "familyName": "Example"}, "displayName": first,
		"emails": []any{Object{"primary": true, "value": userName, "type": "work"}}, "active": true,
	}
}

// Group returns a group with members, by SCIM id.
func Group(name string, members ...string) Object {
	return Object{"schemas": []string{SchemaGroup}, "displayName": name, "members": Members(members)}
}

// Members returns the ids in the form of the attribute members.
func Members(ids []string) []any {
	out := make([]any, len(ids))
	for i, id := range ids {
		out[i] = Object{"value": id}
	}
	return out
}

// Patch returns the body of a PATCH.
func Patch(operations ...Object) Object {
	return Object{"schemas": []string{SchemaPatch}, "Operations": operations}
}

// AddMembers adds users to a group.
func AddMembers(ids ...string) Object {
	return Object{"op": "add", "path": "members", "value": Members(ids)}
}

// RemoveMembers removes users from a group.
func RemoveMembers(ids ...string) Object {
	return Object{"op": "remove", "path": "members", "value": Members(ids)}
}

// RemoveMember removes one user from a group, in the form with a filter.
func RemoveMember(id string) Object {
	return Object{"op": "remove", "path": fmt.Sprintf("members[value eq %q]", id)}
}

// Replace replaces one attribute.
func Replace(path string, value any) Object {
	return Object{"op": "replace", "path": path, "value": value}
}

// SetActive activates or deactivates a user, in Okta's form without a path.
func SetActive(active bool) Object {
	return Object{"op": "replace", "value": Object{"active": active}}
}
