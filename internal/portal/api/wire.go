// SPDX-License-Identifier: Apache-2.0

package api

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	portalv1 "lightrun.com/scim-operator/api/portal/v1"
	"lightrun.com/scim-operator/internal/kernel/portalapi"
	"lightrun.com/scim-operator/internal/portal/store"
)

// The functions below convert between the service's records and their wire form, and read
// preconditions.

func user(a *store.Account) portalv1.User {
	u := portalv1.User{
		ID: a.ID, UserName: a.UserName, DisplayName: a.DisplayName, GivenName: a.GivenName, FamilyName: a.FamilyName, Email: a.Email,
		ExternalID: a.ExternalID, Status: portalv1.Status(a.Status), ManagedBy: portalv1.ManagedBy(a.ManagedBy), ReadOnly: a.ReadOnly,
		ReadOnlyReason: a.ReadOnlyReason, Pools: make([]portalv1.PoolRef, len(a.PoolRefs)), Roles: a.Roles, DirectRoles: list(a.DirectRoles), Ungranted: a.Ungranted,
		HandedOver: a.HandedOver, PasswordSet: a.PasswordSet, DeactivatedBy: portalv1.ManagedBy(a.DeactivatedBy), Mark: mark(a.Mark), Revision: a.Revision,
		CreatedAt: a.CreatedAt, UpdatedAt: a.UpdatedAt, LastSignInAt: moment(a.LastSignInAt),
	}
	for i, p := range a.PoolRefs {
		u.Pools[i] = portalv1.PoolRef{ID: p.ID, Name: p.Name}
	}
	u.Owner = owner(a.Owner)
	if a.WaitingFor.UID != "" {
		u.WaitingFor = &portalv1.WaitingFor{UID: a.WaitingFor.UID, Name: a.WaitingFor.Name}
	}
	return u
}

func users(accounts []store.Account) []portalv1.User {
	all := make([]portalv1.User, len(accounts))
	for i := range accounts {
		all[i] = user(&accounts[i])
	}
	return all
}

func userResponse(a *store.Account) portalv1.UserJSONResponse {
	return portalv1.UserJSONResponse{Body: user(a), Headers: portalv1.UserResponseHeaders{ETag: tag(a.Revision)}}
}

func pool(p *store.Pool) portalv1.Pool {
	return portalv1.Pool{
		ID: p.ID, Name: p.Name, Description: p.Description, Roles: p.Roles, Ungranted: p.Ungranted, Default: p.Default, Owner: owner(p.Owner), Created: p.Created, HandedOver: p.HandedOver, MemberCount: p.Members,
		Mark: mark(p.Mark), Pins: pins(p.Pins), ReadOnly: p.ReadOnly, ReadOnlyReason: p.ReadOnlyReason, Revision: p.Revision, CreatedAt: p.CreatedAt, UpdatedAt: p.UpdatedAt,
	}
}

func pins(all []portalapi.Pin) (out []portalv1.Pin) {
	for _, p := range all {
		out = append(out, portalv1.Pin{Line: p.Line, ID: p.ID, Deleted: p.Deleted, Revision: p.Revision})
	}
	return out
}

func seenOf(all []portalv1.GroupRevision) (out []portalapi.GroupRevision) {
	for _, g := range all {
		out = append(out, portalapi.GroupRevision{Group: g.Group, Revision: g.Revision})
	}
	return out
}

func pinsOf(all []portalv1.Pin) (out []portalapi.Pin) {
	for _, p := range all {
		out = append(out, portalapi.Pin{Line: p.Line, ID: p.ID, Deleted: p.Deleted, Revision: p.Revision})
	}
	return out
}

func mark(m *portalapi.Mark) *portalv1.Mark {
	if m == nil {
		return nil
	}
	return &portalv1.Mark{What: portalv1.Removal(m.What), State: portalv1.MarkState(m.State), Decision: m.Decision, At: m.At}
}

// markOf reads a mark; nil clears it.
func markOf(m *portalv1.Mark) *portalapi.Mark {
	if m == nil {
		return nil
	}
	return &portalapi.Mark{What: portalapi.Removal(m.What), State: portalapi.MarkState(m.State), Decision: m.Decision, At: m.At}
}

// owner returns nil for a record without an owner.
func owner(o portalapi.Owner) *portalv1.Owner {
	if o.UID == "" {
		return nil
	}
	return &portalv1.Owner{UID: o.UID, Name: o.Name, Revision: o.Revision, Binding: o.Binding}
}

// list never returns nil: on the wire, an empty list is [] and not null.
func list(values []string) []string { return append([]string{}, values...) }

func poolResponse(p *store.Pool) portalv1.PoolJSONResponse {
	return portalv1.PoolJSONResponse{Body: pool(p), Headers: portalv1.PoolResponseHeaders{ETag: tag(p.Revision)}}
}

