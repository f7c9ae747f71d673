// SPDX-License-Identifier: Apache-2.0

package identityconfiguration

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/kernel/portalapi"
)

// TestDeclaredSAML: each field of SAML reaches the portal.
func TestDeclaredSAML(t *testing.T) {
	got, err := new(scope).declared(t.Context(), &v1alpha1.LoginMethods{SSO: &v1alpha1.SSO{Enabled: true, Type: "SAML",
		MetadataURL: "https://idp.example.test/metadata", Metadata: "<EntityDescriptor/>", IDAttribute: "id", UserNameAttribute: "mail"}})
	want := portalapi.LoginMethods{SSO: portalapi.SSO{Enabled: true, Type: "SAML",
		MetadataURL: "https://idp.example.test/metadata", Metadata: "<EntityDescriptor/>", IDAttribute: "id", UserNameAttribute: "mail"}}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("declared() = %v, -want +got:\n%s", err, diff)
	}
}
