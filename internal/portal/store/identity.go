// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"strings"

	"lightrun.com/scim-operator/internal/kernel/portalapi"
)

// Configuration is the current identity configuration. Its SSO.ClientSecret is always empty; SSO
// returns the secret.
type Configuration struct {
	portalapi.Configuration
	ClientSecretSet bool
	Plan            PlanState

	approved string // id of the migration plan that limits adoptions; empty if none does
	secret   string // the client secret, as the database has it
	typed    string // another client secret to store; empty if it stays
	ssoEpoch int64  // of the sessions through SSO; those with an older one have ended
	leader   string // the operator's process that is the leader; empty if every process may write
}

// provider returns the name of the bound identity provider for messages.
func (c *Configuration) provider() string {
	switch {
	case c.Binding == nil:
		return "the identity provider"
	case c.Binding.ProviderName != "":
		return c.Binding.ProviderName
	}
	return c.Binding.ProviderType
}

// Provider returns the display name of the bound identity provider, and "" if none is bound.
func (c *Configuration) Provider() string {
	if c.Binding == nil {
		return ""
	}
	return c.provider()
}

// Configuration returns the current identity configuration.
func (s *Store) Configuration(ctx context.Context) (config *Configuration, err error) {
	err = s.inSnapshot(ctx, func(c *conn) error {
		config, err = c.configuration()
		return err
	})
	return config, err
}

// SSO returns the single sign-on settings with the client secret, for signing users in. Never show
// them on a page or in a response.
func (s *Store) SSO(ctx context.Context) (portalapi.SSO, error) {
	config, err := s.Configuration(ctx)
	if err != nil {
		return portalapi.SSO{}, err
	}
	sso := config.SSO
	sso.ClientSecret, err = s.vault.open(clientSecretPurpose, config.secret)
	return sso, err
}

func (c *conn) configuration() (*Configuration, error) {
	var (
		f       Configuration
		b       portalapi.Binding
		planned int64
	)
	err := c.row(`SELECT sso_enabled, sso_type, sso_issuer, sso_client_id, sso_client_secret, sso_metadata_url,
		sso_metadata, sso_id_attribute, sso_user_name_attribute, scim_enabled, provision_existing_users, provision_groups, managed_elsewhere, bound_uid, bound_cluster, bound_namespace, bound_name,
		provider_type, provider_name, scim_base_url, binding_id, leader, sso_epoch, revision,
		plan_request, plan_id, plan_answers, plan_at, approved_plan FROM identity_configuration`).Scan(
		&f.SSO.Enabled, &f.SSO.Type, &f.SSO.Issuer, &f.SSO.ClientID, &f.secret, &f.SSO.MetadataURL,
		&f.SSO.Metadata, &f.SSO.IDAttribute, &f.SSO.UserNameAttribute, &f.SCIMEnabled, &f.ProvisionExistingUsers, &f.ProvisionGroups, &f.ManagedElsewhere, &b.UID, &b.Cluster, &b.Namespace, &b.Name,
		&b.ProviderType, &b.ProviderName, &b.SCIMBaseURL, &b.ID, &f.leader, &f.ssoEpoch, &f.Revision,
		&f.PlanRequest, &f.Plan.ID, &f.Plan.Answers, &planned, &f.approved)
	if b.UID != "" {
		f.Binding = &b
	}
	f.ClientSecretSet, f.Plan.At = f.secret != "", fromMicros(planned)
	return &f, err
}

// configuration is read once per transaction; saveConfiguration updates the cached value.
func (t *tx) configuration() (*Configuration, error) {
	if t.config != nil {
		return t.config, nil
	}
	config, err := t.conn.configuration()
	if err == nil {
		t.config = config
	}
	return config, err
}

// SaveLoginMethods replaces the login methods on behalf of the page or an API key, and returns the
// configuration after it. With dryRun it checks everything and returns the same, with the migration
// report, but changes nothing. An empty client secret keeps the stored one. Refusals:
// MANAGED_ELSEWHERE, SSO_REQUIRED, SCIM_REQUIRED, SSO_NOT_REACHABLE, LAST_MANAGER, STALE_REVISION
// (412), INVALID.
func (s *Store) SaveLoginMethods(ctx context.Context, actor Actor, m portalapi.LoginMethods, ifRevision *int64, dryRun bool) (*Configuration, *MigrationReport, error) {
	var report *MigrationReport
	after, err := s.saveMethods(ctx, actor, m, ifRevision, dryRun, nil, func(t *tx) (err error) {
		if !dryRun {
			return nil
		}
		if report, err = t.migrationReport(); err != nil {
			return err
		}
		return errDryRun
	})
	if err != nil {
		return nil, nil, err
	}
	return after, report, nil
}

