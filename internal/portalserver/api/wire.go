package api

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"lightrun.com/scim-operator/internal/portal"
	"lightrun.com/scim-operator/internal/portal/openapi"
	"lightrun.com/scim-operator/internal/portalserver/store"
)

// The functions below convert the service's records to their wire form.

func user(a *store.Account) openapi.User {
	u := openapi.User{
		ID: a.ID, UserName: a.UserName, DisplayName: a.DisplayName, GivenName: a.GivenName, FamilyName: a.FamilyName, Email: a.Email,
		ExternalID: a.ExternalID, Status: openapi.Status(a.Status), ManagedBy: openapi.ManagedBy(a.ManagedBy), ReadOnly: a.ReadOnly,
		ReadOnlyReason: a.ReadOnlyReason, Pools: make([]openapi.PoolRef, len(a.PoolRefs)), Roles: a.Roles, DirectRoles: list(a.DirectRoles), Ungranted: a.Ungranted,
		HandedOver: a.HandedOver, DeactivatedBy: openapi.ManagedBy(a.DeactivatedBy), Mark: mark(a.Mark), Revision: a.Revision,
		CreatedAt: a.CreatedAt, UpdatedAt: a.UpdatedAt, LastSignInAt: moment(a.LastSignInAt),
	}
	for i, p := range a.PoolRefs {
		u.Pools[i] = openapi.PoolRef{ID: p.ID, Name: p.Name}
	}
	u.Owner = owner(a.Owner)
	if a.WaitingFor.UID != "" {
		u.WaitingFor = &openapi.WaitingFor{UID: a.WaitingFor.UID, Name: a.WaitingFor.Name}
	}
	return u
}

func users(accounts []store.Account) []openapi.User {
	all := make([]openapi.User, len(accounts))
	for i := range accounts {
		all[i] = user(&accounts[i])
	}
	return all
}

func userResponse(a *store.Account) openapi.UserJSONResponse {
	return openapi.UserJSONResponse{Body: user(a), Headers: openapi.UserResponseHeaders{ETag: tag(a.Revision)}}
}

func pool(p *store.Pool) openapi.Pool {
	return openapi.Pool{
		ID: p.ID, Name: p.Name, Description: p.Description, Roles: p.Roles, Ungranted: p.Ungranted, Default: p.Default, Owner: owner(p.Owner), Created: p.Created, HandedOver: p.HandedOver, MemberCount: p.Members,
		Mark: mark(p.Mark), Pins: pins(p.Pins), ReadOnly: p.ReadOnly, ReadOnlyReason: p.ReadOnlyReason, Revision: p.Revision, CreatedAt: p.CreatedAt, UpdatedAt: p.UpdatedAt,
	}
}

func pins(all []portal.Pin) (out []openapi.Pin) {
	for _, p := range all {
		out = append(out, openapi.Pin{Line: p.Line, Group: p.Group, Deleted: p.Deleted})
	}
	return out
}

func pinsOf(all []openapi.Pin) (out []portal.Pin) {
	for _, p := range all {
		out = append(out, portal.Pin{Line: p.Line, Group: p.Group, Deleted: p.Deleted})
	}
	return out
}

func mark(m *portal.Mark) *openapi.Mark {
	if m == nil {
		return nil
	}
	return &openapi.Mark{What: openapi.Removal(m.What), State: openapi.MarkState(m.State), Decision: m.Decision, At: m.At}
}

// markOf reads a mark; nil clears it.
func markOf(m *openapi.Mark) *portal.Mark {
	if m == nil {
		return nil
	}
	return &portal.Mark{What: portal.Removal(m.What), State: portal.MarkState(m.State), Decision: m.Decision, At: m.At}
}

// owner returns nil for a record without an owner.
func owner(o portal.Owner) *openapi.Owner {
	if o.UID == "" {
		return nil
	}
	return &openapi.Owner{UID: o.UID, Name: o.Name, Revision: o.Revision, Binding: o.Binding}
}

// list never returns nil: on the wire, an empty list is [] and not null.
func list(values []string) []string { return append([]string{}, values...) }

func poolResponse(p *store.Pool) openapi.PoolJSONResponse {
	return openapi.PoolJSONResponse{Body: pool(p), Headers: openapi.PoolResponseHeaders{ETag: tag(p.Revision)}}
}

