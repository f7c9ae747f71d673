// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"slices"

	"lightrun.com/scim-operator/internal/kernel/names"
	"lightrun.com/scim-operator/internal/kernel/portalapi"
)

// Erasable returns why the account cannot be erased now, or nil. Only a leaver can be: a user who
// cannot sign in, and whose account has no owner and no held removal.
func (a *Account) Erasable() error {
	switch {
	case a.active():
		return refuse(portalapi.CodeInvalid, "only a user who left can be erased; deactivate the user first")
	case a.Owner.UID != "":
		return refuse(portalapi.CodeReadOnly, "the identity provider still has this user, deactivated; delete the user there first")
	case a.Mark != nil:
		return refuse(portalapi.CodeReadOnly, "the deprovisioning guard holds a removal of this user; release or drop it first")
	}
	return nil
}

// EraseAccount deletes the account of a leaver and everything that names or describes the person.
// The audit keeps its events with the id of the account, and the guard keeps its counts. It cannot
// be undone. Refusals: those of Erasable, NOT_FOUND, STALE_REVISION, FORBIDDEN.
func (s *Store) EraseAccount(ctx context.Context, actor Actor, id string, ifRevision *int64) error {
	ev := event{action: "user.erase", targetKind: "User", targetID: id} // it never gets the name
	return s.mutate(ctx, actor, ScopeManage, &ev, func(t *tx) error {
		before, err := t.account("user "+id, `WHERE id = ?`, id)
		if err != nil {
			return err
		}
		if err := before.Erasable(); err != nil {
			return err
		}
		if ifRevision != nil && *ifRevision != before.Revision {
			return staleTag("the user", before.Revision, *ifRevision)
		}
		for _, clear := range []string{
			`DELETE FROM accounts WHERE id = ?`,
			`DELETE FROM audit_names WHERE account_id = ?`,
			`DELETE FROM migration_plan_lines WHERE account_id = ?`,
			`UPDATE api_keys SET created_by = '' WHERE created_by_id = ?`,
		} {
			if _, err := t.exec(clear, id); err != nil {
				return err
			}
		}
		if err := t.forgetMentions(before); err != nil {
			return err
		}
		return t.touch(portalapi.ChangeAccount, id, true)
	})
}

// forgetMentions clears the names of events that mention the user but found no account, such as a
// refused creation or sign-in.
func (t *tx) forgetMentions(a *Account) error {
	var events []any
	err := t.each(func(rows *sql.Rows) error {
		var id int64
		var body string
		if err := rows.Scan(&id, &body); err != nil {
			return err
		}
		var n eventNames
		err := json.Unmarshal([]byte(body), &n)
		if n.mentions(a) {
			events = append(events, id)
		}
		return err
	}, `SELECT event_id, body FROM audit_names WHERE account_id = ''`)
	for part := range slices.Chunk(events, portalapi.MaxMemberships) {
		if err == nil {
			_, err = t.exec(`DELETE FROM audit_names WHERE account_id = '' AND event_id IN (`+marks(len(part))+`)`, part...)
		}
	}
	return err
}

// mentions reports whether the names have one that only this user has.
func (n *eventNames) mentions(a *Account) bool {
	same := func(text string) bool {
		return text != "" && (names.Fold(text) == names.Fold(a.UserName) || names.Fold(text) == names.Fold(a.Email) || text == a.ExternalID)
	}
	return same(n.Target) || same(n.Actor) || slices.ContainsFunc(n.Changes, func(c FieldChange) bool { return same(c.From) || same(c.To) })
}
