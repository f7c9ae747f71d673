// SPDX-License-Identifier: Apache-2.0

package web

import (
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

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
	Report           *store.MigrationReport // only in a preview without an operator that plans
	MoreWaiting      bool
	MoreUnmatched    bool
	Plan             *store.MigrationPlan // only in a preview
	Request          int64                // the request for a plan that is not answered yet; 0 if there is none
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
	SealedSecret                         string // ClientSecret as a hidden field: no page shows it again
	SAML                                 samlForm
	kept                                 []string // names of the toggles that are disabled, and on
}

// SCIMDisabled reports whether the toggle SCIM cannot be used.
func (f methodsForm) SCIMDisabled() bool { return !f.SSO }

// BelowDisabled reports whether the toggles that need SCIM cannot be used.
func (f methodsForm) BelowDisabled() bool { return !f.SSO || !f.SCIM }

// formOf returns the form for login methods. It never contains the client secret.
func formOf(m portalapi.LoginMethods) methodsForm {
	f := methodsForm{SSO: m.SSO.Enabled, SCIM: m.SCIMEnabled, Existing: m.ProvisionExistingUsers, Groups: m.ProvisionGroups,
		Type: m.SSO.Type, Issuer: m.SSO.Issuer, ClientID: m.SSO.ClientID, SAML: samlFormOf(m.SSO)}
	if f.Type == "" {
		f.Type = "OIDC"
	}
	return f
}

// sealedSecret is the hidden field with the client secret that was typed before.
const sealedSecret = "sealedSecret"

// methodsForm reads the form. Its refusal is for a client secret that was typed before and can no
// longer be read.
func (s *site) methodsForm(v *visit) (methodsForm, error) {
	f := v.plainMethodsForm()
	var err error
	if sealed := v.PostFormValue(sealedSecret); sealed != "" && f.ClientSecret == "" {
		if f.ClientSecret, err = s.store.OpenForm(v.session, sealed); err != nil {
			return f, refusal(http.StatusBadRequest, portalapi.CodeInvalid, "The client secret that you typed before can no longer be read. Type it again.")
		}
	}
	if f.ClientSecret != "" {
		f.SealedSecret, err = s.store.SealForm(v.session, f.ClientSecret)
	}
	return f, err
}

