// SPDX-License-Identifier: Apache-2.0

package web

import (
	"net/http"
	"slices"
	"strconv"
	"strings"

	"lightrun.com/scim-operator/internal/kernel/portalapi"
	"lightrun.com/scim-operator/internal/portal/store"
)

// userForm is the form for a new or an existing local user.
type userForm struct {
	Heading, Submit, Action, Back string
	User                          *store.Account // the values of the fields
	Own                           bool           // the viewer edits the own account
	Pools                         []poolChoice
	Roles                         []roleChoice
}

type poolChoice struct {
	store.Pool
	Chosen bool
}

type roleChoice struct {
	portalapi.Role
	Chosen bool
}

func (s *site) newUser(v *visit) error {
	return s.askUser(v, http.StatusOK, "", &store.Account{}, nil)
}

func (s *site) createUser(v *visit) error {
	account, err := s.store.CreateAccount(v.Context(), v.actor(), store.NewAccount{
		UserName: v.text("userName"), DisplayName: v.text("displayName"), GivenName: v.text("givenName"), FamilyName: v.text("familyName"),
		Email: v.text("email"), Password: v.PostFormValue("password"), Pools: v.PostForm["pools"], DirectRoles: v.PostForm["directRoles"],
	})
	if e := asRefusal(err); e != nil {
		return s.askUser(v, e.Status, sentenceOf(e.Message), v.typedUser(&store.Account{}), v.PostForm["pools"])
	}
	if err != nil {
		return err
	}
	return s.done(v, "user-created", "/users/"+account.ID)
}

// typedUser returns base with the values of the form.
func (v *visit) typedUser(base *store.Account) *store.Account {
	typed := *base
	typed.UserName, typed.DisplayName, typed.Email = v.text("userName"), v.text("displayName"), v.text("email")
	typed.GivenName, typed.FamilyName = v.text("givenName"), v.text("familyName")
	typed.DirectRoles = v.PostForm["directRoles"]
	return &typed
}

func (s *site) editUser(v *visit) error {
	account, err := s.store.Account(v.Context(), v.PathValue("id"))
	if err != nil {
		return err
	}
	if account.ReadOnly {
		return s.showUser(v, http.StatusConflict, sentenceOf(account.ReadOnlyReason))
	}
	return s.askUser(v, http.StatusOK, "", account, account.Pools)
}

func (s *site) updateUser(v *visit) error {
	id := v.PathValue("id")
	text := func(name string) *string { t := v.text(name); return &t }
	pools, roles := v.PostForm["pools"], v.PostForm["directRoles"]
	patch := store.AccountPatch{UserName: text("userName"), DisplayName: text("displayName"), GivenName: text("givenName"),
		FamilyName: text("familyName"), Email: text("email"), Pools: &pools, DirectRoles: &roles}
	if password := v.PostFormValue("password"); password != "" {
		patch.Password = &password
	}
	revision, err := v.revision()
	if err == nil {
		_, err = s.store.UpdateAccount(v.Context(), v.actor(), id, revision, patch)
	}
	e := asRefusal(err)
	switch {
	case err == nil:
		return s.done(v, "user-saved", "/users/"+id)
	case e == nil, e.Code == portalapi.CodeNotFound:
		return err
	case e.Code == portalapi.CodeReadOnly:
		return s.showUser(v, e.Status, sentenceOf(e.Message))
	}
	account, err := s.store.Account(v.Context(), id)
	switch {
	case err != nil:
		return err
	case e.Code == portalapi.CodeStaleRevision:
		return s.askUser(v, e.Status, changedMeanwhile, account, account.Pools)
	}
	return s.askUser(v, e.Status, sentenceOf(e.Message), v.typedUser(account), pools)
}

// changedMeanwhile is the message beside a form that shows the current values after a conflict.
const changedMeanwhile = "This was changed by another user, so nothing was saved. The form now shows the current values. Make your change again."

