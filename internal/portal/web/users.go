// SPDX-License-Identifier: Apache-2.0

package web

import (
	"cmp"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"lightrun.com/scim-operator/internal/kernel/portalapi"
	"lightrun.com/scim-operator/internal/portal/store"
)

const (
	// perPage is the number of rows in a list.
	perPage = 50
	// historyLines is the number of events on a user's page.
	historyLines = 15
)

// poolsShown is the number of a user's pools in the list.
const poolsShown = 3

// poolNames is the number of pool names that the filter of the list proposes.
const poolNames = 500

// userList is the content of the page User Management.
type userList struct {
	SCIM        bool
	Provider    string
	Badge       string // of SCIM-managed users: the provider's name
	Query       userQuery
	Filtered    bool
	UnknownPool bool // the filter names no pool
	Users       []store.Account
	Pools       []string // names for the filter
	Roles       []portalapi.Role
	Columns     []column
	HeldCount   int    // users with a held removal, on all pages
	First, Next string // links; empty if there is no such page
	Partial     bool   // the page stopped before it was full; Next continues the search
}

// column is a column by which the list can be sorted.
type column struct{ Title, Link, Sorted string }

// userQuery contains the filters of the list, as in the URL. Pool is an id, In a name.
type userQuery struct{ Text, ManagedBy, Status, Pool, In, Role, Held, Sort string }

func (q userQuery) values() url.Values {
	v := url.Values{}
	for name, value := range map[string]string{"q": q.Text, "managedBy": q.ManagedBy, "status": q.Status, "pool": q.Pool, "in": q.In, "role": q.Role, "held": q.Held, "sort": q.Sort} {
		if value != "" {
			v.Set(name, value)
		}
	}
	return v
}

// sorted returns the link of the column with the field, and how the list is sorted by it: the
// values of aria-sort. A second click on a column turns the order.
func (q userQuery) sorted(title, field string) column {
	c, next := column{Title: title}, q
	switch q.Sort {
	case field:
		c.Sorted, next.Sort = "ascending", "-"+field
	case "-" + field:
		c.Sorted, next.Sort = "descending", field
	default:
		next.Sort = field
	}
	c.Link = link("/users", next.values())
	return c
}

func (s *site) users(v *visit) error {
	q := userQuery{Text: strings.TrimSpace(v.FormValue("q")), ManagedBy: v.FormValue("managedBy"), Status: v.FormValue("status"), Pool: v.FormValue("pool"),
		In: strings.TrimSpace(v.FormValue("in")), Role: v.FormValue("role"), Held: v.FormValue("held"), Sort: v.FormValue("sort")}
	config, err := s.store.Configuration(v.Context())
	if err != nil {
		return err
	}
	list := userList{SCIM: config.SCIMEnabled, Provider: providerName(config), Badge: cmp.Or(config.Provider(), "SCIM"), Filtered: len(q.values()) > 0}
	poolID, err := s.filterPool(v, &q)
	if err != nil {
		return err
	}
	list.Query, list.UnknownPool = q, q.In != "" && poolID == ""
	list.Columns = []column{q.sorted("User", ""), q.sorted("Last sign-in", string(store.ByLastSignIn))}
	if !list.UnknownPool {
		field, descending := strings.CutPrefix(q.Sort, "-")
		page, err := s.store.Users(v.Context(), store.UserQuery{Text: q.Text, ManagedBy: portalapi.ManagedBy(q.ManagedBy), Status: portalapi.Status(q.Status),
			PoolID: poolID, Role: q.Role, Held: q.Held != "", Sort: store.UserSort(field), Descending: descending, After: v.FormValue("after"), Limit: perPage})
		if err != nil {
			return err
		}
		list.Users, list.Partial = page.Users, page.Next != "" && len(page.Users) < perPage
		if page.Next != "" {
			values := q.values()
			values.Set("after", page.Next)
			list.Next = link("/users", values)
		}
	}
	if v.FormValue("after") != "" {
		list.First = link("/users", q.values())
	}
	if list.HeldCount, err = s.store.CountAccounts(v.Context(), store.AccountFilter{Held: true}); err != nil {
		return err
	}
	if list.Pools, err = s.store.PoolNames(v.Context(), poolNames); err != nil {
		return err
	}
	if list.Roles, err = s.store.Roles(v.Context()); err != nil {
		return err
	}
	return s.show(v, http.StatusOK, "users", view{Title: "User Management", Section: "users", Body: list})
}

// filterPool returns the id of the pool by which the list is filtered: empty if it names none. A
// pool in a link, by its id, becomes the name in the filter.
func (s *site) filterPool(v *visit, q *userQuery) (string, error) {
	switch {
	case q.In != "":
		q.Pool = ""
		pool, err := s.store.PoolByName(v.Context(), q.In)
		if err != nil || pool == nil {
			return "", err
		}
		return pool.ID, nil
	case q.Pool != "":
		pool, err := s.store.Pool(v.Context(), q.Pool)
		if err != nil {
			return "", err
		}
		q.Pool, q.In = "", pool.Name
		return pool.ID, nil
	}
	return "", nil
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
	Own         bool // the account is the viewer's
	SCIM        bool // SCIM is on
	Provider    string
	CanHandOver bool // the viewer may hand the account over, or take it back
	CanErase    bool // the user left, so a manager may erase the account
	Roles       []roleOrigin
	Pools       []poolOrigin
	CanLink     bool // the viewer may link an identity at the provider
	Identities  []store.BoundIdentity
	Sessions    []store.Session
	Factor      *store.SecondFactor
	Current     string   // the id of the viewer's own session
	Decide      decision // about the held removal
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
	body.CanErase = account.Erasable() == nil
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
	factor, err := s.store.SecondFactor(v.Context(), account.ID)
	if err != nil {
		return nil, err
	}
	own := account.ID == v.session.Account.ID
	return &userDetail{User: account, Own: own, SCIM: config.SCIMEnabled, Provider: providerName(config),
		Roles: origins(account, catalogue), Pools: ways(account), Factor: factor,
		Identities: identities, CanLink: own && config.SSO.Enabled && account.ManagedBy == portalapi.ManagedByLocal && len(identities) == 0 && account.HasPassword(),
		Sessions: sessions, Current: v.session.ID, Decide: commands(operatorNamespace(config), "scimuser", account.Mark)}, nil
}

// poolOrigin is a pool of a user, with how the user got in.
type poolOrigin struct {
	store.PoolRef
	How string
}

// ways returns how the account got into each of its pools.
func ways(account *store.Account) []poolOrigin {
	all := make([]poolOrigin, len(account.PoolRefs))
	for i, p := range account.PoolRefs {
		how := "Added by a manager in this portal"
		switch {
		case p.Default:
			how = "Every active user is a member"
		case p.ByOwner():
			how = "Through the AgentPool object, which names the user or a group of the identity provider"
		case account.Owner.UID != "":
			how = "Not from Kubernetes: the operator removes this membership"
		}
		all[i] = poolOrigin{p, how}
	}
	return all
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
