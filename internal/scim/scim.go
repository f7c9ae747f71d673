// SPDX-License-Identifier: Apache-2.0

// Package scim contains the types that all parts of the SCIM protocol engine share: a resource in
// memory, the schema and message URNs, errors as in RFC 7644 §3.12, and a strict JSON decoder.
//
// The engine is pure: its input and output are bytes, objects and errors. It depends on neither
// HTTP nor Kubernetes. A request passes through its parts in this order:
//
//	scim.DecodeJSON       bytes → Object, or 400 invalidSyntax
//	quirk.Resource/Patch  what identity providers really send → what the RFC says, counted by name
//	schema.Canonicalize   a POST or PUT body → canonical Object, or 400 naming the attribute
//	patch.Parse, Apply    a PATCH body → operations → a new Object
//	filter.Compile        a filter → a Matcher over canonical Objects
//	path.ParseProjection  attributes and excludedAttributes → what of an Object is returned
package scim

// Object is a resource or a complex value. In canonical form its names are in schema case, its
// values are string, bool, int64, float64, Object or []any, and unassigned values (null, "", [],
// {}; RFC 7643 §2.5) are absent. An Object that was passed on is shared and must not be changed;
// make a new one for a change.
type Object = map[string]any

// Schema and message URNs (RFC 7643 §8.7, RFC 7644 §8.2).
const (
	SchemaUser           = "urn:ietf:params:scim:schemas:core:2.0:User"                 // RFC 7643 §4.1
	SchemaGroup          = "urn:ietf:params:scim:schemas:core:2.0:Group"                // RFC 7643 §4.2
	SchemaEnterpriseUser = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User" // RFC 7643 §4.3

	SchemaServiceProviderConfig = "urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig" // RFC 7643 §5
	SchemaResourceType          = "urn:ietf:params:scim:schemas:core:2.0:ResourceType"          // RFC 7643 §6
	SchemaSchema                = "urn:ietf:params:scim:schemas:core:2.0:Schema"                // RFC 7643 §7

	SchemaListResponse  = "urn:ietf:params:scim:api:messages:2.0:ListResponse"  // RFC 7644 §3.4.2
	SchemaSearchRequest = "urn:ietf:params:scim:api:messages:2.0:SearchRequest" // RFC 7644 §3.4.3
	SchemaPatchOp       = "urn:ietf:params:scim:api:messages:2.0:PatchOp"       // RFC 7644 §3.5.2
	SchemaBulkRequest   = "urn:ietf:params:scim:api:messages:2.0:BulkRequest"   // RFC 7644 §3.7
	SchemaBulkResponse  = "urn:ietf:params:scim:api:messages:2.0:BulkResponse"  // RFC 7644 §3.7
	SchemaError         = "urn:ietf:params:scim:api:messages:2.0:Error"         // RFC 7644 §3.12
)

// Equal reports whether two values of canonical objects are equal. The order of elements matters.
func Equal(a, b any) bool {
	switch a := a.(type) {
	case Object:
		b, ok := b.(Object)
		if !ok || len(a) != len(b) {
			return false
		}
		for k, v := range a {
			w, there := b[k]
			if !there || !Equal(v, w) {
				return false
			}
		}
		return true
	case []any:
		b, ok := b.([]any)
		if !ok || len(a) != len(b) {
			return false
		}
		for i, v := range a {
			if !Equal(v, b[i]) {
				return false
			}
		}
		return true
	}
	switch b.(type) {
	case Object, []any:
		return false
	}
	return a == b
}

// Unassigned reports whether v means that an attribute has no value: null, "", [] and {} (RFC 7643
// §2.5; the empty string because providers clear attributes with it).
func Unassigned(v any) bool {
	switch v := v.(type) {
	case nil:
		return true
	case string:
		return v == ""
	case []any:
		return len(v) == 0
	case Object:
		return len(v) == 0
	}
	return false
}
