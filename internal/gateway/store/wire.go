// SPDX-License-Identifier: Apache-2.0

package store

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/gateway/server"
	"lightrun.com/scim-operator/internal/kernel/names"
	"lightrun.com/scim-operator/internal/kernel/scimattrs"
	"lightrun.com/scim-operator/internal/scim"
)

// This file converts ScimUsers and ScimGroups to SCIM resources, and back.

// groupWire is a Group (RFC 7643 §4.2) without its members.
type groupWire struct {
	Schemas     []string        `json:"schemas,omitempty"`
	ID          string          `json:"id,omitempty"`
	ExternalID  string          `json:"externalId,omitempty"`
	DisplayName string          `json:"displayName,omitempty"`
	Meta        *scimattrs.Meta `json:"meta,omitempty"`
}

// AnnotationLastModified is the time of the provider's last change of the object, in RFC 3339 with
// milliseconds. Without the annotation, the object has not changed since its creation.
const AnnotationLastModified = "iam.lightrun.com/last-modified"

const (
	timeFormat = "2006-01-02T15:04:05.000Z"
	// baseMark is the placeholder of the base URL until encoded replaces it by server.BaseMark:
	// JSON strings can't contain that byte.
	baseMark = "\ue000"
)

func metaOf(o *metav1.ObjectMeta, resourceType, endpoint, version string) *scimattrs.Meta {
	created := o.CreationTimestamp.UTC().Format(timeFormat)
	modified := created
	if at, err := time.Parse(time.RFC3339, o.Annotations[AnnotationLastModified]); err == nil {
		modified = at.UTC().Format(timeFormat)
	}
	return &scimattrs.Meta{
		ResourceType: resourceType, Created: created, LastModified: modified,
		Location: baseMark + endpoint + o.Name, Version: version,
	}
}

// userVersion returns a user's entity tag: the generation, which only a change of the spec
// advances, and the object's UID, so that a restored object with a lower generation is not mistaken
// for an old version.
func userVersion(u *v1alpha1.ScimUser) string {
	return fmt.Sprintf(`W/"%d-%.8s"`, u.Generation, u.UID)
}

// encodeUser returns a user's JSON for server.Resource: without groups, and with a placeholder for
// the base URL.
func encodeUser(u *v1alpha1.ScimUser, version string) ([]byte, error) {
	w := scimattrs.UserOf(&u.Spec)
	w.ID = u.Name
	w.Meta = metaOf(&u.ObjectMeta, "User", "/Users/", version)
	return encoded(w)
}

// encodeGroup returns the JSON of a group without its members.
func encodeGroup(g *v1alpha1.ScimGroup) ([]byte, error) {
	return encoded(groupWire{
		Schemas: []string{scim.SchemaGroup}, ID: g.Name, DisplayName: g.Spec.DisplayName, ExternalID: g.Spec.ExternalID,
		Meta: metaOf(&g.ObjectMeta, "Group", "/Groups/", ""),
	})
}

// encoded is v as JSON with server.BaseMark in place of the base URL. Only meta.location, which
// this package writes, contains the mark. Its last occurrence is replaced, so that the same
// character in a user's data stays.
func encoded(v any) ([]byte, error) {
	out, err := compact(v)
	if err != nil {
		return nil, err
	}
	i := bytes.LastIndex(out, []byte(baseMark))
	if i < 0 {
		return nil, fmt.Errorf("encode a resource: it has no location")
	}
	exact := make([]byte, 0, len(out)-len(baseMark)+1)
	exact = append(exact, out[:i]...)
	exact = append(exact, server.BaseMark)
	return append(exact, out[i+len(baseMark):]...), nil
}

// compact is json.Marshal without escaping <, > and &.
func compact(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, fmt.Errorf("encode a resource: %w", err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// specFields are the fields of the spec that store a canonical resource. The specs use the names of
// SCIM; only the enterprise attributes have another place: in a ScimUser they are flat (ADR 1).
func specFields(o scim.Object) map[string]any {
	fields := maps.Clone(o)
	for _, derived := range [...]string{"schemas", "id", "meta", "groups", scim.SchemaEnterpriseUser} {
		delete(fields, derived)
	}
	if enterprise, ok := o[scim.SchemaEnterpriseUser].(scim.Object); ok {
		maps.Copy(fields, enterprise)
	}
	return fields
}

// specOf sets the spec of a new object to what a canonical resource stores.
func specOf(o scim.Object, spec any) error {
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(specFields(o), spec); err != nil {
		return fmt.Errorf("read a canonical resource: %w", err)
	}
	return nil
}

// edit is what a request changes in the spec of an object.
type edit struct {
	before, after map[string]any // the fields of the spec
	patch         map[string]any // the merge patch (RFC 7386) between them; nil if they are equal
}

// edited compares two canonical resources.
func edited(before, after scim.Object) edit {
	e := edit{before: specFields(before), after: specFields(after)}
	e.patch = difference(e.before, e.after)
	return e
}

// renamed returns the value of the attribute that is the object's name, and whether the object
// needs another claim for it.
func (e edit) renamed(attribute string) (name string, needsClaim bool) {
	was, _ := e.before[attribute].(string)
	name, _ = e.after[attribute].(string)
	return name, names.Fold(was) != names.Fold(name)
}

// difference compares objects field by field; lists are replaced as a whole.
func difference(old, now map[string]any) map[string]any {
	out := map[string]any{}
	for name := range old {
		if _, keep := now[name]; !keep {
			out[name] = nil
		}
	}
	for name, v := range now {
		before, had := old[name]
		a, oldObject := before.(map[string]any)
		b, newObject := v.(map[string]any)
		switch {
		case had && oldObject && newObject:
			if inner := difference(a, b); inner != nil {
				out[name] = inner
			}
		case !had || !scim.Equal(before, v):
			out[name] = v
		}
	}
	if len(out) == 0 {
		return nil
	}
	return out
}