// saveMethods replaces the login methods. first may look at the change before it is written, and
// last at the records after it; an error of either undoes the change.
func (s *Store) saveMethods(ctx context.Context, actor Actor, m portalapi.LoginMethods, ifRevision *int64, dryRun bool,
	first func(t *tx, before, after *Configuration) error, last func(*tx) error,
) (after *Configuration, err error) {
	ev := event{action: "identity-configuration.update", targetKind: "IdentityConfiguration"}
	checked := s.checkSSO(ctx, m)
	err = s.changeOrTry(ctx, actor, &ev, dryRun, func(t *tx) error {
		before, err := t.configuration()
		switch {
		case err != nil:
			return err
		case before.ManagedElsewhere != "":
			return refuse(portalapi.CodeManagedElsewhere, "the login methods are managed by %s; change them there", before.ManagedElsewhere)
		case ifRevision != nil && *ifRevision != before.Revision:
			return staleTag("the identity configuration", before.Revision, *ifRevision)
		case checked != nil:
			return checked
		}
		after = before.with(m)
		if err := t.sealSecret(after); err != nil {
			return err
		}
		if first != nil {
			if err := first(t, before, after); err != nil {
				return err
			}
		}
		if err := t.saveConfiguration(&ev, before, after); err != nil {
			return err
		}
		return last(t)
	})
	return after, err
}

// changeOrTry runs a manager's change. A dry run leaves neither a change nor an audit event.
func (s *Store) changeOrTry(ctx context.Context, actor Actor, ev *event, dryRun bool, change func(*tx) error) error {
	if !dryRun {
		return s.mutate(ctx, actor, ScopeManage, ev, change)
	}
	if err := actor.allowed(ScopeManage); err != nil {
		return err
	}
	err := s.inTx(ctx, func(t *tx) error {
		t.actor = actor
		return change(t)
	})
	if errors.Is(err, errDryRun) {
		return nil
	}
	return err
}

// PutLoginMethods replaces the login methods on behalf of a declared configuration.
// managedElsewhere names that configuration and makes the page read-only. If managedElsewhere is
// empty, m is ignored: the page becomes editable again, and the login methods stay. Refusals are
// those of SaveLoginMethods.
func (s *Store) PutLoginMethods(ctx context.Context, actor Actor, m portalapi.LoginMethods, managedElsewhere string) (*Configuration, error) {
	ev := event{action: "identity-configuration.provision", targetKind: "IdentityConfiguration"}
	var checked error
	if managedElsewhere != "" {
		checked = s.checkSSO(ctx, m)
	}
	var after *Configuration
	err := s.mutate(ctx, actor, ScopeProvisioning, &ev, func(t *tx) error {
		before, err := t.configuration()
		if err != nil {
			return err
		}
		if checked != nil {
			return checked
		}
		after = before.with(before.LoginMethods)
		if managedElsewhere != "" {
			after = before.with(m)
		}
		after.ManagedElsewhere = managedElsewhere
		if managedElsewhere != "" {
			after.approved = "" // the declaration is the consent
		}
		return t.saveConfiguration(&ev, before, after)
	})
	if err != nil {
		return nil, err
	}
	return after, nil
}

// with returns a copy of the configuration with the login methods m.
func (c *Configuration) with(m portalapi.LoginMethods) *Configuration {
	after := *c
	after.typed = m.SSO.ClientSecret
	m.SSO.ClientSecret = ""
	after.LoginMethods = m
	after.ClientSecretSet = after.secret+after.typed != ""
	return &after
}

