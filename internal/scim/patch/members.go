// SPDX-License-Identifier: Apache-2.0

package patch

import (
	"maps"
	"strings"
	"unicode/utf8"

	"lightrun.com/scim-operator/internal/scim"
	"lightrun.com/scim-operator/internal/scim/filter"
	"lightrun.com/scim-operator/internal/scim/path"
	"lightrun.com/scim-operator/internal/scim/schema"
)

// MaxSearches is the maximum number of RemoveWhere operations in one request: each of them tests
// all members of the group.
const MaxSearches = 50

// MemberOp is the way in which a change alters a group's membership.
type MemberOp string

// The member operations.
const (
	AddMembers     MemberOp = "add"         // IDs become members
	RemoveMembers  MemberOp = "remove"      // IDs are no longer members
	ReplaceMembers MemberOp = "replace"     // IDs become the only members; without IDs the group becomes empty
	RemoveAll      MemberOp = "removeAll"   // all members are removed
	RemoveWhere    MemberOp = "removeWhere" // the members whose element Filter matches are removed
)

// MemberChange is one change of a group's membership.
type MemberChange struct {
	Op     MemberOp
	IDs    []string        // without duplicates, in the order sent
	Filter *filter.Matcher // for RemoveWhere: the argument of MatchElement is {"value", "type", "display", "$ref"} of each member
	Base   string          // for RemoveWhere: the public URL of the service, before the path in $ref; GroupOps leaves it empty
}

// GroupOps separates the operations on a Group into operations on its attributes, for Apply, and
// operations on its members, in order, so that a large membership is never in memory as a resource.
// The number of ids is limited only by the request's size.
//
// Errors are 400 and name the operation: the errors of path.Parse; invalidValue for an operation
// without a value, for a member without an id or with one that is too long, and for a member that
// is not a User; mutability for a change within a member (RFC 7643 §4.2: members are added and
// removed whole). More than MaxSearches operations of kind RemoveWhere are a 413, which names no
// operation.
func GroupOps(ops []Operation) (attrs []Operation, members []MemberChange, err error) {
	searches := 0
	for _, op := range ops {
		rest, change, err := splitOp(op)
		if err != nil {
			return nil, nil, at(op.Index, err)
		}
		if rest != nil {
			attrs = append(attrs, *rest)
		}
		if change != nil {
			members = append(members, *change)
			if change.Op == RemoveWhere {
				searches++
			}
		}
	}
	if searches > MaxSearches {
		return nil, nil, scim.Failure(413, "More than %d operations search the members with a filter other than value eq. Nothing was changed; send fewer of them in one request.", MaxSearches)
	}
	return attrs, members, nil
}

// splitOp splits one operation into its attributes and its members. A result is nil if the
// operation has none.
func splitOp(op Operation) (rest *Operation, change *MemberChange, err error) {
	if op.Path == "" {
		return splitValue(op)
	}
	p, err := path.Parse(op.Path, schema.Group())
	switch {
	case err != nil:
		return nil, nil, err
	case p.Attribute == nil && p.Extension == nil:
		return splitValue(op)
	case p.Attribute == nil || p.Attribute.Name != "members":
		return &op, nil, nil
	}
	change, err = memberChange(p, op)
	return nil, change, err
}

// splitValue separates members from the value of an operation without a path.
func splitValue(op Operation) (rest *Operation, change *MemberChange, err error) {
	value, ok := op.Value.(scim.Object)
	if !ok || op.Op == Remove {
		return &op, nil, nil
	}
	attributes := maps.Clone(value)
	for name, v := range value {
		if !strings.EqualFold(name, "members") {
			continue
		}
		delete(attributes, name)
		ids, err := memberIDs(v)
		if err != nil {
			return nil, nil, err
		}
		change = setMembers(op.Op, ids)
	}
	if len(attributes) == 0 && change != nil {
		return nil, change, nil
	}
	op.Value = attributes
	return &op, change, nil
}

// setMembers handles an add or a replace of whole members.
func setMembers(op Op, ids []string) *MemberChange {
	if op == Replace {
		return &MemberChange{Op: ReplaceMembers, IDs: ids}
	}
	return &MemberChange{Op: AddMembers, IDs: ids}
}

func memberChange(p path.Path, op Operation) (*MemberChange, error) {
	if p.Sub != nil || p.Filter != nil && op.Op != Remove {
		return nil, scim.BadRequest(scim.Mutability, "A member can't be changed; remove it and add another.")
	}
	if op.Op == Remove {
		return removal(p, op)
	}
	if !op.HasValue {
		return nil, scim.BadRequest(scim.InvalidValue, "The value of %s is missing.", op.Op)
	}
	ids, err := memberIDs(op.Value)
	if err != nil {
		return nil, err
	}
	return setMembers(op.Op, ids), nil
}

func removal(p path.Path, op Operation) (*MemberChange, error) {
	if p.Filter != nil {
		if ids, ok := p.Filter.AnyOf("value"); ok {
			return &MemberChange{Op: RemoveMembers, IDs: unique(ids)}, nil
		}
		return &MemberChange{Op: RemoveWhere, Filter: p.Filter}, nil
	}
	if op.Value == nil {
		return &MemberChange{Op: RemoveAll}, nil
	}
	ids, err := memberIDs(op.Value)
	if err != nil {
		return nil, err
	}
	return &MemberChange{Op: RemoveMembers, IDs: ids}, nil
}

// MemberIDs returns the ids in the members of a Group's body, without duplicates, in the order
// sent. Errors are those of GroupOps for members; they name no operation.
func MemberIDs(group scim.Object) ([]string, error) {
	return memberIDs(schema.ValueOf(group, "members"))
}

// memberIDs reads a list of members, or a single member. It skips null elements of the list,
// because null means unassigned (RFC 7643 §2.5).
func memberIDs(v any) ([]string, error) {
	if scim.Unassigned(v) {
		return nil, nil
	}
	list, ok := v.([]any)
	if !ok {
		list = []any{v}
	}
	ids := make([]string, 0, len(list))
	for _, e := range list {
		if e == nil {
			continue
		}
		id, err := memberID(e)
		if err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	return unique(ids), nil
}

func memberID(e any) (string, error) {
	o, _ := e.(scim.Object)
	id, _ := schema.ValueOf(o, "value").(string)
	if id == "" {
		return "", scim.BadRequest(scim.InvalidValue, "Each of \"members\" must be an object whose \"value\" is the id of a User.")
	}
	if value := schema.Group().Attribute("members").Sub("value"); utf8.RuneCountInString(id) > value.MaxLength {
		return "", scim.BadRequest(scim.InvalidValue, "Attribute \"members.value\": the maximum length is %d characters.", value.MaxLength)
	}
	kind, _ := schema.ValueOf(o, "type").(string)
	ref, _ := schema.ValueOf(o, "$ref").(string)
	if strings.EqualFold(kind, "Group") || kind == "" && strings.Contains(ref, "/Groups/") {
		return "", scim.BadRequest(scim.InvalidValue, "Member %q is a group; nested groups are not supported; add its users instead.", id)
	}
	if kind != "" && !strings.EqualFold(kind, "User") {
		return "", scim.BadRequest(scim.InvalidValue, "Member %q is of type %q; only a User can be a member.", id, kind)
	}
	return id, nil
}

// unique returns a new list without duplicates.
func unique(ids []string) []string {
	seen := make(map[string]bool, len(ids))
	out := make([]string, 0, len(ids))
	for _, id := range ids {
		if !seen[id] {
			seen[id] = true
			out = append(out, id)
		}
	}
	return out
}
