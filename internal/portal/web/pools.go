// SPDX-License-Identifier: Apache-2.0

package web

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"lightrun.com/scim-operator/internal/kernel/portalapi"
	"lightrun.com/scim-operator/internal/kernel/shell"
	"lightrun.com/scim-operator/internal/portal/store"
)

// membersShown is the number of members on one page of a pool.
const membersShown = 20

// poolList is the content of the page Agent Pools.
type poolList struct {
	Text        string // filter
	Pools       []store.Pool
	Held        int // number of pools with a held change, on all pages
	Decide      decision
	First, Next string // links; empty if there is no such page
}

func (s *site) pools(v *visit) error {
	list, after := poolList{Text: strings.TrimSpace(v.FormValue("q"))}, v.FormValue("after")
	page, next, err := s.store.PoolPage(v.Context(), list.Text, after, perPage)
	if err != nil {
		return err
	}
	list.Pools = page
	values := url.Values{}
	if list.Text != "" {
		values.Set("q", list.Text)
	}
	if after != "" {
		list.First = link("/pools", values)
	}
	if next != "" {
		values.Set("after", next)
		list.Next = link("/pools", values)
	}
	held, err := s.store.HeldPools(v.Context())
	if err != nil {
		return err
	}
	list.Held = len(held)
	mark := &portalapi.Mark{At: "NAME"}
	if len(held) == 1 {
		mark = held[0].Mark
	}
	config, err := s.store.Configuration(v.Context())
	if err != nil {
		return err
	}
	list.Decide = commands(operatorNamespace(config), "agentpool", mark)
	return s.show(v, http.StatusOK, "pools", view{Title: "Agent Pools", Section: "pools", Body: list})
}

// decision contains the commands with which a person decides about a held change.
type decision struct{ Release, Drop string }

// operatorNamespace returns the namespace of the connected operator: empty if there is none.
func operatorNamespace(c *store.Configuration) string {
	if c.Binding == nil {
		return ""
	}
	return c.Binding.Namespace
}

// commands returns the commands for the object of the mark, about exactly the marked removal if it
// has an id: another set of users has another id and stays held. A mark that does not name its
// object has none.
func commands(namespace, kind string, m *portalapi.Mark) decision {
	if m == nil || m.At == "" {
		return decision{}
	}
	about := []string{m.At}
	if m.Decision != "" {
		about = []string{kind + "/" + m.At, "--id", m.Decision}
	}
	command := func(verb string) string { return shell.Scim(namespace, append([]string{verb}, about...)...) }
	return decision{command("release"), command("drop")}
}

// poolDetail is the content of a pool's page.
type poolDetail struct {
	Pool    *store.Pool
	Members []poolMember
	Keys    []store.PoolKey
	Decide  decision // about the held change

	CanHandOver bool // the pool is managed in the portal, and an AgentPool could manage it

	First, Next string // links to other members; empty if there is no such page
}

// poolMember is a member of a pool, with what added the user.
type poolMember struct {
	store.Account
	How string
}

// addedBy returns what added the account to the pool, in a few words. The user's page has more.
func addedBy(account *store.Account, p store.PoolRef) string {
	switch {
	case p.Default:
		return "The portal: all active users"
	case p.ByOwner():
		return "The AgentPool"
	case account.Owner.UID != "":
		return "Not the AgentPool: the operator removes it"
	}
	return "A manager"
}

func (s *site) pool(v *visit) error { return s.showPool(v, http.StatusOK, "") }

func (s *site) showPool(v *visit, status int, problem string) error {
	pool, err := s.store.Pool(v.Context(), v.PathValue("id"))
	if err != nil {
		return err
	}
	body := poolDetail{Pool: pool}
	if err := s.members(v, &body); err != nil {
		return err
	}
	if body.Keys, err = s.store.PoolKeys(v.Context(), pool.ID); err != nil {
		return err
	}
	config, err := s.store.Configuration(v.Context())
	if err != nil {
		return err
	}
	body.Decide = commands(operatorNamespace(config), "agentpool", pool.Mark)
	body.CanHandOver = !pool.Default && pool.Owner.UID == "" && (config.SCIMEnabled || pool.HandedOver)
	return s.show(v, status, "pool", view{Title: pool.Name, Section: "pools", Crumbs: way(pool.Name, toPools), Problem: problem, Body: body})
}

