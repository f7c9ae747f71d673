// SPDX-License-Identifier: Apache-2.0

package web

import (
	"maps"
	"net/http"
	"slices"
	"strings"

	"lightrun.com/scim-operator/internal/kernel/portalapi"
	portalserver "lightrun.com/scim-operator/internal/portal"
	"lightrun.com/scim-operator/internal/portal/store"
)

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
	Tested           string                 // the result of a connection test
	Report           *store.MigrationReport // only in a preview
	MoreWaiting      bool
	MoreUnmatched    bool
	Migration        store.MigrationCounts
}

// Migrates reports whether local accounts become SCIM-managed now.
func (p methodsPage) Migrates() bool {
	return p.Form.Existing && !p.Draft && p.Migration.Waiting+p.Migration.Migrated > 0
}

// methodsForm contains the values of the form's fields. A toggle keeps its value while the toggle
// that it needs is off.
type methodsForm struct {
	SSO, SCIM, Existing, Groups          bool
	Type, Issuer, ClientID, ClientSecret string
	kept                                 []string // names of the toggles that are disabled, and on
}

// SCIMDisabled reports whether the toggle SCIM cannot be used.
func (f methodsForm) SCIMDisabled() bool { return !f.SSO }

// BelowDisabled reports whether the toggles that need SCIM cannot be used.
func (f methodsForm) BelowDisabled() bool { return !f.SSO || !f.SCIM }

// formOf returns the form for login methods. It never contains the client secret.
func formOf(m portalapi.LoginMethods) methodsForm {
	f := methodsForm{SSO: m.SSO.Enabled, SCIM: m.SCIMEnabled, Existing: m.ProvisionExistingUsers, Groups: m.ProvisionGroups,
		Type: m.SSO.Type, Issuer: m.SSO.Issuer, ClientID: m.SSO.ClientID}
	if f.Type == "" {
		f.Type = "OIDC"
	}
	return f
}

func (v *visit) methodsForm() methodsForm {
	kept := v.PostForm["kept"]
	on := func(name string) bool { return v.PostFormValue(name) == "on" || slices.Contains(kept, name) }
	return methodsForm{SSO: on("sso"), SCIM: on("scim"), Existing: on("existing"), Groups: on("groups"), kept: kept,
		Type: v.text("type"), Issuer: v.text("issuer"), ClientID: v.text("clientId"), ClientSecret: v.PostFormValue("clientSecret")}
}

// methods returns the login methods of the form. Settings without a field keep their value. A
// toggle that is on while the toggle that it needs goes off goes off with it; the service refuses
// it if the form turns it on that way.
func (f methodsForm) methods(now portalapi.LoginMethods) portalapi.LoginMethods {
	effective := func(name string, on, needed, was bool) bool {
		return on && (needed || !was && !slices.Contains(f.kept, name))
	}
	scim := effective("scim", f.SCIM, f.SSO, now.SCIMEnabled)
	existing := effective("existing", f.Existing, scim, now.ProvisionExistingUsers)
	now.SSO.Enabled, now.SSO.Type, now.SSO.Issuer, now.SSO.ClientID, now.SSO.ClientSecret = f.SSO, f.Type, f.Issuer, f.ClientID, f.ClientSecret
	now.SCIMEnabled, now.ProvisionExistingUsers, now.ProvisionGroups = scim, existing, f.Groups
	return now
}

func (s *site) loginMethods(v *visit) error {
	config, err := s.store.Configuration(v.Context())
	if err != nil {
		return err
	}
	return s.showMethods(v, http.StatusOK, "", config, methodsPage{Form: formOf(config.LoginMethods)})
}

func (s *site) showMethods(v *visit, status int, problem string, config *store.Configuration, p methodsPage) error {
	p.ManagedElsewhere, p.ReadOnly = config.ManagedElsewhere, config.ManagedElsewhere != ""
	p.Provider, p.SecretSet, p.Binding, p.Revision = providerName(config), config.ClientSecretSet, config.Binding, config.Revision
	p.RedirectURL = s.redirectURL()
	if config.Binding != nil {
		p.SCIMBaseURL = config.Binding.SCIMBaseURL
	}
	if config.SCIMEnabled {
		var err error
		if p.Migration, err = s.store.MigrationCounts(v.Context()); err != nil {
			return err
		}
	}
	if p.Report != nil {
		p.MoreWaiting = p.Report.WaitingCount > len(p.Report.Waiting)
		p.MoreUnmatched = p.Report.UnmatchedCount > len(p.Report.Unmatched)
	}
	return s.show(v, status, "login_methods", view{Title: "Login methods", Section: "identity", Problem: problem, Body: p,
		Crumbs: way("Login methods", toSettings, toIAM, "Identity Configuration")})
}

// submitLoginMethods saves, previews or tests the form. A preview or a test shows the form again as
// a draft. A Save that takes something away shows first what, and needs a confirmation.
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
			draft.Tested = "The provider responds at " + m.SSO.Issuer + ". The client id and secret are checked at the first sign-in."
		case "save":
			var effects *store.Effects
			effects, err = s.store.SaveSeenLoginMethods(v.Context(), v.actor(), m, revision, v.PostFormValue("seen"))
			if effects != nil {
				return s.confirmMethods(v, config, effects)
			}
			if err == nil {
				return s.done(v, "methods-saved", loginMethodsPath)
			}
		case "edit":
		default:
			_, draft.Report, err = s.store.SaveLoginMethods(v.Context(), v.actor(), m, revision, true)
			if !m.SCIMEnabled {
				draft.Report = nil
			}
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

// methodsSummary is the content of the page that shows what a Save takes away.
type methodsSummary struct {
	Effects  *store.Effects
	Provider string
	Fields   []field // the form, to send again
	Again    bool    // other effects were shown before
}

type field struct{ Name, Value string }

// confirmMethods shows what the posted form takes away, and asks for a confirmation.
func (s *site) confirmMethods(v *visit, config *store.Configuration, effects *store.Effects) error {
	p := methodsSummary{Effects: effects, Provider: providerName(config), Again: v.PostFormValue("seen") != ""}
	for _, name := range slices.Sorted(maps.Keys(v.PostForm)) {
		if name == "action" || name == "seen" {
			continue
		}
		for _, value := range v.PostForm[name] {
			p.Fields = append(p.Fields, field{name, value})
		}
	}
	return s.show(v, http.StatusOK, "login_methods_summary", view{Title: "Check what changes", Section: "identity", Body: p,
		Crumbs: way("Check what changes", toSettings, toIAM, "Identity Configuration", "Login methods|"+loginMethodsPath)})
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

// testSSO checks whether users could sign in at the provider.
func testSSO(v *visit, settings portalapi.SSO) error {
	if strings.TrimSpace(settings.Issuer) == "" {
		return refusal(http.StatusBadRequest, portalapi.CodeInvalid, "Fill in the issuer URL first.")
	}
	if err := portalserver.CheckSSO(v.Context(), settings); err != nil {
		return refusal(http.StatusConflict, portalapi.CodeSSONotReachable, "Single sign-on does not work with these settings: "+err.Error())
	}
	return nil
}
