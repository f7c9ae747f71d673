// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"lightrun.com/scim-operator/internal/kernel/portalapi"
)

// event is the audit event of a change in progress.
type event struct {
	action     string
	targetKind string
	targetID   string
	targetName string
	changes    []FieldChange
}

// FieldChange is one field before and after. A secret is shown only as "set".
type FieldChange struct {
	Field string `json:"field"`
	From  string `json:"from"`
	To    string `json:"to"`
}

// AuditEvent is one change, or one refused attempt.
type AuditEvent struct {
	ID         int64
	At         time.Time
	ActorKind  ActorKind
	ActorID    string
	ActorName  string
	Action     string // the action, such as user.update
	TargetKind string
	TargetID   string
	TargetName string // the name at that time
	Code       portalapi.Code
	Message    string // the reason of the refusal
	Changes    []FieldChange
	RequestID  string
}

// Refused reports whether the change was refused.
func (e AuditEvent) Refused() bool { return e.Code != "" }

// AuditFilter filters the audit log. An empty field matches all events.
type AuditFilter struct {
	TargetID string
	Actor    string // exact name
	Operator bool   // true matches only events of the operator
	Done     bool   // true matches only changes that were carried out
	Refused  bool   // true matches only refused events
}

// audit writes an event of the transaction. Most transactions have at most one; a write of
// memberships has one for each SCIM request that caused it.
func (t *tx) audit(ev *event, refusal *portalapi.Error) error {
	fields := append([]FieldChange{}, ev.changes...)
	if t.actor.DecidedBy != "" {
		fields = append(fields, FieldChange{Field: "decidedBy", To: t.actor.DecidedBy})
	}
	changes, err := json.Marshal(fields)
	if err != nil {
		return err
	}
	var code, message string
	if refusal != nil {
		code, message = string(refusal.Code), refusal.Message
	}
	if _, err := t.exec(`INSERT INTO audit_events
		(id, at, actor_kind, actor_id, actor_name, action, target_kind, target_id, target_name, code, message, changes, request_id)
		VALUES (`+marks(13)+`)`, t.auditID, micros(t.now), string(t.actor.Kind), t.actor.ID, t.actor.Name,
		ev.action, ev.targetKind, ev.targetID, ev.targetName, code, message, string(changes), t.actor.RequestID); err != nil {
		return err
	}
	_, err = t.exec(`UPDATE meta SET audit_sequence = ?`, t.auditID)
	return err
}

// removal records that the operator took access from the account. The deprovisioning guard counts
// these records.
func (t *tx) removal(accountID string) error {
	_, err := t.exec(`INSERT INTO audit_removals (event_id, account_id, at) VALUES (?, ?, ?)`, t.auditID, accountID, micros(t.now))
	return err
}

// AuditEvents returns up to limit events, newest first: those with an id below before, or the
// newest if before is 0.
func (s *Store) AuditEvents(ctx context.Context, f AuditFilter, before int64, limit int) ([]AuditEvent, error) {
	where, args := []string{"TRUE"}, []any{}
	add := func(on bool, condition string, arg ...any) {
		if on {
			where, args = append(where, condition), append(args, arg...)
		}
	}
	add(before > 0, "id < ?", before)
	add(f.TargetID != "", "target_id = ?", f.TargetID)
	add(f.Actor != "", "actor_name = ?", f.Actor)
	add(f.Operator, "actor_kind = 'Operator'")
	add(f.Done, "code = ''")
	add(f.Refused, "code <> ''")
	var all []AuditEvent
	err := s.inSnapshot(ctx, func(c *conn) error {
		return c.each(func(rows *sql.Rows) error {
			e, err := scanAudit(rows)
			all = append(all, e)
			return err
		}, `SELECT id, at, actor_kind, actor_id, actor_name, action, target_kind, target_id, target_name, code, message, changes, request_id
			FROM audit_events WHERE `+strings.Join(where, " AND ")+` ORDER BY id DESC LIMIT ?`, append(args, limit)...)
	})
	return all, err
}

func scanAudit(rows *sql.Rows) (AuditEvent, error) {
	var (
		e       AuditEvent
		at      int64
		changes string
	)
	if err := rows.Scan(&e.ID, &at, &e.ActorKind, &e.ActorID, &e.ActorName, &e.Action, &e.TargetKind, &e.TargetID, &e.TargetName,
		&e.Code, &e.Message, &changes, &e.RequestID); err != nil {
		return e, err
	}
	e.At = fromMicros(at)
	return e, json.Unmarshal([]byte(changes), &e.Changes)
}

// Removals returns the counts for the guard: the removals that the audit log has in the window
// until now, and the managed accounts and memberships that exist now.
func (s *Store) Removals(ctx context.Context, window time.Duration) (portalapi.Removals, error) {
	var r portalapi.Removals
	err := s.inSnapshot(ctx, func(c *conn) error {
		since := micros(s.now().Add(-window))
		if err := c.row(`SELECT COUNT(DISTINCT account_id) FROM audit_removals WHERE at > ?`, since).Scan(&r.Removed); err != nil {
			return err
		}
		err := c.row(`SELECT COUNT(*) FROM accounts WHERE managed_by = 'SCIM' AND status = 'Active'`).Scan(&r.Managed)
		r.Managed += r.Removed
		if err != nil {
			return err
		}
		r.Pools, err = c.poolRemovals(since)
		return err
	})
	return r, err
}

// poolRemovals returns two numbers for each pool except the default pool: the users that the
// operator added and that are in the pool now, and the users that the operator removed from it
// since the given time. A pool without either is not in the result.
func (c *conn) poolRemovals(since int64) (map[string]portalapi.PoolRemovals, error) {
	pools := map[string]portalapi.PoolRemovals{}
	err := c.each(func(rows *sql.Rows) error {
		var id string
		var n int
		err := rows.Scan(&id, &n)
		pools[id] = portalapi.PoolRemovals{Members: n}
		return err
	}, `SELECT m.pool_id, COUNT(*) FROM memberships m JOIN pools p ON p.id = m.pool_id WHERE m.granted AND NOT p.is_default GROUP BY m.pool_id`)
	if err != nil {
		return nil, err
	}
	err = c.each(func(rows *sql.Rows) error {
		var id string
		var n int
		err := rows.Scan(&id, &n)
		p := pools[id]
		p.Removed = n
		pools[id] = p
		return err
	}, `SELECT pool_id, COUNT(DISTINCT account_id) FROM audit_pool_removals WHERE at > ? GROUP BY pool_id`, since)
	return pools, err
}

// difference collects the fields that differ.
type difference []FieldChange

func (d *difference) text(field, from, to string) {
	if from != to {
		*d = append(*d, FieldChange{Field: field, From: from, To: to})
	}
}

// mark records the changed fields of the Mark: the removal that the guard holds, or that a person
// dropped.
func (d *difference) mark(from, to *portalapi.Mark) {
	var f, t portalapi.Mark
	if from != nil {
		f = *from
	}
	if to != nil {
		t = *to
	}
	d.text("held", string(f.What), string(t.What))
	d.text("heldState", string(f.State), string(t.State))
	d.text("decision", f.Decision, t.Decision)
	d.text("heldAt", f.At, t.At)
}

func (d *difference) flag(field string, from, to bool) {
	d.text(field, strconv.FormatBool(from), strconv.FormatBool(to))
}

func (d *difference) list(field string, from, to []string) {
	d.text(field, strings.Join(from, ", "), strings.Join(to, ", "))
}