func configuration(c *store.Configuration) portalv1.IdentityConfiguration {
	wire := portalv1.IdentityConfiguration{
		LoginMethods: portalv1.LoginMethods{
			SSO: portalv1.SSO{Enabled: c.SSO.Enabled, Type: portalv1.SSOType(c.SSO.Type), Issuer: c.SSO.Issuer, ClientID: c.SSO.ClientID,
				ClientSecretSet: c.ClientSecretSet, MetadataURL: c.SSO.MetadataURL, Metadata: c.SSO.Metadata,
				IDAttribute: c.SSO.IDAttribute, UserNameAttribute: c.SSO.UserNameAttribute},
			SCIM: portalv1.SCIM{Enabled: c.SCIMEnabled, ProvisionExistingUsers: c.ProvisionExistingUsers, ProvisionGroups: c.ProvisionGroups},
		},
		ManagedElsewhere: c.ManagedElsewhere, PlanRequest: c.PlanRequest, Revision: c.Revision,
	}
	if b := c.Binding; b != nil {
		wire.SCIMBaseURL = b.SCIMBaseURL
		wire.Binding = &portalv1.Binding{ID: b.ID, Cluster: b.Cluster, Namespace: b.Namespace, Name: b.Name, UID: b.UID,
			ProviderType: b.ProviderType, ProviderName: b.ProviderName, SCIMBaseURL: b.SCIMBaseURL}
	}
	return wire
}

func configurationResponse(c *store.Configuration, report *store.MigrationReport) portalv1.IdentityConfigurationJSONResponse {
	body := configuration(c)
	if report != nil {
		wire := migrationReport(report)
		body.Report = &wire
	}
	return portalv1.IdentityConfigurationJSONResponse{Body: body, Headers: portalv1.IdentityConfigurationResponseHeaders{ETag: tag(c.Revision)}}
}

func migrationReport(r *store.MigrationReport) portalv1.MigrationReport {
	return portalv1.MigrationReport{
		Waiting: users(r.Waiting), Unmatched: users(r.Unmatched), LosingManager: users(r.LosingManager),
		WaitingCount: r.WaitingCount, UnmatchedCount: r.UnmatchedCount, LosingManagerCount: r.LosingManagerCount, Migrated: r.Migrated,
	}
}

func loginMethods(m portalv1.LoginMethods) portalapi.LoginMethods {
	return portalapi.LoginMethods{
		SSO: portalapi.SSO{Enabled: m.SSO.Enabled, Type: string(m.SSO.Type), Issuer: m.SSO.Issuer, ClientID: m.SSO.ClientID,
			ClientSecret: m.SSO.ClientSecret, MetadataURL: m.SSO.MetadataURL, Metadata: m.SSO.Metadata,
			IDAttribute: m.SSO.IDAttribute, UserNameAttribute: m.SSO.UserNameAttribute},
		SCIMEnabled: m.SCIM.Enabled, ProvisionExistingUsers: m.SCIM.ProvisionExistingUsers, ProvisionGroups: m.SCIM.ProvisionGroups,
	}
}

func apiKey(k *store.APIKey) portalv1.APIKey {
	return portalv1.APIKey{ID: k.ID, Name: k.Name, Scope: portalv1.Scope(k.Scope), ProviderType: k.Provider.Type, ProviderName: k.Provider.Name, CreatedAt: k.CreatedAt, CreatedBy: k.CreatedBy,
		ExpiresAt: moment(k.ExpiresAt), LastUsedAt: moment(k.LastUsedAt)}
}

func auditEvent(e store.AuditEvent) portalv1.AuditEvent {
	wire := portalv1.AuditEvent{
		ID: e.ID, At: e.At, ActorKind: string(e.ActorKind), Actor: e.ActorName, Action: e.Action, TargetKind: e.TargetKind, TargetID: e.TargetID,
		TargetName: e.TargetName, Outcome: "Done", Code: string(e.Code), Message: e.Message, Changes: []portalv1.AuditChange{}, RequestID: e.RequestID,
	}
	if e.Refused() {
		wire.Outcome = "Refused"
	}
	for _, c := range e.Changes {
		wire.Changes = append(wire.Changes, portalv1.AuditChange(c))
	}
	return wire
}

func change(c store.Change) portalv1.Change {
	wire := portalv1.Change{Sequence: c.Sequence, Kind: portalv1.ChangeKind(c.Kind), ID: c.ID, Gone: c.Gone}
	if c.Account != nil {
		u := user(c.Account)
		wire.User = &u
	}
	if c.Pool != nil {
		p := pool(c.Pool)
		wire.Pool = &p
	}
	if c.Configuration != nil {
		f := configuration(c.Configuration)
		wire.Configuration = &f
	}
	return wire
}

// tag returns the entity tag of a revision.
func tag(revision int64) string { return `"` + strconv.FormatInt(revision, 10) + `"` }

// revision reads If-Match. It returns nil if the header is absent or *.
func revision(ifMatch *string) (*int64, error) {
	if ifMatch == nil || strings.TrimSpace(*ifMatch) == "*" {
		return nil, nil
	}
	text := strings.Trim(strings.TrimPrefix(strings.TrimSpace(*ifMatch), "W/"), `"`)
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return nil, refusal(http.StatusBadRequest, portalapi.CodeInvalid, `If-Match must be one entity tag as read, such as "3"`)
	}
	return &n, nil
}

// decidedOn reads the preconditions of a provisioning write. It returns the revision in If-Match, 0
// for If-None-Match: * (the record must not exist), or nil if there is no precondition or If-Match
// is *, which is no precondition in this API.
func decidedOn(ifMatch *string, ifNoneMatch *portalv1.IfNoneMatch) (*int64, error) {
	match, err := revision(ifMatch)
	if err != nil || ifNoneMatch == nil {
		return match, err
	}
	if ifMatch != nil {
		return nil, invalid("If-Match and If-None-Match exclude each other; send one of them")
	}
	return new(int64), nil
}

func moment(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// or returns what p points to, or otherwise.
func or[T any](p *T, otherwise T) T {
	if p == nil {
		return otherwise
	}
	return *p
}