// sealSecret completes a change of the configuration with the typed client secret, unless it is the
// stored one.
func (t *tx) sealSecret(c *Configuration) (err error) {
	if c.typed == "" {
		return nil
	}
	if stored, err := t.vault.open(clientSecretPurpose, c.secret); err == nil && stored == c.typed && c.secret != "" {
		c.typed = ""
		return nil
	}
	c.secret, err = t.vault.seal(clientSecretPurpose, c.typed)
	c.typed = ""
	return err
}

// checkSSO checks whether users could sign in with m's settings, if the settings are new. It runs
// before the transaction, because it contacts the identity provider; all other errors are reported
// first.
func (s *Store) checkSSO(ctx context.Context, m portalapi.LoginMethods) error {
	if err := validLoginMethods(m); err != nil || !m.SSO.Enabled {
		return err
	}
	current, err := s.SSO(ctx)
	if err != nil {
		return err
	}
	wanted := m.SSO
	if wanted.ClientSecret == "" {
		wanted.ClientSecret = current.ClientSecret
	}
	if wanted == current {
		return nil
	}
	if err := s.check(ctx, wanted); err != nil {
		return refuse(portalapi.CodeSSONotReachable, "single sign-on does not work with these settings: %v", err)
	}
	return nil
}

// maxMetadata limits the metadata of a SAML provider that the database stores, in bytes.
const maxMetadata = 128 << 10

// validLoginMethods checks the rules that need no records.
func validLoginMethods(m portalapi.LoginMethods) error {
	sso := m.SSO
	switch {
	case m.SCIMEnabled && !sso.Enabled:
		return refuse(portalapi.CodeSSORequired, "SCIM needs single sign-on: turn on SSO and configure it first")
	case m.ProvisionExistingUsers && !m.SCIMEnabled:
		return refuse(portalapi.CodeSCIMRequired, "\"Provision existing users with SCIM\" needs SCIM: turn on SCIM first")
	case !sso.Enabled:
		return nil
	case sso.Type != "OIDC" && sso.Type != "SAML":
		return refuse(portalapi.CodeInvalid, "the type of single sign-on is %q; use OIDC or SAML", sso.Type)
	case sso.Type == "OIDC" && (strings.TrimSpace(sso.Issuer) == "" || strings.TrimSpace(sso.ClientID) == ""):
		return refuse(portalapi.CodeInvalid, "single sign-on by OIDC needs the issuer URL and the client id")
	case sso.Type == "SAML" && (strings.TrimSpace(sso.MetadataURL) == "") == (strings.TrimSpace(sso.Metadata) == ""):
		return refuse(portalapi.CodeInvalid, "single sign-on by SAML needs either the metadata URL of the identity provider or its metadata, and not both")
	case len(sso.Metadata) > maxMetadata:
		return refuse(portalapi.CodeInvalid, "the metadata of the identity provider is longer than %d KiB; leave out the entities of other applications", maxMetadata>>10)
	}
	return nil
}

// saveConfiguration writes after if it differs from before, and refuses to switch SSO off
// if no local manager could sign in afterwards.
func (t *tx) saveConfiguration(ev *event, before, after *Configuration) error {
	if !after.ProvisionExistingUsers {
		after.approved = ""
	}
	if err := t.sealSecret(after); err != nil {
		return err
	}
	ev.changes = configurationDifference(before, after)
	if len(ev.changes) == 0 {
		return nil
	}
	after.Revision++
	if endsSSOSessions(before.SSO, after.SSO) {
		after.ssoEpoch = before.ssoEpoch + 1
	}
	b := portalapi.Binding{}
	if after.Binding != nil {
		b = *after.Binding
	}
	if before.SSO.Enabled && !after.SSO.Enabled {
		if err := t.managerRemains(); err != nil {
			return err
		}
	}
	t.config = after
	if _, err := t.exec(`UPDATE identity_configuration SET sso_enabled = ?, sso_type = ?, sso_issuer = ?, sso_client_id = ?, sso_client_secret = ?,
			sso_metadata_url = ?, sso_metadata = ?, sso_id_attribute = ?, sso_user_name_attribute = ?, scim_enabled = ?, provision_existing_users = ?, provision_groups = ?, managed_elsewhere = ?, bound_uid = ?, bound_cluster = ?,
			bound_namespace = ?, bound_name = ?, provider_type = ?, provider_name = ?, scim_base_url = ?, binding_id = ?, sso_epoch = ?, revision = ?,
			approved_plan = ?`,
		after.SSO.Enabled, after.SSO.Type, after.SSO.Issuer, after.SSO.ClientID, after.secret, after.SSO.MetadataURL,
		after.SSO.Metadata, after.SSO.IDAttribute, after.SSO.UserNameAttribute, after.SCIMEnabled, after.ProvisionExistingUsers, after.ProvisionGroups, after.ManagedElsewhere, b.UID, b.Cluster, b.Namespace, b.Name,
		b.ProviderType, b.ProviderName, b.SCIMBaseURL, b.ID, after.ssoEpoch, after.Revision,
		after.approved); err != nil {
		return err
	}
	return t.touch(portalapi.ChangeConfiguration, "default", false)
}

