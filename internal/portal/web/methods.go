// SPDX-License-Identifier: Apache-2.0

package web

import (
	"net/http"
	"strings"

	"lightrun.com/scim-operator/internal/kernel/portalapi"
	portalserver "lightrun.com/scim-operator/internal/portal"
	"lightrun.com/scim-operator/internal/portal/store"
)

const loginMethodsPath = "/settings/identity-and-access-management/identity-configuration/login-methods"

// methodsPage is the content of the page Login methods. It shows the current settings, or an
// unsaved draft.
type methodsPage struct {
	Form             methodsForm
	Draft            bool
	ReadOnly         bool
	ManagedElsewhere string
	Provider         string
	SecretSet        bool
	RedirectURL      string
	SCIMBaseURL      string
	Binding          *portalapi.Binding
	Revision         int64
	Tested           string // the result of a connection test
	Report           *store.MigrationReport
	MoreWaiting      bool
	MoreUnmatched    bool
}

// methodsForm contains the values of the form's fields.
type methodsForm struct {
	SSO, SCIM, Existing, Groups          bool
	Type, Issuer, ClientID, ClientSecret string
	SAML                                 samlForm
}

// formOf returns the form for login methods. It never contains the client secret.
func formOf(m portalapi.LoginMethods) methodsForm {
	f := methodsForm{SSO: m.SSO.Enabled, SCIM: m.SCIMEnabled, Existing: m.ProvisionExistingUsers, Groups: m.ProvisionGroups,
		Type: m.SSO.Type, Issuer: m.SSO.Issuer, ClientID: m.SSO.ClientID, SAML: samlFormOf(m.SSO)}
	if f.Type == "" {
		f.Type = "OIDC"
	}
	return f
}

func (v *visit) methodsForm() methodsForm {
	on := func(name string) bool { return v.PostFormValue(name) == "on" }
	return methodsForm{SSO: on("sso"), SCIM: on("scim"), Existing: on("existing"), Groups: on("groups"),
		Type: v.text("type"), Issuer: v.text("issuer"), ClientID: v.text("clientId"), ClientSecret: v.PostFormValue("clientSecret"), SAML: v.samlForm()}
}

// methods returns the login methods of the form. Settings without a field keep their value.
func (f methodsForm) methods(now portalapi.LoginMethods) portalapi.LoginMethods {
	now.SSO.Enabled, now.SSO.Type, now.SSO.Issuer, now.SSO.ClientID, now.SSO.ClientSecret = f.SSO, f.Type, f.Issuer, f.ClientID, f.ClientSecret
	f.SAML.apply(&now.SSO)
	now.SCIMEnabled, now.ProvisionExistingUsers, now.ProvisionGroups = f.SCIM, f.Existing, f.Groups
	return now
}

func (s *site) loginMethods(v *visit) error {
	config, err := s.store.Configuration(v.Context())
	if err != nil {
		return err
	}
	report, err := s.reportFor(v, config)
	if err != nil {
		return err
	}
	return s.showMethods(v, http.StatusOK, "", config, methodsPage{Form: formOf(config.LoginMethods), Report: report})
}

// reportFor returns the migration report if it is relevant: SCIM is on.
func (s *site) reportFor(v *visit, config *store.Configuration) (*store.MigrationReport, error) {
	if !config.SCIMEnabled {
		return nil, nil
	}
	return s.store.MigrationReport(v.Context())
}

func (s *site) showMethods(v *visit, status int, problem string, config *store.Configuration, p methodsPage) error {
	p.ManagedElsewhere, p.ReadOnly = config.ManagedElsewhere, config.ManagedElsewhere != ""
	p.Provider, p.SecretSet, p.Binding, p.Revision = providerName(config), config.ClientSecretSet, config.Binding, config.Revision
	p.RedirectURL, p.Form.SAML = s.redirectURL(), p.Form.SAML.shown(s)
	if config.Binding != nil {
		p.SCIMBaseURL = config.Binding.SCIMBaseURL
	}
	if p.Report != nil {
		p.MoreWaiting = p.Report.WaitingCount > len(p.Report.Waiting)
		p.MoreUnmatched = p.Report.UnmatchedCount > len(p.Report.Unmatched)
	}
	return s.show(v, status, "login_methods", view{Title: "Login methods", Section: "identity", Problem: problem, Body: p,
		Crumbs: way("Login methods", toSettings, toIAM, "Identity Configuration")})
}

// submitLoginMethods saves, previews or tests the form. A preview or a test shows the form again as
// a draft.
func (s *site) submitLoginMethods(v *visit) error {
	config, err := s.store.Configuration(v.Context())
	if err != nil {
		return err
	}
	draft := methodsPage{Form: v.methodsForm(), Draft: true}
	m := draft.Form.methods(config.LoginMethods)
	revision, err := v.revision()
	if err == nil {
		switch v.PostFormValue("action") {
		case "test":
			err = testSSO(v, m.SSO)
			draft.Tested = tested(m.SSO)
		case "save":
			if _, _, err = s.store.SaveLoginMethods(v.Context(), v.actor(), m, revision, false); err == nil {
				return s.done(v, "methods-saved", loginMethodsPath)
			}
		default:
			_, draft.Report, err = s.store.SaveLoginMethods(v.Context(), v.actor(), m, revision, true)
		}
	}
	e := asRefusal(err)
	switch {
	case err == nil:
		return s.showMethods(v, http.StatusOK, "", config, draft)
	case e == nil:
		return err
	}
	return s.methodsRefused(v, e, draft)
}

// methodsRefused shows the refusal with the draft, or with the current settings if the draft can no
// longer be saved.
func (s *site) methodsRefused(v *visit, e *portalapi.Error, draft methodsPage) error {
	config, err := s.store.Configuration(v.Context()) // it may have changed meanwhile
	if err != nil {
		return err
	}
	draft.Tested = ""
	problem := sentenceOf(e.Message)
	if e.Code == portalapi.CodeStaleRevision {
		problem = changedMeanwhile
	}
	if e.Code == portalapi.CodeStaleRevision || e.Code == portalapi.CodeManagedElsewhere {
		draft = methodsPage{Form: formOf(config.LoginMethods)}
	}
	return s.showMethods(v, e.Status, problem, config, draft)
}

// tested describes what a successful test has checked.
func tested(settings portalapi.SSO) string {
	switch {
	case settings.Type == "SAML" && settings.MetadataURL != "":
		return "The provider's metadata at " + settings.MetadataURL + " has what the portal needs. The rest is checked at the first sign-in."
	case settings.Type == "SAML":
		return "The provider's metadata has what the portal needs. The rest is checked at the first sign-in."
	}
	return "The provider responds at " + settings.Issuer + ". The client id and secret are checked at the first sign-in."
}

// testSSO checks whether users could sign in at the provider.
func testSSO(v *visit, settings portalapi.SSO) error {
	if settings.Type == "SAML" && settings.MetadataURL == "" && settings.Metadata == "" {
		return refusal(http.StatusBadRequest, portalapi.CodeInvalid, "Fill in the metadata URL or the metadata first.")
	}
	if settings.Type != "SAML" && strings.TrimSpace(settings.Issuer) == "" {
		return refusal(http.StatusBadRequest, portalapi.CodeInvalid, "Fill in the issuer URL first.")
	}
	if err := portalserver.CheckSSO(v.Context(), settings); err != nil {
		return refusal(http.StatusConflict, portalapi.CodeSSONotReachable, "Single sign-on does not work with these settings: "+err.Error())
	}
	return nil
}