func configuration(c *store.Configuration) openapi.IdentityConfiguration {
	wire := openapi.IdentityConfiguration{
		LoginMethods: openapi.LoginMethods{
			SSO: openapi.SSO{Enabled: c.SSO.Enabled, Type: openapi.SSOType(c.SSO.Type), Issuer: c.SSO.Issuer, ClientID: c.SSO.ClientID,
				ClientSecretSet: c.ClientSecretSet, MetadataURL: c.SSO.MetadataURL},
			SCIM: openapi.SCIM{Enabled: c.SCIMEnabled, ProvisionExistingUsers: c.ProvisionExistingUsers, ProvisionGroups: c.ProvisionGroups},
		},
		ManagedElsewhere: c.ManagedElsewhere, Revision: c.Revision,
	}
	if b := c.Binding; b != nil {
		wire.SCIMBaseURL = b.SCIMBaseURL
		wire.Binding = &openapi.Binding{ID: b.ID, Cluster: b.Cluster, Namespace: b.Namespace, Name: b.Name, UID: b.UID,
			ProviderType: b.ProviderType, ProviderName: b.ProviderName, SCIMBaseURL: b.SCIMBaseURL}
	}
	return wire
}

func configurationResponse(c *store.Configuration, report *store.MigrationReport) openapi.IdentityConfigurationJSONResponse {
	body := configuration(c)
	if report != nil {
		wire := migrationReport(report)
		body.Report = &wire
	}
	return openapi.IdentityConfigurationJSONResponse{Body: body, Headers: openapi.IdentityConfigurationResponseHeaders{ETag: tag(c.Revision)}}
}

func migrationReport(r *store.MigrationReport) openapi.MigrationReport {
	return openapi.MigrationReport{
		Waiting: users(r.Waiting), Unmatched: users(r.Unmatched), LosingManager: users(r.LosingManager),
		WaitingCount: r.WaitingCount, UnmatchedCount: r.UnmatchedCount, LosingManagerCount: r.LosingManagerCount, Migrated: r.Migrated,
	}
}

func loginMethods(m openapi.LoginMethods) portal.LoginMethods {
	return portal.LoginMethods{
		SSO: portal.SSO{Enabled: m.SSO.Enabled, Type: string(m.SSO.Type), Issuer: m.SSO.Issuer, ClientID: m.SSO.ClientID,
			ClientSecret: m.SSO.ClientSecret, MetadataURL: m.SSO.MetadataURL},
		SCIMEnabled: m.SCIM.Enabled, ProvisionExistingUsers: m.SCIM.ProvisionExistingUsers, ProvisionGroups: m.SCIM.ProvisionGroups,
	}
}

func apiKey(k *store.APIKey) openapi.APIKey {
	return openapi.APIKey{ID: k.ID, Name: k.Name, Scope: openapi.Scope(k.Scope), ProviderType: k.Provider.Type, ProviderName: k.Provider.Name, CreatedAt: k.CreatedAt, CreatedBy: k.CreatedBy,
		ExpiresAt: moment(k.ExpiresAt), LastUsedAt: moment(k.LastUsedAt)}
}

func auditEvent(e store.AuditEvent) openapi.AuditEvent {
	wire := openapi.AuditEvent{
		ID: e.ID, At: e.At, ActorKind: string(e.ActorKind), Actor: e.ActorName, Action: e.Action, TargetKind: e.TargetKind, TargetID: e.TargetID,
		TargetName: e.TargetName, Outcome: "Done", Code: string(e.Code), Message: e.Message, Changes: []openapi.AuditChange{}, RequestID: e.RequestID,
	}
	if e.Refused() {
		wire.Outcome = "Refused"
	}
	for _, c := range e.Changes {
		wire.Changes = append(wire.Changes, openapi.AuditChange(c))
	}
	return wire
}

func change(c store.Change) openapi.Change {
	wire := openapi.Change{Sequence: c.Sequence, Kind: openapi.ChangeKind(c.Kind), ID: c.ID, Gone: c.Gone}
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

// tag is the entity tag of a revision.
func tag(revision int64) string { return `"` + strconv.FormatInt(revision, 10) + `"` }

// revision reads If-Match. It returns nil if the header is absent or *.
func revision(ifMatch *string) (*int64, error) {
	if ifMatch == nil || strings.TrimSpace(*ifMatch) == "*" {
		return nil, nil
	}
	text := strings.Trim(strings.TrimPrefix(strings.TrimSpace(*ifMatch), "W/"), `"`)
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return nil, refusal(http.StatusBadRequest, portal.CodeInvalid, `If-Match must be one entity tag as read, such as "3"`)
	}
	return &n, nil
}

// decidedOn reads the preconditions of a write: the revision that the decision was based on, 0 for
// "no record" (If-None-Match: *), or nil without preconditions.
func decidedOn(ifMatch *string, ifNoneMatch *openapi.IfNoneMatch) (*int64, error) {
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