// askUser shows the form with account's values and these pools selected.
func (s *site) askUser(v *visit, status int, problem string, account *store.Account, pools []string) error {
	f := userForm{Heading: "Add a local user", Submit: "Create user", Action: "/users", Back: "/users", User: account, Own: account.ID == v.session.Account.ID}
	crumbs := way("Add", toUsers)
	if account.ID != "" {
		f.Heading, f.Submit = "Edit "+displayName(account), "Save"
		f.Action, f.Back = "/users/"+account.ID, "/users/"+account.ID
		crumbs = way("Edit", toUsers, displayName(account)+"|"+f.Back)
	}
	all, err := s.store.Pools(v.Context())
	if err != nil {
		return err
	}
	for _, p := range all {
		f.Pools = append(f.Pools, poolChoice{p, slices.Contains(pools, p.ID)})
	}
	if f.Roles, err = s.roleChoices(v, account.DirectRoles); err != nil {
		return err
	}
	return s.show(v, status, "user_form", view{Title: f.Heading, Section: "users", Crumbs: crumbs, Problem: problem, Body: f})
}

// roleChoices returns the roles that managers may grant. It offers ROLE_USER, which every user has,
// only if it is selected already.
func (s *site) roleChoices(v *visit, chosen []string) ([]roleChoice, error) {
	all, err := s.store.Roles(v.Context())
	if err != nil {
		return nil, err
	}
	var choices []roleChoice
	for _, r := range all {
		is := slices.Contains(chosen, r.Name)
		if r.Grantable && (is || r.Name != portalapi.RoleUser) {
			choices = append(choices, roleChoice{r, is})
		}
	}
	return choices, nil
}

func (s *site) setUserStatus(v *visit) error {
	active := v.PostFormValue("status") == string(portalapi.StatusActive)
	self := v.PathValue("id") == v.session.Account.ID
	switch {
	case active:
		return s.patchUser(v, store.AccountPatch{Active: &active}, "user-activated", s.userPath(v))
	case !self:
		return s.patchUser(v, store.AccountPatch{Active: &active}, "user-deactivated", s.userPath(v))
	case v.PostFormValue("confirmed") == "":
		return s.confirmDeactivateSelf(v)
	}
	return s.patchUser(v, store.AccountPatch{Active: &active}, "self-deactivated", "/sign-in")
}

func (s *site) userPath(v *visit) string { return "/users/" + v.PathValue("id") }

// confirmDeactivateSelf asks managers before they deactivate themselves.
func (s *site) confirmDeactivateSelf(v *visit) error {
	me := v.session.Account
	if v.PathValue("id") != me.ID || me.ReadOnly {
		return v.redirect(s.userPath(v))
	}
	path, name := "/users/"+me.ID, displayName(me)
	return s.show(v, http.StatusOK, "confirm", view{Title: "Deactivate yourself", Section: "users", Crumbs: way("Deactivate", toUsers, name+"|"+path), Body: confirmation{
		Heading: "Deactivate your own account?", Submit: "Deactivate my account", Action: path + "/status", Back: path, Revision: me.Revision,
		Hidden: map[string]string{"status": string(portalapi.StatusDeactivated), "confirmed": "yes"},
		Text: []string{"You are signed out everywhere immediately, and " + me.UserName + " cannot sign in any more. Only another manager can activate the account again.",
			"API keys with the scope read or manage that you created stop working; a manager must rotate the others. If no other local manager with a password remains, this is refused."},
	}})
}

func (s *site) handOver(v *visit) error {
	over := v.PostFormValue("handedOver") == "true"
	notice := "taken-back"
	if over {
		notice = "handed-over"
	}
	return s.patchUser(v, store.AccountPatch{HandedOver: &over}, notice, s.userPath(v))
}

// patchUser applies a change from a button on the user's page.
func (s *site) patchUser(v *visit, patch store.AccountPatch, notice, path string) error {
	revision, err := v.revision()
	if err == nil {
		_, err = s.store.UpdateAccount(v.Context(), v.actor(), v.PathValue("id"), revision, patch)
	}
	return s.userButton(v, err, notice, path)
}

