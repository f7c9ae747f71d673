package rest

import (
	"slices"
	"strconv"

	"lightrun.com/scim-operator/internal/portal"
	"lightrun.com/scim-operator/internal/portal/openapi"
)

func account(u *openapi.User) *portal.Account {
	a := &portal.Account{
		ID: u.ID, UserName: u.UserName, DisplayName: u.DisplayName, GivenName: u.GivenName, FamilyName: u.FamilyName, Email: u.Email,
		ExternalID: u.ExternalID, Status: portal.Status(u.Status), ManagedBy: portal.ManagedBy(u.ManagedBy), HandedOver: u.HandedOver, Held: portal.Removal(u.Held),
		DeactivatedBy: portal.ManagedBy(u.DeactivatedBy), Pools: make([]string, len(u.Pools)), Roles: list(u.Roles), Revision: u.Revision,
	}
	for i, p := range u.Pools {
		a.Pools[i] = p.ID
	}
	slices.Sort(a.Pools)
	slices.Sort(a.Roles)
	if u.Owner != nil {
		a.Owner = portal.Owner{UID: u.Owner.UID, SCIMID: u.Owner.SCIMID, Revision: u.Owner.Revision}
	}
	if u.WaitingFor != nil {
		a.WaitingFor = portal.Owner{UID: u.WaitingFor.UID, SCIMID: u.WaitingFor.SCIMID}
	}
	return a
}

func pool(p *openapi.Pool) *portal.Pool {
	roles := list(p.Roles)
	slices.Sort(roles)
	return &portal.Pool{ID: p.ID, Name: p.Name, Description: p.Description, Roles: roles, Default: p.Default, OwnerUID: p.OwnerUID,
		Held: portal.Removal(p.Held), HeldAt: p.HeldAt, Members: p.MemberCount, Revision: p.Revision}
}

func configuration(c *openapi.IdentityConfiguration) *portal.Configuration {
	m := c.LoginMethods
	f := &portal.Configuration{
		LoginMethods: portal.LoginMethods{
			SSO:         portal.SSO{Enabled: m.SSO.Enabled, Type: string(m.SSO.Type), Issuer: m.SSO.Issuer, ClientID: m.SSO.ClientID, MetadataURL: m.SSO.MetadataURL},
			SCIMEnabled: m.SCIM.Enabled, ProvisionExistingUsers: m.SCIM.ProvisionExistingUsers, ProvisionGroups: m.SCIM.ProvisionGroups,
		},
		ManagedElsewhere: c.ManagedElsewhere, Revision: c.Revision,
	}
	if b := c.Binding; b != nil {
		f.Binding = &portal.Binding{Cluster: b.Cluster, Namespace: b.Namespace, Name: b.Name, UID: b.UID,
			ProviderType: b.ProviderType, ProviderName: b.ProviderName, SCIMBaseURL: b.SCIMBaseURL}
	}
	return f
}

func loginMethods(m portal.LoginMethods) openapi.LoginMethods {
	return openapi.LoginMethods{
		SSO: openapi.SSO{Enabled: m.SSO.Enabled, Type: openapi.SSOType(m.SSO.Type), Issuer: m.SSO.Issuer, ClientID: m.SSO.ClientID,
			ClientSecret: m.SSO.ClientSecret, MetadataURL: m.SSO.MetadataURL},
		SCIM: openapi.SCIM{Enabled: m.SCIMEnabled, ProvisionExistingUsers: m.ProvisionExistingUsers, ProvisionGroups: m.ProvisionGroups},
	}
}

func change(c *openapi.Change) portal.Change {
	out := portal.Change{Sequence: c.Sequence, Kind: portal.ChangeKind(c.Kind), ID: c.ID, Gone: c.Gone}
	if c.User != nil {
		out.Account = account(c.User)
	}
	if c.Pool != nil {
		out.Pool = pool(c.Pool)
	}
	if c.Configuration != nil {
		out.Configuration = configuration(c.Configuration)
	}
	return out
}

// list is never nil: on the wire an empty list is [] and not null.
func list(values []string) []string { return append([]string{}, values...) }

// ifMatch is the precondition of a write that was decided on a record at the revision.
func ifMatch(revision *int64) *openapi.IfMatch {
	if revision == nil || *revision == 0 {
		return nil
	}
	tag := strconv.Quote(strconv.FormatInt(*revision, 10))
	return &tag
}

// ifNoneMatch is the precondition of a write that was decided on there being no such record.
func ifNoneMatch(revision *int64) *openapi.IfNoneMatch {
	if revision == nil || *revision != 0 {
		return nil
	}
	every := "*"
	return &every
}
