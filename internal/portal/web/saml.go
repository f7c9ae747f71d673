// SPDX-License-Identifier: Apache-2.0

package web

import (
	"net/http"

	"lightrun.com/scim-operator/internal/kernel/portalapi"
	"lightrun.com/scim-operator/internal/portal/sso"
)

// samlForm contains the fields of SAML on the page Login methods, and what the page shows for
// copying.
type samlForm struct {
	MetadataURL, Metadata, IDAttribute, UserNameAttribute string
	EntityID, ConsumerURL                                 string
}

func samlFormOf(s portalapi.SSO) samlForm {
	return samlForm{MetadataURL: s.MetadataURL, Metadata: s.Metadata, IDAttribute: s.IDAttribute, UserNameAttribute: s.UserNameAttribute}
}

func (v *visit) samlForm() samlForm {
	return samlForm{MetadataURL: v.text("metadataUrl"), Metadata: v.text("metadata"), IDAttribute: v.text("idAttribute"), UserNameAttribute: v.text("userNameAttribute")}
}

// apply writes the form's values to the settings.
func (f samlForm) apply(to *portalapi.SSO) {
	to.MetadataURL, to.Metadata, to.IDAttribute, to.UserNameAttribute = f.MetadataURL, f.Metadata, f.IDAttribute, f.UserNameAttribute
}

// shown adds what the page shows for copying.
func (f samlForm) shown(s *site) samlForm {
	settings := s.saml(portalapi.SSO{})
	f.EntityID, f.ConsumerURL = settings.EntityID, settings.ConsumerURL
	return f
}

func (s *site) saml(c portalapi.SSO) sso.SAMLSettings {
	return sso.SAMLSettings{EntityID: s.public + sso.SAMLMetadataPath, ConsumerURL: s.public + sso.SAMLConsumerPath,
		MetadataURL: c.MetadataURL, Metadata: c.Metadata, IDAttribute: c.IDAttribute, UserNameAttribute: c.UserNameAttribute}
}

// samlMetadata serves the portal's own metadata, also before SAML is on: the provider is set up
// first.
func (s *site) samlMetadata(v *visit) error {
	text, err := sso.PortalMetadata(s.saml(portalapi.SSO{}))
	if err != nil {
		return err
	}
	v.w.Header().Set("Content-Type", "application/samlmetadata+xml")
	_, _ = v.w.Write(text) // the client has disconnected
	return nil
}

// samlAgain is the content of the page that sends the provider's response again.
type samlAgain struct {
	Path, Response, RelayState string
}

// finishSAML handles the form that the provider lets the browser post. With that form, which comes
// from another site, the browser sends no cookies. So the page in response sends the same form
// again, from this site.
func (s *site) finishSAML(v *visit) error {
	c, err := s.ssoSettings(v)
	if err == nil && c.Type != "SAML" {
		err = &sso.Refusal{Message: "Single sign-on by SAML is off. Please sign in again."}
	}
	if err != nil {
		return s.ssoRefused(v, err)
	}
	if !sso.Begun(v.Request, s.insecure) && v.PostFormValue("again") == "" {
		return s.show(v, http.StatusOK, "saml_again", view{Title: "Sign in", Body: samlAgain{Path: sso.SAMLConsumerPath,
			Response: v.PostFormValue(sso.SAMLResponseField), RelayState: v.PostFormValue(sso.RelayStateField)}})
	}
	who, purpose, err := s.sp.Finish(v.w, v.Request, s.saml(c))
	return s.finishSSO(v, c, who, purpose, err)
}
