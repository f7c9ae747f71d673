// SPDX-License-Identifier: Apache-2.0

package rest

import (
	"slices"
	"strconv"
	"unique"

	portalv1 "lightrun.com/scim-operator/api/portal/v1"
	"lightrun.com/scim-operator/internal/kernel/portalapi"
)

// account converts an account to the port's form. The mirror keeps all accounts, so recurring
// strings are shared: roles, pools and states of all accounts, and the user name if it equals the
// e-mail address.
func account(u *portalv1.User) *portalapi.Account {
	a := &portalapi.Account{
		ID: u.ID, UserName: u.UserName, DisplayName: u.DisplayName, GivenName: u.GivenName, FamilyName: u.FamilyName, Email: u.Email,
		ExternalID: u.ExternalID, Status: shared(portalapi.Status(u.Status)), ManagedBy: shared(portalapi.ManagedBy(u.ManagedBy)), HandedOver: u.HandedOver, PasswordSet: u.PasswordSet, Mark: mark(u.Mark),
		DeactivatedBy: shared(portalapi.ManagedBy(u.DeactivatedBy)), Pools: make([]string, len(u.Pools)), Roles: make([]string, len(u.Roles)), Revision: u.Revision,
	}
	if a.Email == a.UserName {
		a.Email = a.UserName
	}
	for i, p := range u.Pools {
		a.Pools[i] = shared(p.ID)
	}
	for i, r := range u.Roles {
		a.Roles[i] = shared(r)
	}
	slices.Sort(a.Pools)
	slices.Sort(a.Roles)
	a.DirectRoles, a.Ungranted = sharedSet(u.DirectRoles), sharedSet(u.Ungranted)
	a.Owner = owner(u.Owner)
	if u.WaitingFor != nil {
		a.WaitingFor = portalapi.Owner{UID: u.WaitingFor.UID, Name: u.WaitingFor.Name}
	}
	return a
}

// sharedSet returns the values sorted and shared; nil if there is none.
func sharedSet(values []string) []string {
	if len(values) == 0 {
		return nil
	}
	out := make([]string, len(values))
	for i, v := range values {
		out[i] = shared(v)
	}
	slices.Sort(out)
	return out
}

func mark(m *portalv1.Mark) *portalapi.Mark {
	if m == nil {
		return nil
	}
	return &portalapi.Mark{What: portalapi.Removal(m.What), State: portalapi.MarkState(m.State), Decision: m.Decision, At: m.At}
}

func markOf(m *portalapi.Mark) *portalv1.Mark {
	if m == nil {
		return nil
	}
	return &portalv1.Mark{What: portalv1.Removal(m.What), State: portalv1.MarkState(m.State), Decision: m.Decision, At: m.At}
}

func pins(all []portalv1.Pin) (out []portalapi.Pin) {
	for _, p := range all {
		out = append(out, portalapi.Pin{Line: p.Line, ID: p.ID, Deleted: p.Deleted, Revision: p.Revision})
	}
	return out
}

func pinsOf(all []portalapi.Pin) (out []portalv1.Pin) {
	for _, p := range all {
		out = append(out, portalv1.Pin{Line: p.Line, ID: p.ID, Deleted: p.Deleted, Revision: p.Revision})
	}
	return out
}

func owner(o *portalv1.Owner) portalapi.Owner {
	if o == nil {
		return portalapi.Owner{}
	}
	return portalapi.Owner{UID: o.UID, Name: o.Name, Revision: o.Revision, Binding: shared(o.Binding)}
}

// shared returns one copy of a string, for as long as an account uses it.
func shared[S ~string](text S) S {
	if text == "" {
		return ""
	}
	return S(unique.Make(string(text)).Value())
}

func pool(p *portalv1.Pool) *portalapi.Pool {
	roles := list(p.Roles)
	slices.Sort(roles)
	return &portalapi.Pool{ID: p.ID, Name: p.Name, Description: p.Description, Roles: roles, Ungranted: sharedSet(p.Ungranted),
		Default: p.Default, Owner: owner(p.Owner), Created: p.Created, HandedOver: p.HandedOver,
		Mark: mark(p.Mark), Pins: pins(p.Pins), Members: p.MemberCount, Revision: p.Revision}
}

func configuration(c *portalv1.IdentityConfiguration) *portalapi.Configuration {
	m := c.LoginMethods
	f := &portalapi.Configuration{
		LoginMethods: portalapi.LoginMethods{
			SSO: portalapi.SSO{Enabled: m.SSO.Enabled, Type: string(m.SSO.Type), Issuer: m.SSO.Issuer, ClientID: m.SSO.ClientID,
				MetadataURL: m.SSO.MetadataURL, Metadata: m.SSO.Metadata, IDAttribute: m.SSO.IDAttribute, UserNameAttribute: m.SSO.UserNameAttribute},
			SCIMEnabled: m.SCIM.Enabled, ProvisionExistingUsers: m.SCIM.ProvisionExistingUsers, ProvisionGroups: m.SCIM.ProvisionGroups,
		},
		ManagedElsewhere: c.ManagedElsewhere, PlanRequest: c.PlanRequest, Revision: c.Revision,
	}
	if b := c.Binding; b != nil {
		f.Binding = &portalapi.Binding{ID: b.ID, Cluster: b.Cluster, Namespace: b.Namespace, Name: b.Name, UID: b.UID,
			ProviderType: b.ProviderType, ProviderName: b.ProviderName, SCIMBaseURL: b.SCIMBaseURL}
	}
	return f
}

func loginMethods(m portalapi.LoginMethods) portalv1.LoginMethods {
	return portalv1.LoginMethods{
		SSO: portalv1.SSO{Enabled: m.SSO.Enabled, Type: portalv1.SSOType(m.SSO.Type), Issuer: m.SSO.Issuer, ClientID: m.SSO.ClientID,
			ClientSecret: m.SSO.ClientSecret, MetadataURL: m.SSO.MetadataURL, Metadata: m.SSO.Metadata,
			IDAttribute: m.SSO.IDAttribute, UserNameAttribute: m.SSO.UserNameAttribute},
		SCIM: portalv1.SCIM{Enabled: m.SCIMEnabled, ProvisionExistingUsers: m.ProvisionExistingUsers, ProvisionGroups: m.ProvisionGroups},
	}
}

func change(c *portalv1.Change) portalapi.Change {
	out := portalapi.Change{Sequence: c.Sequence, Kind: portalapi.ChangeKind(c.Kind), ID: c.ID, Gone: c.Gone}
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

// list never returns nil: on the wire, an empty list is [] and not null.
func list(values []string) []string { return append([]string{}, values...) }

// ifMatch returns the precondition that the record has this revision, and nil if there is none.
func ifMatch(revision *int64) *portalv1.IfMatch {
	if revision == nil || *revision == 0 {
		return nil
	}
	tag := strconv.Quote(strconv.FormatInt(*revision, 10))
	return &tag
}

// ifNoneMatch returns the precondition that there is no record, if revision is 0, and nil
// otherwise.
func ifNoneMatch(revision *int64) *portalv1.IfNoneMatch {
	if revision == nil || *revision != 0 {
		return nil
	}
	every := "*"
	return &every
}
