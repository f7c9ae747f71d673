// SPDX-License-Identifier: Apache-2.0

package store

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"

	"lightrun.com/scim-operator/internal/kernel/names"
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

// Cause is what caused an event.
type Cause string

const (
	CauseProvider Cause = "Provider" // a push of the identity provider
	CausePerson   Cause = "Person"   // a person: on the pages or, through the operator, in the cluster
	CauseGit      Cause = "Git"      // an object that people or Git wrote in the cluster
	CauseOperator Cause = "Operator" // the operator itself, such as the repair of a difference
	CauseKey      Cause = "Key"      // a program with an API key
	CausePortal   Cause = "Portal"   // the portal itself, at its start
)

// Known reports whether the cause is one of those above.
func (c Cause) Known() bool {
	return slices.Contains([]Cause{CauseProvider, CausePerson, CauseGit, CauseOperator, CauseKey, CausePortal}, c)
}

// cause returns what causes an event of the actor.
func (a Actor) cause() Cause {
	switch {
	case a.DecidedBy != "", a.Kind == Person, a.Kind == Visitor:
		return CausePerson
	case a.Kind == Key:
		return CauseKey
	case a.Kind == System:
		return CausePortal
	}
	return cmp.Or(a.Cause, CauseOperator)
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
	Cause      Cause
}

// Refused reports whether the change was refused.
func (e AuditEvent) Refused() bool { return e.Code != "" }

// AuditFilter filters the audit log. An empty field matches all events.
type AuditFilter struct {
	TargetID string
	Actor    string    // name of a key or operator, user name of an account, or its id
	Operator bool      // true matches only events of the operator
	Done     bool      // true matches only changes that were carried out
	Refused  bool      // true matches only refused events
	Cause    Cause     // what caused the event
	From, To time.Time // from From, before To
}

// audit writes an event of the transaction. Most transactions have at most one; a write of
// memberships has one for each SCIM request that caused it.
func (t *tx) audit(ev *event, refusal *portalapi.Error) error {
	fields := append([]FieldChange{}, ev.changes...)
	if t.actor.DecidedBy != "" {
		fields = append(fields, FieldChange{Field: "decidedBy", To: t.actor.DecidedBy})
	}
	e := AuditEvent{ID: t.auditID, At: t.now, ActorKind: t.actor.Kind, ActorID: t.actor.ID, ActorName: t.actor.Name, Action: ev.action,
		TargetKind: ev.targetKind, TargetID: ev.targetID, TargetName: ev.targetName, Changes: fields, RequestID: t.actor.RequestID, Cause: t.actor.cause()}
	if refusal != nil {
		e.Code, e.Message = refusal.Code, refusal.Message
	}
	taken := e.takeNames()
	changes, err := json.Marshal(e.Changes)
	if err != nil {
		return err
	}
	row := auditRow{AuditEvent: e, changes: string(changes)}
	if row.names, err = t.saveNames(e.ID, taken); err != nil {
		return err
	}
	if t.auditKeys != nil {
		if row.mac, err = row.macOf(t.auditKeys.current(), t.auditMAC); err != nil {
			return err
		}
		t.auditMAC = row.mac
	}
	values := append(row.values(), row.mac)
	if _, err := t.exec(`INSERT INTO audit_events (`+auditColumns+`) VALUES (`+marks(len(values))+`)`, values...); err != nil {
		return err
	}
	_, err = t.exec(`UPDATE meta SET audit_sequence = ?, audit_mac = ?`, t.auditID, t.auditMAC)
	return err
}

// AuditExported records in the audit that a user exported the events of the filter. Refusals:
// FORBIDDEN.
func (s *Store) AuditExported(ctx context.Context, actor Actor, filter string) error {
	ev := event{action: "audit.export", targetKind: "Audit"}
	return s.mutate(ctx, actor, ScopeManage, &ev, func(t *tx) error {
		var d difference
		d.text("filter", "", clip(filter))
		ev.changes, t.changed = d, true
		return nil
	})
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
	add(f.Actor != "", "(actor_name = ? OR actor_id = ? OR actor_id IN (SELECT id FROM accounts WHERE user_name_folded = ?))", f.Actor, f.Actor, names.Fold(f.Actor))
	add(f.Operator, "actor_kind = 'Operator'")
	add(f.Done, "code = ''")
	add(f.Refused, "code <> ''")
	add(f.Cause != "", "cause = ?", string(f.Cause))
	add(!f.From.IsZero(), "at >= ?", micros(f.From))
	add(!f.To.IsZero(), "at < ?", micros(f.To))
	var all []AuditEvent
	err := s.inSnapshot(ctx, func(c *conn) error {
		err := c.each(func(rows *sql.Rows) error {
			r, err := scanAuditRow(rows)
			if err == nil {
				err = json.Unmarshal([]byte(r.changes), &r.Changes)
			}
			all = append(all, r.AuditEvent)
			return err
		}, `SELECT `+auditColumns+` FROM audit_events WHERE `+strings.Join(where, " AND ")+` ORDER BY id DESC LIMIT ?`, append(args, limit)...)
		if err != nil {
			return err
		}
		return c.fillNames(all)
	})
	return all, err
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