// endsSSOSessions reports whether users who signed in through SSO before must sign in again: SSO is
// off now, or another provider or another application decides who signs in.
func endsSSOSessions(before, after portalapi.SSO) bool {
	return before.Enabled && (!after.Enabled || !sameApplication(before, after))
}

// sameApplication reports whether the provider's assertions mean the same under both settings: the
// same provider makes them, for the same application, and the same part of them is the user.
func sameApplication(a, b portalapi.SSO) bool { return application(a) == application(b) }

// application returns the settings that decide who signs in as which user.
func application(s portalapi.SSO) portalapi.SSO {
	if s.Type == "SAML" {
		return portalapi.SSO{Type: s.Type, MetadataURL: s.MetadataURL, Metadata: s.Metadata, IDAttribute: s.IDAttribute, UserNameAttribute: s.UserNameAttribute}
	}
	return portalapi.SSO{Type: s.Type, Issuer: s.Issuer, ClientID: s.ClientID}
}

func configurationDifference(before, after *Configuration) []FieldChange {
	var d difference
	d.flag("sso.enabled", before.SSO.Enabled, after.SSO.Enabled)
	d.text("sso.type", before.SSO.Type, after.SSO.Type)
	d.text("sso.issuer", before.SSO.Issuer, after.SSO.Issuer)
	d.text("sso.clientId", before.SSO.ClientID, after.SSO.ClientID)
	if before.secret != after.secret {
		d = append(d, FieldChange{Field: "sso.clientSecret", To: "set"})
	}
	d.text("sso.metadataUrl", before.SSO.MetadataURL, after.SSO.MetadataURL)
	if before.SSO.Metadata != after.SSO.Metadata { // too long for the audit
		d = append(d, FieldChange{Field: "sso.metadata", From: given(before.SSO.Metadata), To: given(after.SSO.Metadata)})
	}
	d.text("sso.idAttribute", before.SSO.IDAttribute, after.SSO.IDAttribute)
	d.text("sso.userNameAttribute", before.SSO.UserNameAttribute, after.SSO.UserNameAttribute)
	d.flag("scim.enabled", before.SCIMEnabled, after.SCIMEnabled)
	d.flag("scim.provisionExistingUsers", before.ProvisionExistingUsers, after.ProvisionExistingUsers)
	d.flag("scim.provisionGroups", before.ProvisionGroups, after.ProvisionGroups)
	d.text("scim.migrationPlan", before.approved, after.approved)
	d.text("managedElsewhere", before.ManagedElsewhere, after.ManagedElsewhere)
	var b, a portalapi.Binding
	if before.Binding != nil {
		b = *before.Binding
	}
	if after.Binding != nil {
		a = *after.Binding
	}
	d.text("binding.id", b.ID, a.ID)
	d.text("binding.uid", b.UID, a.UID)
	d.text("binding.cluster", b.Cluster, a.Cluster)
	d.text("binding.namespace", b.Namespace, a.Namespace)
	d.text("binding.name", b.Name, a.Name)
	d.text("binding.providerType", b.ProviderType, a.ProviderType)
	d.text("binding.providerName", b.ProviderName, a.ProviderName)
	d.text("binding.scimBaseUrl", b.SCIMBaseURL, a.SCIMBaseURL)
	return d
}

// given describes a text that the audit does not show.
func given(text string) string {
	if text == "" {
		return ""
	}
	sum := sha256.Sum256([]byte(text))
	return "set (" + hex.EncodeToString(sum[:4]) + ")"
}
