// SPDX-License-Identifier: Apache-2.0

package store

import (
	"slices"
	"strings"
	"unicode/utf8"

	"lightrun.com/scim-operator/internal/kernel/names"
	"lightrun.com/scim-operator/internal/kernel/portalapi"
)

// maxText is the maximum length of the free-text fields of an account or a pool, in characters.
const maxText = 1024

// saveAccount changes the record from before to after, with everything that depends on it. before
// is nil for a new record. It writes pools, direct roles, revision, feed, the guard's count, the
// last manager. after.Pools contains the wanted ids; its roles are derived here. If nothing
// differs, it writes nothing. It adds the changes to ev.
func (t *tx) saveAccount(ev *event, before, after *Account) error {
	refs, err := t.wantedPools(after)
	if err != nil {
		return err
	}
	after.setPools(refs, func(pool string) bool { return after.granting || before.inBy(pool) })
	if err := after.validate(); err != nil {
		return err
	}
	if err := t.freeName(before, after); err != nil {
		return err
	}
	ev.targetKind, ev.targetID, ev.targetName = "User", after.ID, after.UserName
	ev.changes = accountDifference(before, after)
	if before != nil && len(ev.changes) == 0 {
		return nil
	}
	write := func() error { return t.leave(ev, before, after, func() error { return t.writeAccount(before, after) }) }
	if before == nil || !before.keeps() {
		return write()
	}
	if after.HandedOver && !before.HandedOver {
		if err := t.othersRemain(before); err != nil {
			return err
		}
	}
	if after.keeps() {
		return write()
	}
	return t.keepManager(write)
}

// wantedPools resolves after's pools, including the default pool unless the account was released.
// It refuses unknown pools.
func (t *tx) wantedPools(after *Account) ([]PoolRef, error) {
	ids := after.Pools
	if after.active() || after.Owner.UID != "" || after.ManagedBy == portalapi.ManagedByLocal {
		id, err := t.defaultPool()
		if err != nil {
			return nil, err
		}
		ids = append(slices.Clone(ids), id)
	}
	ids = sortedSet(ids)
	refs, err := t.poolRefs(ids)
	if err != nil {
		return nil, err
	}
	for _, id := range ids {
		if _, ok := refs[id]; !ok {
			return nil, refuse(portalapi.CodeUnknownPool, "there is no pool %q; GET /api/v1/pools lists them", id)
		}
	}
	return pick(refs, ids), nil
}

func (a *Account) validate() error {
	if err := names.Validate(a.UserName); err != nil {
		return refuse(portalapi.CodeInvalid, "invalid user name: %v", err)
	}
	for _, f := range []struct{ field, value string }{
		{"displayName", a.DisplayName}, {"givenName", a.GivenName}, {"familyName", a.FamilyName}, {"email", a.Email}, {"externalId", a.ExternalID},
	} {
		if err := validText(f.field, f.value); err != nil {
			return err
		}
	}
	return nil
}

// validText refuses text that PostgreSQL cannot store, or that is too long.
func validText(field, value string) error {
	switch {
	case !utf8.ValidString(value) || strings.ContainsRune(value, 0):
		return refuse(portalapi.CodeInvalid, "%s contains bytes that are not text", field)
	case utf8.RuneCountInString(value) > maxText:
		return refuse(portalapi.CodeInvalid, "%s is longer than %d characters", field, maxText)
	}
	return nil
}

// freeName refuses a user name that another account has.
func (t *tx) freeName(before, after *Account) error {
	folded := names.Fold(after.UserName)
	if before != nil && names.Fold(before.UserName) == folded {
		return nil
	}
	other, err := t.maybeAccount(`WHERE user_name_folded = ? AND id <> ?`, folded, after.ID)
	switch {
	case err != nil || other == nil:
		return err
	case other.ManagedBy == portalapi.ManagedByLocal && t.actor.May(ScopeProvisioning):
		return refuse(portalapi.CodeLocalAccount, "the user name belongs to the local user %s; turn on \"Provision existing users with SCIM\" or hand this user over", other.ID)
	}
	return refuse(portalapi.CodeDuplicateUser, "the user name already belongs to the user %s", other.ID)
}