// members reads one page of the pool's members.
func (s *site) members(v *visit, body *poolDetail) error {
	after, path := "", "/pools/"+body.Pool.ID
	if v.Method == http.MethodGet {
		after = v.FormValue("after")
	}
	page, err := s.store.Users(v.Context(), store.UserQuery{PoolID: body.Pool.ID, After: after, Limit: membersShown})
	if err != nil {
		return err
	}
	for i := range page.Users {
		u := &page.Users[i]
		at := slices.IndexFunc(u.PoolRefs, func(p store.PoolRef) bool { return p.ID == body.Pool.ID })
		body.Members = append(body.Members, poolMember{*u, addedBy(u, u.PoolRefs[at])})
	}
	if after != "" {
		body.First = path
	}
	if page.Next != "" {
		body.Next = link(path, url.Values{"after": {page.Next}})
	}
	return nil
}

// poolForm is the form for a new or an existing pool.
type poolForm struct {
	Heading, Submit, Action, Back string
	Pool                          *store.Pool
	Roles                         []roleChoice
}

func (s *site) newPool(v *visit) error { return s.askPool(v, http.StatusOK, "", &store.Pool{}) }

func (s *site) createPool(v *visit) error {
	n := store.NewPool{Name: v.text("name"), Description: v.text("description"), Roles: v.PostForm["roles"]}
	pool, err := s.store.CreatePool(v.Context(), v.actor(), n)
	if e := asRefusal(err); e != nil {
		return s.askPool(v, e.Status, sentenceOf(e.Message), v.typedPool(&store.Pool{}))
	}
	if err != nil {
		return err
	}
	return s.done(v, "pool-created", "/pools/"+pool.ID)
}

// typedPool returns base with the values of the form.
func (v *visit) typedPool(base *store.Pool) *store.Pool {
	typed := *base
	typed.Name, typed.Description, typed.Roles = v.text("name"), v.text("description"), v.PostForm["roles"]
	return &typed
}

func (s *site) editPool(v *visit) error {
	pool, err := s.store.Pool(v.Context(), v.PathValue("id"))
	if err != nil {
		return err
	}
	if pool.ReadOnly {
		return s.showPool(v, http.StatusConflict, sentenceOf(pool.ReadOnlyReason))
	}
	return s.askPool(v, http.StatusOK, "", pool)
}

// updatePool saves the pool, or first shows what the change gives to members and takes from them.
func (s *site) updatePool(v *visit) error {
	id := v.PathValue("id")
	name, description, roles := v.text("name"), v.text("description"), v.PostForm["roles"]
	if v.PostFormValue("action") == "edit" {
		pool, err := s.store.Pool(v.Context(), id)
		if err != nil {
			return err
		}
		return s.askPool(v, http.StatusOK, "", v.typedPool(pool))
	}
	revision, err := v.revision()
	var unseen *store.PoolEffects
	if err == nil {
		unseen, err = s.store.UpdateSeenPool(v.Context(), v.actor(), id, revision, store.PoolPatch{Name: &name, Description: &description, Roles: &roles}, v.PostFormValue("seen"))
	}
	e := asRefusal(err)
	switch {
	case err == nil && unseen != nil:
		return s.summarizePool(v, id, unseen)
	case err == nil:
		return s.done(v, "pool-saved", "/pools/"+id)
	case e == nil, e.Code == portalapi.CodeNotFound:
		return err
	case e.Code == portalapi.CodeReadOnly:
		return s.showPool(v, e.Status, sentenceOf(e.Message))
	}
	pool, err := s.store.Pool(v.Context(), id)
	switch {
	case err != nil:
		return err
	case e.Code == portalapi.CodeStaleRevision:
		return s.askPool(v, e.Status, changedMeanwhile, pool)
	}
	return s.askPool(v, e.Status, sentenceOf(e.Message), v.typedPool(pool))
}

// poolSummary is the page that shows the effects of a change, or of the deletion, before it is
// carried out.
type poolSummary struct {
	Pool    *store.Pool
	Delete  bool
	Effects *store.PoolEffects
	Keys    int  // keys of the pool, which end with a deletion
	Again   bool // the effects have changed since they were shown

	Heading, Submit, Action, Back string

	Fields []hiddenField
}

type hiddenField struct{ Name, Value string }