// userButton responds to a button: with the notice, or with the refusal on the user's page.
func (s *site) userButton(v *visit, err error, notice, path string) error {
	e := asRefusal(err)
	switch {
	case err == nil:
		return s.done(v, notice, path)
	case e == nil, e.Code == portalapi.CodeNotFound:
		return err
	}
	return s.showUser(v, e.Status, sentenceOf(e.Message))
}

// confirmation is the page that asks before a change that is hard to take back.
type confirmation struct {
	Heading, Submit, Action, Back string
	Text                          []string
	Revision                      int64             // revision of the record; 0 if it has none
	Hidden                        map[string]string // further fields of the form
}

func (s *site) confirmDeleteUser(v *visit) error {
	account, err := s.store.Account(v.Context(), v.PathValue("id"))
	if err != nil {
		return err
	}
	if account.ReadOnly {
		return s.showUser(v, http.StatusConflict, sentenceOf(account.ReadOnlyReason))
	}
	path, name := "/users/"+account.ID, displayName(account)
	text := []string{"The account " + account.UserName + " is removed, and its sessions and the API keys with the scope read or manage that it created end immediately. This cannot be undone.",
		"The audit keeps its history. To keep the account and only end its access, deactivate it instead."}
	if account.ID == v.session.Account.ID {
		text = append([]string{"This is your own account: you are signed out immediately."}, text...)
	}
	return s.show(v, http.StatusOK, "confirm", view{Title: "Delete " + name, Section: "users", Crumbs: way("Delete", toUsers, name+"|"+path), Body: confirmation{
		Heading: "Delete " + name + "?", Submit: "Delete user", Action: path + "/delete", Back: path, Revision: account.Revision, Text: text,
	}})
}

// confirmEraseUser asks before a leaver is erased.
func (s *site) confirmEraseUser(v *visit) error {
	account, err := s.store.Account(v.Context(), v.PathValue("id"))
	if err != nil {
		return err
	}
	if no := asRefusal(account.Erasable()); no != nil {
		return s.showUser(v, no.Status, sentenceOf(no.Message))
	}
	path, name := "/users/"+account.ID, displayName(account)
	return s.show(v, http.StatusOK, "confirm", view{Title: "Erase " + name, Section: "users", Crumbs: way("Erase", toUsers, name+"|"+path), Body: confirmation{
		Heading: "Erase " + name + "?", Submit: "Erase user", Action: path + "/erase", Back: path, Revision: account.Revision,
		Text: []string{"The account " + account.UserName + " is deleted, with everything that names or describes the person, also in the audit. This cannot be undone.",
			"The audit keeps its events with the portal id " + account.ID + ", so that it stays complete. Note this id if you must show later who that was.",
			"If the identity provider pushes this person again, a new account is made."},
	}})
}

func (s *site) eraseUser(v *visit) error {
	revision, err := v.revision()
	if err == nil {
		err = s.store.EraseAccount(v.Context(), v.actor(), v.PathValue("id"), revision)
	}
	return s.userButton(v, err, "user-erased", "/users")
}

func (s *site) deleteUser(v *visit) error {
	revision, err := v.revision()
	if err == nil {
		err = s.store.DeleteAccount(v.Context(), v.actor(), v.PathValue("id"), revision)
	}
	return s.userButton(v, err, "user-deleted", "/users")
}

// text returns a posted field without surrounding white space.
func (v *visit) text(name string) string { return strings.TrimSpace(v.PostFormValue(name)) }

// revision returns the revision that the form is based on. A form without it is refused: it could
// overwrite a change that its user never saw.
func (v *visit) revision() (*int64, error) {
	n, err := strconv.ParseInt(v.PostFormValue("revision"), 10, 64)
	if err != nil {
		return nil, refusal(http.StatusBadRequest, portalapi.CodeInvalid, "The form does not contain the revision that it changes. Reload the page and repeat the change.")
	}
	return &n, nil
}