func (t *tx) writeAccount(before, after *Account) error {
	after.Revision++
	after.UpdatedAt, after.PasswordSet = t.now, after.HasPassword()
	switch {
	case before == nil:
		after.CreatedAt = t.now
	case endsSessions(before, after):
		after.epoch = before.epoch + 1
	}
	if err := t.writeAccountRow(before == nil, after); err != nil {
		return err
	}
	if err := t.saveWords(before, after); err != nil {
		return err
	}
	if before != nil {
		if err := t.endOwnSignIns(before, after); err != nil {
			return err
		}
	}
	var hadPools, hadRoles []string
	if before != nil {
		hadPools, hadRoles = before.Pools, before.DirectRoles
	}
	if err := t.replaceSet("memberships", "account_id", "pool_id", after.ID, hadPools, after.Pools); err != nil {
		return err
	}
	if err := t.markGranted("memberships", "account_id", after.ID, after.granting); err != nil {
		return err
	}
	if err := t.replaceSet("account_roles", "account_id", "role", after.ID, hadRoles, after.DirectRoles); err != nil {
		return err
	}
	if t.actor.Kind == Operator {
		if err := t.leftPools(before, after); err != nil {
			return err
		}
		if removes(before, after) {
			if err := t.removal(after.ID); err != nil {
				return err
			}
		}
	}
	return t.touch(portalapi.ChangeAccount, after.ID, false)
}

// endOwnSignIns deletes what a local user has set up and what ends with the change.
func (t *tx) endOwnSignIns(before, after *Account) error {
	var tables []string
	if before.ManagedBy == portalapi.ManagedByLocal && after.ManagedBy == portalapi.ManagedBySCIM {
		tables = append(tables, "identities") // the provider says who the user is from now on
	}
	if before.HasPassword() && !after.HasPassword() {
		tables = append(tables, "second_factors", "recovery_codes") // they belong to the password
	}
	for _, table := range tables {
		if _, err := t.exec(`DELETE FROM `+table+` WHERE account_id = ?`, after.ID); err != nil {
			return err
		}
	}
	return nil
}

// endsSessions reports whether the change decides again who may sign in as this user. It ends the
// account's sessions in the same transaction. A new role, or the loss of one, takes effect at the
// next page and ends none; neither does a new owner of the same user, after a restore.
func endsSessions(before, after *Account) bool {
	return before.Status != after.Status || before.ManagedBy != after.ManagedBy || before.passwordHash != after.passwordHash
}

// removes reports whether a SCIM-managed user loses access by the change: the sign-in, the manager
// role, or the owner without a new one. The adoption of a local account counts when it takes the
// manager role; adoption by another object with the same name does not count.
func removes(before, after *Account) bool {
	if before == nil || after.ManagedBy != portalapi.ManagedBySCIM && before.ManagedBy != portalapi.ManagedBySCIM || !before.active() {
		return false
	}
	if before.ManagedBy != portalapi.ManagedBySCIM {
		return slices.Contains(before.Roles, portalapi.RoleManager) && !slices.Contains(after.Roles, portalapi.RoleManager)
	}
	lostManager := before.granted(portalapi.RoleManager) && !after.granted(portalapi.RoleManager)
	return !after.active() || lostManager || after.Owner.UID == ""
}

// inBy reports whether the account's owner added it to the pool.
func (a *Account) inBy(pool string) bool {
	return a != nil && slices.ContainsFunc(a.PoolRefs, func(p PoolRef) bool { return p.ID == pool && p.membership })
}

func (t *tx) writeAccountRow(create bool, a *Account) error {
	var owner any
	if a.Owner.UID != "" {
		owner = a.Owner.UID
	}
	fields := strings.Split(strings.Join(strings.Fields(accountColumns), ""), ",")
	values := []any{a.ID, a.UserName, a.DisplayName, a.GivenName, a.FamilyName, a.Email, a.ExternalID, string(a.Status), string(a.ManagedBy),
		owner, a.Owner.Name, a.Owner.Binding, a.Owner.Revision, a.WaitingFor.UID, a.WaitingFor.Name, a.HandedOver, string(a.DeactivatedBy)}
	values = append(values, columns(a.Mark)...)
	values = append(values, a.passwordHash, a.Migrated, a.Revision, micros(a.CreatedAt), micros(a.UpdatedAt), micros(a.LastSignInAt), a.epoch)
	fields = append(fields, "user_name_folded", "email_folded", "search_text")
	values = append(values, names.Fold(a.UserName), names.Fold(a.Email), names.Fold(a.UserName+"\n"+a.DisplayName+"\n"+a.Email))
	var err error
	if create {
		_, err = t.exec(`INSERT INTO accounts (`+strings.Join(fields, ", ")+`) VALUES (`+marks(len(values))+`)`, values...)
	} else {
		_, err = t.exec(`UPDATE accounts SET `+strings.Join(fields, " = ?, ")+` = ? WHERE id = ?`, append(values, a.ID)...)
	}
	return err
}

