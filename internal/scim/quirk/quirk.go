// SPDX-License-Identifier: Apache-2.0

// Package quirk converts what identity providers really send to what the RFC requires, before the
// strict engine reads it.
//
// Each quirk is one small function with a name, which the server counts, and a reference to its
// documentation. A quirk changes only what the strict engine would refuse or lose, so a correct
// request is not changed. Nothing is changed in place: a quirk copies what it changes.
//
// Some habits need no quirk, because the engine accepts them as the RFC allows: null for
// unassigned, names in any case, paths qualified with the core URN, equal read-only values,
// emails[type eq "work"].value in filters, and value paths that match nothing.
package quirk

import (
	"maps"
	"slices"

	"lightrun.com/scim-operator/internal/scim"
	"lightrun.com/scim-operator/internal/scim/schema"
)

// Name is a quirk's name, for a metric's label.
type Name string

// The quirks.
const (
	// MissingSchemas: a PATCH body without schemas. Okta's "push now" (jelhub/scimgateway#113).
	MissingSchemas Name = "missing-schemas"
	// ExtraSchema: schemas lists a URI that is not ours, such as Microsoft's ADSCIM/2.0/Group or a
	// custom extension (entra-docs, use-scim-to-provision-users-and-groups).
	ExtraSchema Name = "extra-schema"
	// EnterpriseTypo: the enterprise URN written …enterprise:2.0User, without the colon (an example
	// in entra-docs).
	EnterpriseTypo Name = "enterprise-urn-typo"
	// DraftSchema: the URNs of the drafts before RFC 7643, such as urn:scim:schemas:core:2.0
	// (OneLogin, goauthentik/authentik#11249).
	DraftSchema Name = "draft-schema"
	// UndeclaredExtension: a body with extension attributes whose URN is not in schemas.
	UndeclaredExtension Name = "undeclared-extension"
	// CapitalisedOperation: Add, Replace, Remove (entra-docs,
	// application-provisioning-config-problem-scim-compatibility).
	CapitalisedOperation Name = "capitalised-operation"
	// BooleanString: "True" and "False" for booleans (the same page).
	BooleanString Name = "boolean-string"
	// ManagerShape: a manager as a bare string or as a list of one
	// (Captain-P-Goldfish/SCIM-SDK#541, apache/directory-scimple#1242).
	ManagerShape Name = "manager-shape"
	// ReferenceAlone: a member or a manager with "$ref" and without "value", which RFC 7643 §2.4
	// allows: the id is the end of the URL.
	ReferenceAlone Name = "reference-alone"
	// DottedKey: "name.givenName", or a value path, as the name of a value (Entra ID with
	// aadOptscim062020).
	DottedKey Name = "dotted-key"
	// QualifiedKey: "urn:…:User:employeeNumber" as the name of a value (the same; rancher#54871 for
	// the core URN).
	QualifiedKey Name = "qualified-key"
	// BareExtensionPath: a path that names an extension's attribute without its URN: manager
	// (entra-docs).
	BareExtensionPath Name = "bare-extension-path"
	// ValueListRemoval: remove with a list of values removes only those (entra-docs,
	// scim-compatibility; authentik). The engine implements this; the quirk counts it.
	ValueListRemoval Name = "value-list-removal"
	// ReadOnlyEcho: id, meta or groups sent back within a value (Okta's rename, authentik). The
	// engine accepts equal ones; the quirk counts it.
	ReadOnlyEcho Name = "read-only-echo"
	// NullSubAttribute: "$ref": null, "display": null within an element (Entra ID;
	// jelhub/scimgateway#95). The engine treats null as absent; the quirk counts it.
	NullSubAttribute Name = "null-sub-attribute"
	// SeveralPrimaries: more than one element of a list is primary; only the first remains primary
	// (PingOne).
	SeveralPrimaries Name = "several-primaries"
)

// Names returns all quirks, for a metric that shows each from the start.
func Names() []Name {
	return []Name{
		MissingSchemas, ExtraSchema, EnterpriseTypo, DraftSchema, UndeclaredExtension, CapitalisedOperation, BooleanString, ManagerShape, ReferenceAlone,
		DottedKey, QualifiedKey, BareExtensionPath, ValueListRemoval, ReadOnlyEcho, NullSubAttribute, SeveralPrimaries,
	}
}

// Resource normalises the body of a POST or PUT for schema.Canonicalize and returns the quirks that
// it found, each once. body is not changed.
func Resource(rt *schema.ResourceType, body scim.Object) (scim.Object, []Name) {
	n := &normaliser{rt: rt}
	out := n.misspeltKeys(body)
	out = n.nestKeys(out)
	out = n.schemas(out)
	out = n.undeclared(out)
	return n.values(out), n.fired
}

// Patch normalises a PATCH body for patch.Parse and returns the quirks that it found, each once.
// body is not changed.
func Patch(rt *schema.ResourceType, body scim.Object) (scim.Object, []Name) {
	n := &normaliser{rt: rt}
	out := n.missingSchemas(body)
	name, list := operations(out)
	if list == nil {
		return out, n.fired
	}
	ops := make([]any, 0, len(list))
	for _, e := range list {
		op, ok := e.(scim.Object)
		if !ok {
			ops = append(ops, e)
			continue
		}
		ops = append(ops, n.operation(op)...)
	}
	out = maps.Clone(out)
	out[name] = ops
	return out, n.fired
}

// operations finds the list of operations and its name in the body.
func operations(body scim.Object) (name string, list []any) {
	for k, v := range body {
		if equalFold(k, "Operations") {
			list, _ = v.([]any)
			return k, list
		}
	}
	return "", nil
}

// normaliser collects the quirks that it found.
type normaliser struct {
	rt    *schema.ResourceType
	fired []Name
}

func (n *normaliser) fire(q Name) {
	if !slices.Contains(n.fired, q) {
		n.fired = append(n.fired, q)
	}
}
