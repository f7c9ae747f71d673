// SPDX-License-Identifier: Apache-2.0

package devenv

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"

	portalv1 "lightrun.com/scim-operator/api/portal/v1"
	"lightrun.com/scim-operator/api/v1alpha1"
)

const (
	ssoClient  = "portal"
	markerFile = "set-up.json" // written after the first start has set everything up
)

// marker records the addresses of the last start, so that a start on other ports can
// correct them.
type marker struct {
	PortalURL, SCIMURL, SSOIssuer string
	Driver                        v1alpha1.PortalDriver `json:",omitempty"` // empty: Contract
}

// scim reports whether a SCIM target takes the place of the portal.
func (e *Environment) scim() bool { return e.Driver == v1alpha1.PortalDriverSCIM }

// programs returns the names of the programs that must be built.
func (e *Environment) programs() []string {
	if e.scim() {
		return []string{Target, Webhook, Manager}
	}
	return []string{SSO, Portal, Webhook, Manager}
}

// portalURL returns the URL in spec.portal of the IdentityConfiguration.
func (e *Environment) portalURL() string {
	if e.scim() {
		return e.Values.TargetURL
	}
	return e.Values.PortalURL
}

// sameDriver refuses a folder whose data is of another driver.
func (e *Environment) sameDriver() error {
	if e.fresh() {
		return nil
	}
	before, err := e.readMarker()
	if err != nil {
		return err
	}
	was := cmp.Or(before.Driver, v1alpha1.PortalDriverContract)
	if is := cmp.Or(e.Driver, v1alpha1.PortalDriverContract); is != was {
		return fmt.Errorf("%s was set up with the driver %s: choose another folder with --dir or RUN_DIR for the driver %s", e.Dir, was, is)
	}
	return nil
}

// fresh reports whether this folder has not been set up yet.
func (e *Environment) fresh() bool {
	_, err := os.Stat(e.path(markerFile))
	return err != nil
}

func (e *Environment) readMarker() (m marker, err error) {
	content, err := os.ReadFile(e.path(markerFile))
	if err != nil {
		return m, err
	}
	if err := json.Unmarshal(content, &m); err != nil {
		return m, fmt.Errorf("%s: %w", e.path(markerFile), err)
	}
	return m, nil
}

func (e *Environment) writeMarker() error {
	content, err := json.Marshal(marker{PortalURL: e.portalURL(), SCIMURL: e.Values.SCIMURL, SSOIssuer: e.Values.SSOIssuer, Driver: e.Driver})
	if err != nil {
		return err
	}
	return writeFile(e.path(markerFile), content)
}

// startPortal starts the development single sign-on and the portal, which checks it, or the SCIM
// target.
func (e *Environment) startPortal(ctx context.Context) error {
	specs := e.specs()
	if e.scim() {
		e.say("starting %s", Target)
		return e.run(ctx, specs[Target])
	}
	e.say("starting %s and %s", SSO, Portal)
	if err := e.run(ctx, specs[SSO]); err != nil {
		return err
	}
	if err := e.run(ctx, specs[Portal]); err != nil {
		return err
	}
	var err error
	e.API, err = portalv1.NewClientWithResponses(e.Values.PortalURL+"/api/v1", portalv1.WithHTTPClient(e.http),
		portalv1.WithRequestEditorFn(func(_ context.Context, r *http.Request) error {
			r.Header.Set("Authorization", "Bearer "+e.Values.PortalAPIKey)
			return nil
		}))
	return err
}

// switchOn does what a manager does on the page Login methods: single sign-on, SCIM, Save. It runs
// only on new data. Later the page belongs to the developer, and only an issuer with a changed port
// is corrected.
func (e *Environment) switchOn(ctx context.Context) error {
	if e.scim() {
		return nil // the IdentityConfiguration declares the login methods
	}
	answer, err := e.API.GetIdentityConfigurationWithResponse(ctx)
	if err != nil {
		return fmt.Errorf("read the portal's login methods: %w", err)
	}
	if answer.JSON200 == nil {
		if !e.fresh() && answer.StatusCode() == http.StatusUnauthorized {
			e.note("the portal no longer accepts the key in PORTAL_API_KEY: it was deleted there")
			return nil
		}
		return refusal("read the portal's login methods", answer.HTTPResponse, answer.JSONDefault)
	}
	methods := answer.JSON200.LoginMethods
	if e.fresh() {
		methods.SSO = portalv1.SSO{Enabled: true, Type: "OIDC", Issuer: e.Values.SSOIssuer, ClientID: ssoClient, ClientSecret: e.credentials.get(clientSecret)}
		methods.SCIM.Enabled, methods.SCIM.ProvisionGroups = true, true
		return e.save(ctx, answer.JSON200.Revision, methods)
	}
	before, err := e.readMarker()
	if err != nil {
		return err
	}
	if before.SSOIssuer != e.Values.SSOIssuer && methods.SSO.Issuer == before.SSOIssuer && answer.JSON200.ManagedElsewhere == "" {
		methods.SSO.Issuer, methods.SSO.ClientSecret = e.Values.SSOIssuer, e.credentials.get(clientSecret)
		return e.save(ctx, answer.JSON200.Revision, methods)
	}
	return nil
}

func (e *Environment) save(ctx context.Context, revision int64, methods portalv1.LoginMethods) error {
	match := fmt.Sprintf("%q", fmt.Sprint(revision))
	answer, err := e.API.PutIdentityConfigurationWithResponse(ctx, &portalv1.PutIdentityConfigurationParams{IfMatch: &match},
		portalv1.IdentityConfigurationPut{LoginMethods: methods})
	if err != nil {
		return fmt.Errorf("switch single sign-on and SCIM on: %w", err)
	}
	if answer.JSON200 == nil {
		return refusal("switch single sign-on and SCIM on", answer.HTTPResponse, answer.JSONDefault)
	}
	return nil
}

func refusal(what string, answer *http.Response, refused *portalv1.Refused) error {
	if refused == nil {
		return fmt.Errorf("%s: the portal responded with %s", what, answer.Status)
	}
	return fmt.Errorf("%s: the portal responded with %s: %s", what, answer.Status, refused.Message)
}

func (e *Environment) note(format string, args ...any) {
	e.Notes = append(e.Notes, fmt.Sprintf(format, args...))
}
