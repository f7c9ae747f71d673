// SPDX-License-Identifier: Apache-2.0

package apitest

import (
	"os"
	"path/filepath"
	"testing"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"sigs.k8s.io/yaml"

	"lightrun.com/scim-operator/test/framework/controlplane"
)

// TestEveryFieldIsDocumented: kubectl explain has a text for every field of every kind.
func TestEveryFieldIsDocumented(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(controlplane.Root(), "config", "crd", "bases", "*.yaml"))
	if err != nil || len(files) != 6 {
		t.Fatalf("found %d definitions, %v", len(files), err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var crd apiextensionsv1.CustomResourceDefinition
		if err := yaml.Unmarshal(text, &crd); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		for _, version := range crd.Spec.Versions {
			schema := *version.Schema.OpenAPIV3Schema
			delete(schema.Properties, "metadata") // the API server documents it
			documented(t, crd.Spec.Names.Kind, schema)
		}
	}
}

// documented checks the fields of a schema, and those of their values and elements.
func documented(t *testing.T, path string, schema apiextensionsv1.JSONSchemaProps) {
	t.Helper()
	for name, field := range schema.Properties {
		if field.Description == "" {
			t.Errorf("%s.%s has no documentation", path, name)
		}
		documented(t, path+"."+name, field)
	}
	if schema.Items != nil && schema.Items.Schema != nil {
		documented(t, path, *schema.Items.Schema)
	}
}