// replaceSet changes the rows of key in a two-column table from had to want.
func (t *tx) replaceSet(table, keyColumn, valueColumn, key string, had, want []string) error {
	for _, v := range want {
		if slices.Contains(had, v) {
			continue
		}
		if _, err := t.exec(`INSERT INTO `+table+` (`+keyColumn+`, `+valueColumn+`) VALUES (?, ?)`, key, v); err != nil {
			return err
		}
	}
	for _, v := range had {
		if slices.Contains(want, v) {
			continue
		}
		if _, err := t.exec(`DELETE FROM `+table+` WHERE `+keyColumn+` = ? AND `+valueColumn+` = ?`, key, v); err != nil {
			return err
		}
	}
	return nil
}

// accountDifference returns the audit's field changes. Owners appear as UIDs; a password appears
// only as changed.
func accountDifference(before, after *Account) []FieldChange {
	if before == nil {
		before = &Account{}
	}
	var d difference
	d.text("userName", before.UserName, after.UserName)
	d.text("displayName", before.DisplayName, after.DisplayName)
	d.text("givenName", before.GivenName, after.GivenName)
	d.text("familyName", before.FamilyName, after.FamilyName)
	d.text("email", before.Email, after.Email)
	d.text("externalId", before.ExternalID, after.ExternalID)
	d.text("status", string(before.Status), string(after.Status))
	d.text("deactivatedBy", string(before.DeactivatedBy), string(after.DeactivatedBy))
	d.text("managedBy", string(before.ManagedBy), string(after.ManagedBy))
	d.text("owner", before.Owner.UID, after.Owner.UID)
	d.text("ownerName", before.Owner.Name, after.Owner.Name)
	d.text("ownerBinding", before.Owner.Binding, after.Owner.Binding)
	d.text("waitingFor", before.WaitingFor.UID, after.WaitingFor.UID)
	d.text("waitingForName", before.WaitingFor.Name, after.WaitingFor.Name)
	d.mark(before.Mark, after.Mark)
	d.flag("handedOver", before.HandedOver, after.HandedOver)
	d.list("directRoles", before.DirectRoles, after.DirectRoles)
	if !slices.Equal(before.Pools, after.Pools) {
		d = append(d, FieldChange{Field: "pools", From: poolNames(before.PoolRefs), To: poolNames(after.PoolRefs)})
	}
	d.list("ungranted", before.Ungranted, after.Ungranted)
	switch {
	case before.passwordHash == after.passwordHash:
	case after.passwordHash == "":
		d = append(d, FieldChange{Field: "password", From: "set"})
	default:
		d = append(d, FieldChange{Field: "password", To: "set"})
	}
	return d
}

func poolNames(refs []PoolRef) string {
	all := make([]string, len(refs))
	for i, p := range refs {
		all[i] = p.Name
	}
	return strings.Join(all, ", ")
}

// setStatus activates or deactivates the account; by is stored as the deactivating party.
func (a *Account) setStatus(active bool, by portalapi.ManagedBy) {
	switch {
	case active:
		a.Status, a.DeactivatedBy = portalapi.StatusActive, ""
	case a.Status != portalapi.StatusDeactivated:
		a.Status, a.DeactivatedBy = portalapi.StatusDeactivated, by
	}
}

// copy returns a copy of an account that can be changed without changing a.
func (a *Account) copy() *Account {
	b := *a
	b.Pools, b.DirectRoles, b.Ungranted = slices.Clone(a.Pools), slices.Clone(a.DirectRoles), slices.Clone(a.Ungranted)
	return &b
}