func (v *visit) plainMethodsForm() methodsForm {
	kept := v.PostForm["kept"]
	on := func(name string) bool { return v.PostFormValue(name) == "on" || slices.Contains(kept, name) }
	return methodsForm{SSO: on("sso"), SCIM: on("scim"), Existing: on("existing"), Groups: on("groups"), kept: kept,
		Type: v.text("type"), Issuer: v.text("issuer"), ClientID: v.text("clientId"), ClientSecret: v.PostFormValue("clientSecret"), SAML: v.samlForm()}
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
	f.SAML.apply(&now.SSO)
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
	p.RedirectURL, p.Form.SAML = s.redirectURL(), p.Form.SAML.shown(s)
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
	form, err := s.methodsForm(v)
	draft := methodsPage{Form: form, Draft: true}
	m := draft.Form.methods(config.LoginMethods)
	var revision *int64
	if err == nil {
		revision, err = v.revision()
	}
	if err == nil {
		switch v.PostFormValue("action") {
		case "test":
			err = testSSO(v, m.SSO)
			draft.Tested = tested(m.SSO)
		case "save":
			err = s.saveMethods(v, config, draft.Form, m, revision)
			if err == nil {
				return nil
			}
		case "edit":
		default:
			err = s.previewMethods(v, &draft, config, m, revision)
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

// previewMethods completes a draft with what it would migrate.
func (s *site) previewMethods(v *visit, draft *methodsPage, config *store.Configuration, m portalapi.LoginMethods, revision *int64) error {
	_, report, err := s.store.SaveLoginMethods(v.Context(), v.actor(), m, revision, true)
	switch {
	case err != nil || !m.SCIMEnabled:
		return err
	case config.Binding == nil:
		draft.Report = report
		return nil
	}
	if draft.Request, err = s.newPlan(v); err == nil && draft.Request == 0 {
		draft.Plan, err = s.store.MigrationPlan(v.Context(), planLines)
	}
	return err
}

// saveMethods saves the form and responds, or returns the refusal. The operator computes its plan
// again for each Save, so that a plan that has changed is shown before it is saved.
func (s *site) saveMethods(v *visit, config *store.Configuration, form methodsForm, m portalapi.LoginMethods, revision *int64) error {
	seen := store.Seen{Effects: v.PostFormValue("seen")}
	if m.ProvisionExistingUsers && config.Binding != nil {
		n, err := s.store.MigrationCounts(v.Context())
		if err != nil {
			return err
		}
		seen.Plan = !config.ProvisionExistingUsers || n.Waiting > 0
	}
	p := methodsSummary{Provider: providerName(config), Again: seen.Effects != "", sealed: form.SealedSecret}
	if seen.Plan {
		_, _, err := s.store.SaveLoginMethods(v.Context(), v.actor(), m, revision, true) // its refusals come first
		if err == nil {
			p.Request, err = s.newPlan(v)
		}
		if err != nil {
			return err
		}
		if p.Request != 0 {
			return s.confirmMethods(v, p)
		}
	}
	var err error
	if p.Effects, err = s.store.SaveSeenLoginMethods(v.Context(), v.actor(), m, revision, seen); err != nil {
		return err
	}
	if p.Effects == nil {
		if seen.Plan && seen.Effects != "" {
			return s.done(v, "methods-saved", migrationPath)
		}
		return s.done(v, "methods-saved", loginMethodsPath)
	}
	if seen.Plan {
		if p.Plan, err = s.store.MigrationPlan(v.Context(), planLines); err != nil {
			return err
		}
	}
	return s.confirmMethods(v, p)
}

// planLines is the maximum number of accounts of a plan that a page lists.
const planLines = 200

// planPatience is the time that a page waits for the operator's plan before it offers to look
// again.
const planPatience = 2 * time.Second

// newPlan asks the operator for a new plan, or goes on waiting for the one that the form waits for.
// It returns 0 when the plan has arrived, and the number of the request if it has not.
func (s *site) newPlan(v *visit) (waiting int64, err error) {
	request, _ := strconv.ParseInt(v.PostFormValue("request"), 10, 64)
	if request == 0 {
		if request, err = s.store.RequestPlan(v.Context(), v.actor()); err != nil {
			return 0, err
		}
	}
	patience := time.NewTimer(planPatience)
	defer patience.Stop()
	look := time.NewTicker(50 * time.Millisecond)
	defer look.Stop()
	for {
		config, err := s.store.Configuration(v.Context())
		if err != nil || config.Plan.Answers >= request {
			return 0, err
		}
		select {
		case <-look.C:
		case <-patience.C:
			return request, nil
		case <-v.Context().Done():
			return 0, v.Context().Err()
		}
	}
}

// migrationPage is the content of the page that follows a migration.
type migrationPage struct {
	store.MigrationCounts
	Provider string
	On       bool
}

// followMigration shows the progress of the migration. The browser loads it again while accounts
// wait.
func (s *site) followMigration(v *visit) error {
	config, err := s.store.Configuration(v.Context())
	if err != nil {
		return err
	}
	n, err := s.store.MigrationCounts(v.Context())
	if err != nil {
		return err
	}
	if config.ProvisionExistingUsers && n.Waiting > 0 {
		v.w.Header().Set("Refresh", "3")
	}
	return s.show(v, http.StatusOK, "migration", view{Title: "Migration", Section: "identity", Body: migrationPage{n, providerName(config), config.ProvisionExistingUsers},
		Crumbs: way("Migration", toSettings, toIAM, "Identity Configuration", "Login methods|"+loginMethodsPath)})
}

// methodsSummary is the content of the page that shows what a Save takes away.
type methodsSummary struct {
	Effects  *store.Effects // nil while the plan is computed
	Plan     *store.MigrationPlan
	Request  int64 // as in methodsPage
	Provider string
	Fields   []field // the form, to send again
	Again    bool    // other effects were shown before
	sealed   string  // the typed client secret
}

type field struct{ Name, Value string }

// confirmMethods shows what the posted form takes away, and asks for a confirmation.
func (s *site) confirmMethods(v *visit, p methodsSummary) error {
	for _, name := range slices.Sorted(maps.Keys(v.PostForm)) {
		if name == "action" || name == "request" || name == "clientSecret" || name == sealedSecret || name == "seen" && p.Request == 0 {
			continue
		}
		for _, value := range v.PostForm[name] {
			p.Fields = append(p.Fields, field{name, value})
		}
	}
	if p.sealed != "" {
		p.Fields = append(p.Fields, field{sealedSecret, p.sealed})
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
