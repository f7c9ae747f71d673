// SPDX-License-Identifier: Apache-2.0

package web

import (
	"net/http"
	"net/url"
	"strings"

	"lightrun.com/scim-operator/internal/kernel/portalapi"
	"lightrun.com/scim-operator/internal/kernel/shell"
	"lightrun.com/scim-operator/internal/portal/store"
)

// membersShown is the number of members on a pool's page; User Management lists all of them.
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
	name := "NAME"
	if len(held) == 1 {
		name = held[0].Mark.At
	}
	if list.Decide, err = s.decisionAbout(v, name); err != nil {
		return err
	}
	return s.show(v, http.StatusOK, "pools", view{Title: "Agent Pools", Section: "pools", Body: list})
}

// decision contains the commands with which a person decides about a held change.
type decision struct{ Release, Drop string }

// decisionAbout returns the commands for the AgentPool.
func (s *site) decisionAbout(v *visit, agentPool string) (decision, error) {
	config, err := s.store.Configuration(v.Context())
	if err != nil {
		return decision{}, err
	}
	namespace := ""
	if config.Binding != nil {
		namespace = config.Binding.Namespace
	}
	return decision{shell.Scim(namespace, "release", agentPool), shell.Scim(namespace, "drop", agentPool)}, nil
}

// poolDetail is the content of a pool's page.
type poolDetail struct {
	Pool    *store.Pool
	Members []store.Account
	Decide  decision // about the held change

	CanHandOver bool // the pool is managed in the portal, and an AgentPool could manage it
}

func (s *site) pool(v *visit) error { return s.showPool(v, http.StatusOK, "") }

func (s *site) showPool(v *visit, status int, problem string) error {
	pool, err := s.store.Pool(v.Context(), v.PathValue("id"))
	if err != nil {
		return err
	}
	members, err := s.store.Users(v.Context(), store.UserQuery{PoolID: pool.ID, Limit: membersShown})
	if err != nil {
		return err
	}
	var at string
	if pool.Mark != nil {
		at = pool.Mark.At
	}
	decide, err := s.decisionAbout(v, at)
	if err != nil {
		return err
	}
	config, err := s.store.Configuration(v.Context())
	if err != nil {
		return err
	}
	return s.show(v, status, "pool", view{Title: pool.Name, Section: "pools", Crumbs: way(pool.Name, toPools), Problem: problem, Body: poolDetail{
		Pool: pool, Members: members.Users, Decide: decide,
		CanHandOver: !pool.Default && pool.Owner.UID == "" && (config.SCIMEnabled || pool.HandedOver),
	}})
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

func (s *site) updatePool(v *visit) error {
	id := v.PathValue("id")
	name, description, roles := v.text("name"), v.text("description"), v.PostForm["roles"]
	revision, err := v.revision()
	if err == nil {
		_, err = s.store.UpdatePool(v.Context(), v.actor(), id, revision, store.PoolPatch{Name: &name, Description: &description, Roles: &roles})
	}
	e := asRefusal(err)
	switch {
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

func (s *site) confirmDeletePool(v *visit) error {
	pool, err := s.store.Pool(v.Context(), v.PathValue("id"))
	if err != nil {
		return err
	}
	if pool.ReadOnly {
		return s.showPool(v, http.StatusConflict, sentenceOf(pool.ReadOnlyReason))
	}
	path := "/pools/" + pool.ID
	return s.show(v, http.StatusOK, "confirm", view{Title: "Delete " + pool.Name, Section: "pools", Crumbs: way("Delete", toPools, pool.Name+"|"+path), Body: confirmation{
		Heading: "Delete the agent pool " + pool.Name + "?", Submit: "Delete pool", Action: path + "/delete", Back: path, Revision: pool.Revision,
		Text: []string{"Its members lose the roles that they have only through this pool. This cannot be undone."},
	}})
}

func (s *site) deletePool(v *visit) error {
	revision, err := v.revision()
	if err == nil {
		err = s.store.DeletePool(v.Context(), v.actor(), v.PathValue("id"), revision)
	}
	e := asRefusal(err)
	switch {
	case err == nil:
		return s.done(v, "pool-deleted", "/pools")
	case e == nil, e.Code == portalapi.CodeNotFound:
		return err
	}
	return s.showPool(v, e.Status, sentenceOf(e.Message))
}
