// SPDX-License-Identifier: Apache-2.0

package store_test

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	apiextensions "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"sigs.k8s.io/yaml"

	"lightrun.com/scim-operator/internal/scim/schema"
)

// TestBounds checks that the engine accepts exactly what the objects can store, so that no client
// sees a bound of the API server.
func TestBounds(t *testing.T) {
	user := specOf(t, "scimusers")
	for _, a := range slices.Concat(schema.User().Schema.Attributes, schema.User().Extensions[0].Schema.Attributes) {
		if a.Mutability == schema.ReadOnly || a.Mutability == schema.WriteOnly {
			continue // not stored
		}
		compare(t, a.Name, a, user.Properties[a.Name])
	}
	compare(t, "externalId", schema.User().Attribute("externalId"), user.Properties["externalId"])
	group := specOf(t, "scimgroups")
	compare(t, "displayName", schema.Group().Attribute("displayName"), group.Properties["displayName"])
	compare(t, "externalId", schema.Group().Attribute("externalId"), group.Properties["externalId"])
}

func specOf(t *testing.T, plural string) apiextensions.JSONSchemaProps {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("..", "..", "..", "config", "crd", "bases", "iam.lightrun.com_"+plural+".yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var crd apiextensions.CustomResourceDefinition
	if err := yaml.Unmarshal(data, &crd); err != nil {
		t.Fatal(err)
	}
	return crd.Spec.Versions[0].Schema.OpenAPIV3Schema.Properties["spec"]
}

// compare compares the bounds of an attribute, and of its stored sub-attributes, with the CRD.
func compare(t *testing.T, name string, a *schema.Attribute, p apiextensions.JSONSchemaProps) {
	t.Helper()
	if p.Type == "" {
		t.Errorf("the CRD has no %s", name)
		return
	}
	if a.MultiValued {
		if have := bound(p.MaxItems); have != a.MaxItems {
			t.Errorf("%s: at most %d elements, the CRD says %d", name, a.MaxItems, have)
		}
		p = *p.Items.Schema
	}
	// photos have the same type as certificates, whose values are longer than any URL.
	if have := bound(p.MaxLength); have != a.MaxLength && (name != "photos.value" || have < a.MaxLength) {
		t.Errorf("%s: at most %d characters, the CRD says %d", name, a.MaxLength, have)
	}
	for _, sub := range a.SubAttributes {
		if sub.Mutability != schema.ReadOnly {
			compare(t, name+"."+sub.Name, sub, p.Properties[sub.Name])
		}
	}
}

func bound(n *int64) int {
	if n == nil {
		return 0
	}
	return int(*n)
}
