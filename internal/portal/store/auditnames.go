// SPDX-License-Identifier: Apache-2.0

package store

import (
	"cmp"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"lightrun.com/scim-operator/internal/kernel/portalapi"
)

// personalFields are the fields whose values name or describe the user of the event.
var personalFields = []string{"userName", "displayName", "givenName", "familyName", "email", "externalId", "identity"}

// memberFields are the fields that list accounts, by id in the database.
var memberFields = []string{"membersAdded", "membersRemoved"}

// eventNames is what an event says about one account that an erasure of the account clears.
type eventNames struct {
	Actor   string        `json:"actor,omitempty"`
	Target  string        `json:"target,omitempty"`
	Message string        `json:"message,omitempty"`
	Changes []FieldChange `json:"changes,omitempty"`
}

// actorPlace is where a message about another user names the actor.
const actorPlace = "{actor}"

// takeNames removes from the event what names or describes a user, and returns it by the id of the
// account. A user without an account has the id "".
func (e *AuditEvent) takeNames() map[string]*eventNames {
	taken := map[string]*eventNames{}
	at := func(id string) *eventNames {
		if taken[id] == nil {
			taken[id] = &eventNames{}
		}
		return taken[id]
	}
	actor := e.ActorName
	var subject *eventNames // whose names the message may contain
	if e.ActorKind == Person && e.ActorName != "" {
		subject = at(e.ActorID)
		subject.Actor, e.ActorName = e.ActorName, ""
	}
	if e.TargetKind == "User" {
		subject = at(e.TargetID)
		subject.Target, e.TargetName = e.TargetName, ""
		for i, c := range e.Changes {
			if slices.Contains(personalFields, c.Field) {
				subject.Changes = append(subject.Changes, c)
				e.Changes[i] = FieldChange{Field: c.Field}
			}
		}
	}
	if subject != nil {
		if subject.Actor == "" && actor != "" { // the names of two users are erased at different times
			e.Message = strings.ReplaceAll(e.Message, actor, actorPlace)
		}
		subject.Message, e.Message = e.Message, ""
	}
	maps.DeleteFunc(taken, func(_ string, n *eventNames) bool { return n.Actor+n.Target+n.Message == "" && len(n.Changes) == 0 })
	return taken
}

// putNames is the reverse of takeNames, for one account.
func (e *AuditEvent) putNames(n eventNames) {
	if n.Actor != "" {
		e.ActorName = n.Actor
	}
	if n.Target != "" {
		e.TargetName = n.Target
	}
	if n.Message != "" {
		e.Message = n.Message
	}
	for _, c := range n.Changes {
		if i := slices.IndexFunc(e.Changes, func(have FieldChange) bool { return have.Field == c.Field }); i >= 0 {
			e.Changes[i] = c
		}
	}
}

// saveNames writes the names of the event, and returns their digests as the event stores them.
func (t *tx) saveNames(eventID int64, taken map[string]*eventNames) (string, error) {
	if len(taken) == 0 {
		return "", nil
	}
	digests := map[string]string{}
	for _, id := range slices.Sorted(maps.Keys(taken)) {
		body, err := json.Marshal(taken[id])
		if err != nil {
			return "", err
		}
		salt := randomText()
		digests[id] = namesDigest(salt, string(body))
		if _, err := t.exec(`INSERT INTO audit_names (event_id, account_id, salt, body) VALUES (?, ?, ?, ?)`, eventID, id, salt, string(body)); err != nil {
			return "", err
		}
	}
	text, err := json.Marshal(digests)
	return string(text), err
}

func namesDigest(salt, body string) string {
	sum := sha256.Sum256([]byte(salt + "\x00" + body))
	return hex.EncodeToString(sum[:])
}

// fillNames gives the events their names again, but for users that were erased.
func (c *conn) fillNames(events []AuditEvent) error {
	byID := make(map[int64]*AuditEvent, len(events))
	ids := make([]any, len(events))
	for i := range events {
		ids[i], byID[events[i].ID] = events[i].ID, &events[i]
	}
	for part := range slices.Chunk(ids, portalapi.MaxMemberships) {
		err := c.each(func(rows *sql.Rows) error {
			var id int64
			var body string
			if err := rows.Scan(&id, &body); err != nil {
				return err
			}
			var n eventNames
			if err := json.Unmarshal([]byte(body), &n); err != nil {
				return err
			}
			byID[id].putNames(n)
			return nil
		}, `SELECT event_id, body FROM audit_names WHERE event_id IN (`+marks(len(part))+`)`, part...)
		if err != nil {
			return err
		}
	}
	for i := range events {
		events[i].Message = strings.ReplaceAll(events[i].Message, actorPlace, cmp.Or(events[i].ActorName, "the user "+events[i].ActorID))
	}
	return c.fillMembers(events)
}

// fillMembers replaces ids of accounts in the events by user names.
func (c *conn) fillMembers(events []AuditEvent) error {
	lists := func(replace func(string) string) {
		for i := range events {
			for j := range events[i].Changes {
				if f := &events[i].Changes[j]; slices.Contains(memberFields, f.Field) {
					f.From, f.To = replace(f.From), replace(f.To)
				}
			}
		}
	}
	var ids []string
	lists(func(list string) string {
		if list != "" {
			ids = append(ids, strings.Split(list, ", ")...)
		}
		return list
	})
	if len(ids) == 0 {
		return nil
	}
	named, err := c.userNames(sortedSet(ids))
	if err != nil {
		return err
	}
	lists(func(list string) string {
		all := strings.Split(list, ", ")
		for i, id := range all {
			if named[id] != "" {
				all[i] = named[id]
			}
		}
		slices.Sort(all)
		return strings.Join(all, ", ")
	})
	return nil
}

// userNames returns the user names of the accounts: the current ones or, for deleted accounts, the
// last ones in the audit.
func (c *conn) userNames(ids []string) (map[string]string, error) {
	named := make(map[string]string, len(ids))
	for part := range slices.Chunk(ids, portalapi.MaxMemberships) {
		err := c.each(func(rows *sql.Rows) error {
			var id, name string
			err := rows.Scan(&id, &name)
			named[id] = name
			return err
		}, `SELECT id, user_name FROM accounts WHERE id IN (`+marks(len(part))+`)`, list(part)...)
		if err != nil {
			return nil, err
		}
	}
	gone := slices.DeleteFunc(slices.Clone(ids), func(id string) bool { return named[id] != "" })
	for part := range slices.Chunk(gone, portalapi.MaxMemberships) {
		err := c.each(func(rows *sql.Rows) error {
			var id, body string
			if err := rows.Scan(&id, &body); err != nil {
				return err
			}
			var n eventNames
			err := json.Unmarshal([]byte(body), &n)
			if n.Target != "" {
				named[id] = n.Target
			}
			return err
		}, `SELECT account_id, body FROM audit_names WHERE account_id IN (`+marks(len(part))+`) ORDER BY event_id`, list(part)...)
		if err != nil {
			return nil, err
		}
	}
	return named, nil
}
