// SPDX-License-Identifier: Apache-2.0

package web

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"lightrun.com/scim-operator/internal/kernel/names"
	"lightrun.com/scim-operator/internal/kernel/portalapi"
	"lightrun.com/scim-operator/internal/portal/store"
)

const (
	// perPage is the number of rows in a list.
	perPage = 50
	// historyLines is the number of events on a user's page.
	historyLines = 15
)

// userList is the content of the page User Management.
type userList struct {
	SCIM        bool
	Provider    string
	Query       userQuery
	Filtered    bool
	PoolName    string
	Users       []store.Account
	HeldCount   int    // users with a held removal, on all pages
	First, Next string // links; empty if there is no such page
}

// userQuery contains the filters of the list, as in the URL.
type userQuery struct{ Text, ManagedBy, Status, Pool, Held string }

func (q userQuery) values() url.Values {
	v := url.Values{}
	for name, value := range map[string]string{"q": q.Text, "managedBy": q.ManagedBy, "status": q.Status, "pool": q.Pool, "held": q.Held} {
		if value != "" {
			v.Set(name, value)
		}
	}
	return v
}

func (s *site) users(v *visit) error {
	q := userQuery{strings.TrimSpace(v.FormValue("q")), v.FormValue("managedBy"), v.FormValue("status"), v.FormValue("pool"), v.FormValue("held")}
	config, err := s.store.Configuration(v.Context())
	if err != nil {
		return err
	}
	list := userList{SCIM: config.SCIMEnabled, Provider: providerName(config), Query: q, Filtered: len(q.values()) > 0}
	if q.Pool != "" {
		pool, err := s.store.Pool(v.Context(), q.Pool)
		if err != nil {
			return err
		}
		list.PoolName = pool.Name
	}
	after, err := s.nameOf(v, v.FormValue("after"))
	if err != nil {
		return err
	}
	f := store.AccountFilter{ManagedBy: portalapi.ManagedBy(q.ManagedBy), Status: portalapi.Status(q.Status), PoolID: q.Pool, Search: q.Text, Held: q.Held != "", ByName: true}
	page, next, err := s.store.Accounts(v.Context(), f, after, perPage)
	if err != nil {
		return err
	}
	list.Users = page
	if list.HeldCount, err = s.store.CountAccounts(v.Context(), store.AccountFilter{Held: true}); err != nil {
		return err
	}
	if after != "" {
		list.First = link("/users", q.values())
	}
	if next != "" {
		values := q.values()
		values.Set("after", page[len(page)-1].ID)
		list.Next = link("/users", values)
	}
	return s.show(v, http.StatusOK, "users", view{Title: "User Management", Section: "users", Body: list})
}

// nameOf converts the id of a page's last user to the list's cursor. URLs contain ids, not names.
// If that user was deleted in the meantime, the first page is shown.
func (s *site) nameOf(v *visit, id string) (string, error) {
	if id == "" {
		return "", nil
	}
	account, err := s.store.Account(v.Context(), id)
	if portalapi.CodeOf(err) == portalapi.CodeNotFound {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	return names.Fold(account.UserName), nil
}

func link(path string, values url.Values) string {
	if len(values) == 0 {
		return path
	}
	return path + "?" + values.Encode()
}

// providerName returns the name of the identity provider for the middle of a sentence.
func providerName(c *store.Configuration) string {
	if name := c.Provider(); name != "" {
		return name
	}
	return "your identity provider"
}

// userDetail is the content of a user's page: for managers, and for the user.
type userDetail struct {
	User        *store.Account
	Manage      bool // the viewer is on the managers' page
	SCIM        bool // SCIM is on
	Provider    string
	CanHandOver bool // the viewer may hand the account over, or take it back
	Roles       []roleOrigin
	Pools       []store.PoolRef
	CanLink     bool // the viewer may link an identity at the provider
	Identities  []store.BoundIdentity
	Sessions    []store.Session
	Current     string // the id of the viewer's own session
	History     []store.AuditEvent
}

// roleOrigin is an effective role with its origin.
type roleOrigin struct{ Name, Description, From string }

func (s *site) user(v *visit) error { return s.showUser(v, http.StatusOK, "") }

// showUser shows the managers' page of a user, with the reason of a refusal.
func (s *site) showUser(v *visit, status int, problem string) error {
	account, err := s.store.Account(v.Context(), v.PathValue("id"))
	if err != nil {
		return err
	}
	body, err := s.userDetail(v, account)
	if err != nil {
		return err
	}
	body.Manage = true
	body.CanHandOver = account.ManagedBy == portalapi.ManagedByLocal && (body.SCIM || account.HandedOver)
	if body.History, err = s.store.AuditEvents(v.Context(), store.AuditFilter{TargetID: account.ID}, 0, historyLines); err != nil {
		return err
	}
	return s.show(v, status, "user", view{Title: displayName(account), Section: "users", Crumbs: way(displayName(account), toUsers), Problem: problem, Body: body})
}

// profile returns the page that every user has about their own account.
func (s *site) profile(v *visit) error { return s.showProfile(v, http.StatusOK, "") }

// showProfile shows the viewer's own page, with the reason of a refusal.
func (s *site) showProfile(v *visit, status int, problem string) error {
	body, err := s.userDetail(v, v.session.Account)
	if err != nil {
		return err
	}
	return s.show(v, status, "user", view{Title: "My profile", Section: "profile", Problem: problem, Body: body})
}

func (s *site) userDetail(v *visit, account *store.Account) (*userDetail, error) {
	config, err := s.store.Configuration(v.Context())
	if err != nil {
		return nil, err
	}
	catalogue, err := s.store.Roles(v.Context())
	if err != nil {
		return nil, err
	}
	sessions, err := s.store.Sessions(v.Context(), account)
	if err != nil {
		return nil, err
	}
	identities, err := s.store.Identities(v.Context(), account.ID)
	if err != nil {
		return nil, err
	}
	return &userDetail{User: account, Identities: identities,
		CanLink: config.SSO.Enabled && account.ID == v.session.Account.ID && account.ManagedBy == portalapi.ManagedByLocal && len(identities) == 0, Sessions: sessions, Current: v.session.ID, Provider: providerName(config), Roles: origins(account, catalogue), Pools: account.PoolRefs, SCIM: config.SCIMEnabled}, nil
}

// origins returns the origin of each effective role of the account.
func origins(account *store.Account, catalogue []portalapi.Role) []roleOrigin {
	all := make([]roleOrigin, 0, len(account.Roles))
	for _, role := range account.Roles {
		var from []string
		if role == portalapi.RoleUser {
			from = append(from, "Every user has it")
		}
		var pools []string
		for _, p := range account.PoolRefs {
			if slices.Contains(p.Roles, role) {
				pools = append(pools, p.Name)
			}
		}
		if len(pools) > 0 {
			from = append(from, "From "+strings.Join(pools, ", "))
		}
		if slices.Contains(account.DirectRoles, role) {
			from = append(from, "Granted to this account only")
		}
		all = append(all, roleOrigin{Name: role, Description: described(catalogue, role), From: strings.Join(from, " · ")})
	}
	return all
}

func described(catalogue []portalapi.Role, name string) string {
	for _, r := range catalogue {
		if r.Name == name {
			return r.Description
		}
	}
	return ""
}