func (s *site) summarizePool(v *visit, id string, effects *store.PoolEffects) error {
	pool, err := s.store.Pool(v.Context(), id)
	if err != nil {
		return err
	}
	path := "/pools/" + id
	body := poolSummary{Pool: pool, Effects: effects, Again: v.PostFormValue("seen") != "", Heading: "Check what changes for " + pool.Name, Submit: "Save these changes", Action: path, Back: path}
	for _, field := range []string{"revision", "name", "description", "roles"} {
		for _, value := range v.PostForm[field] {
			body.Fields = append(body.Fields, hiddenField{field, value})
		}
	}
	return s.show(v, http.StatusOK, "pool_summary", view{Title: body.Heading, Section: "pools", Crumbs: way("Check what changes", toPools, pool.Name+"|"+path), Body: body})
}

// handOverPool allows an AgentPool object to adopt the pool, or revokes that.
func (s *site) handOverPool(v *visit) error {
	over := v.PostFormValue("handedOver") == "true"
	notice := "pool-taken-back"
	if over {
		notice = "pool-handed-over"
	}
	id := v.PathValue("id")
	revision, err := v.revision()
	if err == nil {
		_, err = s.store.UpdatePool(v.Context(), v.actor(), id, revision, store.PoolPatch{HandedOver: &over})
	}
	e := asRefusal(err)
	switch {
	case err == nil:
		return s.done(v, notice, "/pools/"+id)
	case e == nil, e.Code == portalapi.CodeNotFound:
		return err
	case e.Code == portalapi.CodeStaleRevision:
		return s.showPool(v, e.Status, changedMeanwhile)
	}
	return s.showPool(v, e.Status, sentenceOf(e.Message))
}

func (s *site) askPool(v *visit, status int, problem string, pool *store.Pool) (err error) {
	f := poolForm{Heading: "Add an agent pool", Submit: "Create pool", Action: "/pools", Back: "/pools", Pool: pool}
	crumbs := way("Add", toPools)
	if pool.ID != "" {
		f.Heading, f.Submit = "Edit "+pool.Name, "Save"
		f.Action, f.Back = "/pools/"+pool.ID, "/pools/"+pool.ID
		crumbs = way("Edit", toPools, pool.Name+"|"+f.Back)
	}
	if f.Roles, err = s.roleChoices(v, pool.Roles); err != nil {
		return err
	}
	return s.show(v, status, "pool_form", view{Title: f.Heading, Section: "pools", Crumbs: crumbs, Problem: problem, Body: f})
}

func (s *site) confirmDeletePool(v *visit) error { return s.askDeletePool(v, http.StatusOK, false) }

// askDeletePool shows what the deletion takes away. again says that this has changed since it was
// shown.
func (s *site) askDeletePool(v *visit, status int, again bool) error {
	id := v.PathValue("id")
	pool, effects, err := s.store.DeletionEffects(v.Context(), id)
	e := asRefusal(err)
	switch {
	case e != nil && e.Code != portalapi.CodeNotFound:
		return s.showPool(v, e.Status, sentenceOf(e.Message))
	case err != nil:
		return err
	}
	keys, err := s.store.PoolKeys(v.Context(), id)
	if err != nil {
		return err
	}
	path := "/pools/" + id
	body := poolSummary{Pool: pool, Delete: true, Effects: effects, Keys: len(keys), Again: again, Heading: "Delete the agent pool " + pool.Name + "?", Submit: "Delete pool", Action: path + "/delete", Back: path,
		Fields: []hiddenField{{"revision", strconv.FormatInt(pool.Revision, 10)}}}
	return s.show(v, status, "pool_summary", view{Title: "Delete " + pool.Name, Section: "pools", Crumbs: way("Delete", toPools, pool.Name+"|"+path), Body: body})
}

func (s *site) deletePool(v *visit) error {
	revision, err := v.revision()
	if err == nil {
		err = s.store.DeleteSeenPool(v.Context(), v.actor(), v.PathValue("id"), revision, v.PostFormValue("seen"))
	}
	e := asRefusal(err)
	switch {
	case err == nil:
		return s.done(v, "pool-deleted", "/pools")
	case e == nil, e.Code == portalapi.CodeNotFound:
		return err
	case e.Code == portalapi.CodeStaleRevision:
		return s.askDeletePool(v, e.Status, true)
	}
	return s.showPool(v, e.Status, sentenceOf(e.Message))
}
