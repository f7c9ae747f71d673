// SPDX-License-Identifier: Apache-2.0

package store

import (
	"encoding/base64"
	"strings"
	"testing"

	"lightrun.com/scim-operator/internal/kernel/portalapi"
)

// ring returns a keyring with one key for each character.
func ring(t *testing.T, keys string) *Keyring {
	t.Helper()
	var lines []string
	for _, c := range keys {
		lines = append(lines, base64.StdEncoding.EncodeToString([]byte(strings.Repeat(string(c), keySize))))
	}
	r, err := ParseKeyring("# a comment\n" + strings.Join(lines, "\n") + "\n")
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// chained is a portal whose audit has a chain, with some events, and the head that was published
// after them.
type chained struct {
	t         *testing.T
	s         *Store
	published portalapi.AuditHead
}

func newChained(t *testing.T) *chained {
	t.Helper()
	s, _ := signInStoreWith(t, Options{AuditKeys: ring(t, "a")})
	c := &chained{t: t, s: s}
	c.change("Bob")
	c.change("Bobby")
	var err error
	if c.published, err = s.AuditHead(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	c.change("Robert") // after the head was published
	return c
}

// change makes one event about a user.
func (c *chained) change(name string) {
	c.t.Helper()
	ada, err := c.s.AccountByName(c.t.Context(), "local@example.test")
	if err != nil {
		c.t.Fatal(err)
	}
	if _, err := c.s.UpdateAccount(c.t.Context(), SystemActor("test"), ada.ID, nil, AccountPatch{DisplayName: &name}); err != nil {
		c.t.Fatal(err)
	}
}

func (c *chained) exec(query string, args ...any) {
	c.t.Helper()
	if _, err := c.s.write.ExecContext(c.t.Context(), query, args...); err != nil {
		c.t.Fatal(err)
	}
}

// problems checks the audit against the published head.
func (c *chained) problems() string {
	c.t.Helper()
	report, err := c.s.CheckAudit(c.t.Context(), c.published)
	if err != nil {
		c.t.Fatal(err)
	}
	return strings.Join(report.Problems, "; ")
}

// rewrite gives all events right MACs under other keys, as a person does who has the database but
// not the key file.
func (c *chained) rewrite(keys *Keyring) {
	c.t.Helper()
	mac := ""
	err := c.s.inTx(c.t.Context(), func(t *tx) error {
		rows, err := t.auditRows(0)
		if err != nil {
			return err
		}
		for i := range rows {
			if mac, err = rows[i].macOf(keys.current(), mac); err != nil {
				return err
			}
			if _, err := t.exec(`UPDATE audit_events SET mac = ? WHERE id = ?`, mac, rows[i].ID); err != nil {
				return err
			}
		}
		_, err = t.exec(`UPDATE meta SET audit_mac = ?, audit_sequence = (SELECT MAX(id) FROM audit_events)`, mac)
		return err
	})
	if err != nil {
		c.t.Fatal(err)
	}
}

func TestAuditChain(t *testing.T) {
	const truncate = `DELETE FROM audit_events WHERE id >= (SELECT MAX(id) - 1 FROM audit_events)`
	for name, c := range map[string]struct {
		reason string
		do     func(c *chained)
		want   string // part of the problem; empty if there is none
	}{
		"Untouched": {reason: "The portal's own events are right.", do: func(*chained) {}},
		"Edited":    {reason: "An event was edited.", do: func(c *chained) { c.exec(`UPDATE audit_events SET action = 'user.create' WHERE id = 3`) }, want: "event 3, or the one before it, was changed"},
		"Moved":     {reason: "An event was moved in time.", do: func(c *chained) { c.exec(`UPDATE audit_events SET at = at - 1 WHERE id = 2`) }, want: "event 2,"},
		"Cause":     {reason: "A cause was edited.", do: func(c *chained) { c.exec(`UPDATE audit_events SET cause = 'Provider' WHERE id = 1`) }, want: "event 1,"},
		"Deleted":   {reason: "An event in the middle was deleted.", do: func(c *chained) { c.exec(`DELETE FROM audit_events WHERE id = 3`) }, want: "events 3 to 3 are missing"},
		"Beginning": {reason: "The first events were deleted.", do: func(c *chained) { c.exec(`DELETE FROM audit_events WHERE id <= 2`) }, want: "event 3,"},
		"Truncated": {reason: "The newest events were deleted.", do: func(c *chained) { c.exec(truncate) }, want: "the newest events are missing"},
		"TruncatedWithHead": {
			reason: "The newest events were deleted, and the portal's own head was set back: only the published one shows it.",
			do: func(c *chained) {
				c.exec(truncate)
				c.exec(`UPDATE meta SET audit_sequence = (SELECT MAX(id) FROM audit_events), audit_mac = (SELECT mac FROM audit_events ORDER BY id DESC LIMIT 1)`)
			},
			want: "which was published, is missing",
		},
		"Recomputed": {
			reason: "All MACs were computed again, under another key.",
			do: func(c *chained) {
				c.exec(`UPDATE audit_events SET action = 'user.create' WHERE id = 3`)
				c.rewrite(ring(t, "x"))
			},
			want: "which is not in the key file",
		},
		"RecomputedWithKey": {
			reason: "All MACs were computed again, under the portal's own key, which leaked: only the published head shows it.",
			do: func(c *chained) {
				c.exec(`UPDATE audit_events SET action = 'user.create' WHERE id = 3`)
				c.rewrite(ring(t, "a"))
			},
			want: "is not the one that was published",
		},
		"Added": {
			reason: "An event was added without the key.",
			do: func(c *chained) {
				c.exec(`INSERT INTO audit_events (id, at, actor_kind, actor_id, actor_name, action, target_kind, target_id, target_name, code, message, changes, request_id)
					SELECT id + 1, at, actor_kind, actor_id, actor_name, action, target_kind, target_id, target_name, code, message, changes, request_id FROM audit_events ORDER BY id DESC LIMIT 1`)
				c.exec(`UPDATE meta SET audit_sequence = audit_sequence + 1`)
			},
			want: "has no MAC",
		},
		"OtherName":   {reason: "A name was edited.", do: func(c *chained) { c.exec(`UPDATE audit_names SET body = '{"target":"eve"}' WHERE event_id = 1`) }, want: "the names in event 1 were changed"},
		"AddedName":   {reason: "A name was added.", do: func(c *chained) { c.exec(`INSERT INTO audit_names VALUES (3, 'x', '', '{"actor":"eve"}')`) }, want: "names were added to event 3"},
		"RemovedName": {reason: "A name is gone, and no user was erased.", do: func(c *chained) { c.exec(`DELETE FROM audit_names WHERE event_id = 1`) }, want: "was not erased"},
	} {
		t.Run(name, func(t *testing.T) {
			chain := newChained(t)
			c.do(chain)
			got := chain.problems()
			if c.want == "" && got != "" || !strings.Contains(got, c.want) {
				t.Errorf("%s\nproblems %q, want %q", c.reason, got, c.want)
			}
		})
	}
}

func TestAuditKeyRotation(t *testing.T) {
	c := newChained(t)
	c.s.auditKeys = ring(t, "ba") // the new key is the first line, and the former one checks older events
	c.change("Rob")
	if got := c.problems(); got != "" {
		t.Errorf("after the rotation: %s", got)
	}
	c.s.auditKeys = ring(t, "b")
	if got := c.problems(); !strings.Contains(got, "which is not in the key file") {
		t.Errorf("without the former key: %q", got)
	}
}

func TestAuditHeadAtStart(t *testing.T) {
	c := newChained(t)
	if err := c.s.CheckAuditHead(t.Context()); err != nil {
		t.Errorf("untouched: %v", err)
	}
	t.Log("a start without the key file interrupts the chain")
	keys := c.s.auditKeys
	c.s.auditKeys = nil
	if err := c.s.CheckAuditHead(t.Context()); err == nil {
		t.Error("the start says nothing about the missing key file")
	}
	c.change("Unchained")
	c.s.auditKeys = keys
	if err := c.s.CheckAuditHead(t.Context()); err == nil {
		t.Error("the start says nothing about an event without a MAC")
	}
	if got := c.problems(); !strings.Contains(got, "has no MAC") {
		t.Errorf("the check says %q", got)
	}
	t.Log("the newest events are deleted")
	other := newChained(t)
	other.exec(`DELETE FROM audit_events WHERE id = (SELECT MAX(id) FROM audit_events)`)
	if err := other.s.CheckAuditHead(t.Context()); err == nil {
		t.Error("the start says nothing about the deleted event")
	}
}

func TestAuditHeadOfAnEvent(t *testing.T) {
	c := newChained(t)
	is, err := c.s.AuditHead(t.Context(), c.published.Sequence)
	if err != nil || is != c.published || is.MAC == "" {
		t.Errorf("the published event is %+v, %v; want %+v", is, err, c.published)
	}
	newest, err := c.s.AuditHead(t.Context(), 0)
	if err != nil || newest.Sequence != c.published.Sequence+1 {
		t.Errorf("the newest event is %+v, %v", newest, err)
	}
	if _, err := c.s.AuditHead(t.Context(), 1000); portalapi.CodeOf(err) != portalapi.CodeNotFound {
		t.Errorf("an event that is not there: %v", err)
	}
}

func TestAuditFilters(t *testing.T) {
	s, now := signInStore(t)
	pushed := operator
	pushed.Cause, pushed.RequestID = CauseProvider, "push-1"
	if _, err := s.PutAccount(t.Context(), pushed, portalapi.AccountWrite{Owner: portalapi.Owner{UID: "u-bob", Revision: 1}, UserName: "bob@example.test", Active: true}); err != nil {
		t.Fatal(err)
	}
	at := *now
	*now = now.Add(48 * day)
	boss := Actor{Kind: Person, ID: "boss-id", Name: "Boss@example.test", Scopes: []Scope{ScopeManage}}
	local, err := s.AccountByName(t.Context(), "local@example.test")
	if err != nil {
		t.Fatal(err)
	}
	boss.ID = local.ID
	if err := s.EndSessions(t.Context(), boss, local.ID); err != nil {
		t.Fatal(err)
	}
	if err := s.EndSessions(t.Context(), Actor{Kind: Key, Name: "reader", Scopes: []Scope{ScopeRead}}, local.ID); portalapi.CodeOf(err) != portalapi.CodeForbidden {
		t.Fatal(err)
	}
	decided := operator
	decided.DecidedBy, decided.Cause = "frank", CauseGit
	if err := s.ReleaseAccount(t.Context(), decided, portalapi.Owner{UID: "u-bob", Revision: 1}, portalapi.ReleaseDeactivate); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		reason string
		f      AuditFilter
		want   string // actions, newest first
	}{
		"Provider":  {"A push caused it.", AuditFilter{Cause: CauseProvider}, "user.create"},
		"Person":    {"A person did it on the pages, or decided it in the cluster.", AuditFilter{Cause: CausePerson}, "user.release session.end-all"},
		"Key":       {"A program did it.", AuditFilter{Cause: CauseKey}, "session.end-all"},
		"Operator":  {"The operator did not say why.", AuditFilter{Cause: CauseOperator}, "user.adopt"},
		"Git":       {"A decision of a person is not Git's.", AuditFilter{Cause: CauseGit}, ""},
		"Refused":   {"What was refused.", AuditFilter{Refused: true}, "session.end-all"},
		"To":        {"The last moment is not included.", AuditFilter{From: at, To: at, Cause: CauseProvider}, ""},
		"From":      {"The first moment is included.", AuditFilter{From: at, To: at.Add(1000), Cause: CauseProvider}, "user.create"},
		"Later":     {"Only what came later.", AuditFilter{From: at.Add(day)}, "user.release session.end-all session.end-all"},
		"ByName":    {"The user name of an account, in any case.", AuditFilter{Actor: "LOCAL@example.test"}, "session.end-all"},
		"ByID":      {"The id of an account.", AuditFilter{Actor: local.ID}, "session.end-all"},
		"ByKeyName": {"The name of a key.", AuditFilter{Actor: "reader"}, "session.end-all"},
	} {
		t.Run(name, func(t *testing.T) {
			events, err := s.AuditEvents(t.Context(), c.f, 0, 100)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, e := range events {
				got = append(got, e.Action)
			}
			if strings.Join(got, " ") != c.want {
				t.Errorf("%s\nevents %q, want %q", c.reason, strings.Join(got, " "), c.want)
			}
		})
	}
}
