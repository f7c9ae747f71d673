// SPDX-License-Identifier: Apache-2.0

package store

import (
	"encoding/json"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"lightrun.com/scim-operator/api/v1alpha1"
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

// userFrom converts a canonical User to a spec.
func userFrom(o scim.Object, have *v1alpha1.ScimUserSpec) (v1alpha1.ScimUserSpec, error) {
	var w scimattrs.User
	if err := through(o, &w); err != nil {
		return v1alpha1.ScimUserSpec{}, err
	}
	return w.Spec(have), nil
}

// groupFrom converts a canonical Group to a spec. Fields that the provider does not write come from
// have.
func groupFrom(o scim.Object, have *v1alpha1.ScimGroupSpec) (v1alpha1.ScimGroupSpec, error) {
	var w groupWire
	if err := through(o, &w); err != nil {
		return v1alpha1.ScimGroupSpec{}, err
	}
	s := *have
	s.DisplayName, s.ExternalID = w.DisplayName, w.ExternalID
	return s, nil
}

// through converts an object to a struct through JSON.
func through(o scim.Object, into any) error {
	b, err := json.Marshal(o)
	if err != nil {
		return fmt.Errorf("encode a resource: %w", err)
	}
	if err := json.Unmarshal(b, into); err != nil {
		return fmt.Errorf("read a canonical resource: %w", err)
	}
	return nil
}
