// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"lightrun.com/scim-operator/internal/kernel/portalapi"
)

// auditRow is an audit event as the database has it.
type auditRow struct {
	AuditEvent
	changes string // JSON
	names   string // JSON: digests of the names by account
	mac     string // the key's id and the MAC
}

const auditColumns = `id, at, actor_kind, actor_id, actor_name, action, target_kind, target_id, target_name, code, message, changes, request_id, cause, names, mac`

func scanAuditRow(rows *sql.Rows) (auditRow, error) {
	var r auditRow
	var at int64
	err := rows.Scan(&r.ID, &at, &r.ActorKind, &r.ActorID, &r.ActorName, &r.Action, &r.TargetKind, &r.TargetID, &r.TargetName,
		&r.Code, &r.Message, &r.changes, &r.RequestID, &r.Cause, &r.names, &r.mac)
	r.At = fromMicros(at)
	return r, err
}

func (r *auditRow) values() []any {
	return []any{r.ID, micros(r.At), string(r.ActorKind), r.ActorID, r.ActorName, r.Action, r.TargetKind, r.TargetID, r.TargetName,
		string(r.Code), r.Message, r.changes, r.RequestID, string(r.Cause), r.names}
}

// macOf returns the MAC of the row after the row with the MAC before, under the key.
func (r *auditRow) macOf(k ringKey, before string) (string, error) {
	text, err := json.Marshal(append([]any{before}, r.values()...))
	if err != nil {
		return "", err
	}
	mac := hmac.New(sha256.New, k.bytes)
	_, _ = mac.Write(text) // a hash never returns an error
	return k.id + ":" + hex.EncodeToString(mac.Sum(nil)), nil
}

// fits reports whether the row's MAC is right after the row with the MAC before.
func (r *auditRow) fits(keys *Keyring, before string) error {
	id, _, _ := strings.Cut(r.mac, ":")
	k, ok := keys.find(id)
	if !ok {
		return fmt.Errorf("event %d has a MAC under the key %q, which is not in the key file", r.ID, id)
	}
	want, err := r.macOf(k, before)
	if err != nil {
		return err
	}
	if !hmac.Equal([]byte(want), []byte(r.mac)) {
		return fmt.Errorf("event %d, or the one before it, was changed", r.ID)
	}
	return nil
}

// AuditHead returns the newest event of the audit or, if sequence is not 0, the event with this
// number, with its MAC. Refusals: NOT_FOUND.
func (s *Store) AuditHead(ctx context.Context, sequence int64) (h portalapi.AuditHead, err error) {
	h.Sequence = sequence
	err = s.inSnapshot(ctx, func(c *conn) error {
		if sequence == 0 {
			return c.row(`SELECT id, mac FROM audit_events ORDER BY id DESC LIMIT 1`).Scan(&h.Sequence, &h.MAC)
		}
		return c.row(`SELECT mac FROM audit_events WHERE id = ?`, sequence).Scan(&h.MAC)
	})
	if errors.Is(err, sql.ErrNoRows) {
		err = nil
		if sequence != 0 {
			err = refuse(portalapi.CodeNotFound, "the audit has no event %d", sequence)
		}
	}
	return h, err
}

// AuditReport is the result of a check of the whole audit.
type AuditReport struct {
	Head      portalapi.AuditHead
	Events    int
	Unchained int      // events from before the chain began
	Erased    int      // events that named a user who was erased
	Problems  []string // the first 20; empty: the audit is as the portal wrote it
}

// maxProblems is the maximum number of problems in a report.
const maxProblems = 20

func (r *AuditReport) problem(format string, args ...any) {
	if len(r.Problems) < maxProblems {
		r.Problems = append(r.Problems, fmt.Sprintf(format, args...))
	}
}

// CheckAudit checks every event, its names and the chain. published is the head that was stored
// outside of the portal; the zero value if there is none.
func (s *Store) CheckAudit(ctx context.Context, published portalapi.AuditHead) (*AuditReport, error) {
	if s.auditKeys == nil {
		return nil, errors.New("the check needs the key file of the audit")
	}
	check := auditCheck{keys: s.auditKeys, published: published, erased: map[string]bool{}, missing: map[string]int{}}
	err := s.inSnapshot(ctx, func(c *conn) error {
		if err := c.row(`SELECT audit_sequence, audit_mac FROM meta`).Scan(&check.Head.Sequence, &check.Head.MAC); err != nil {
			return err
		}
		for after := int64(0); ; {
			rows, err := c.auditRows(after)
			if err != nil || len(rows) == 0 {
				return err
			}
			names, err := c.namesBetween(rows[0].ID, rows[len(rows)-1].ID)
			if err != nil {
				return err
			}
			for i := range rows {
				check.event(&rows[i], names[rows[i].ID])
			}
			after = rows[len(rows)-1].ID
		}
	})
	check.end()
	return &check.AuditReport, err
}

// auditRows returns the next 1000 events after the one with the id.
func (c *conn) auditRows(after int64) (all []auditRow, err error) {
	err = c.each(func(rows *sql.Rows) error {
		r, err := scanAuditRow(rows)
		all = append(all, r)
		return err
	}, `SELECT `+auditColumns+` FROM audit_events WHERE id > ? ORDER BY id LIMIT 1000`, after)
	return all, err
}

// namesBetween returns the digests of the names of these events, by event and account.
func (c *conn) namesBetween(first, last int64) (map[int64]map[string]string, error) {
	all := map[int64]map[string]string{}
	err := c.each(func(rows *sql.Rows) error {
		var event int64
		var account, salt, body string
		err := rows.Scan(&event, &account, &salt, &body)
		if all[event] == nil {
			all[event] = map[string]string{}
		}
		all[event][account] = namesDigest(salt, body)
		return err
	}, `SELECT event_id, account_id, salt, body FROM audit_names WHERE event_id BETWEEN ? AND ?`, first, last)
	return all, err
}

// auditCheck reads the events in their order.
type auditCheck struct {
	AuditReport
	keys      *Keyring
	published portalapi.AuditHead
	last      int64  // number of the event before
	mac       string // of the last event that has one
	seen      bool   // the published event
	erased    map[string]bool
	missing   map[string]int // account → events whose names are gone
}

func (c *auditCheck) event(r *auditRow, names map[string]string) {
	c.Events++
	if c.last != 0 && r.ID != c.last+1 {
		c.problem("events %d to %d are missing", c.last+1, r.ID-1)
	}
	c.last = r.ID
	switch {
	case r.mac != "":
		if err := r.fits(c.keys, c.mac); err != nil {
			c.problem("%v", err)
		}
		c.mac = r.mac
	case c.mac == "":
		c.Unchained++
	default:
		c.problem("event %d has no MAC; the portal ran without its key file, or another program wrote the event", r.ID)
	}
	if r.ID == c.published.Sequence {
		c.seen = true
		if r.mac != c.published.MAC {
			c.problem("event %d is not the one that was published", r.ID)
		}
	}
	if r.Action == "user.erase" && r.Code == "" {
		c.erased[r.TargetID] = true
	}
	c.namesOf(r, names)
}

func (c *auditCheck) namesOf(r *auditRow, have map[string]string) {
	want := map[string]string{}
	if r.names != "" {
		if err := json.Unmarshal([]byte(r.names), &want); err != nil {
			c.problem("event %d cannot be read: %v", r.ID, err)
		}
	}
	for account, digest := range want {
		switch got, ok := have[account]; {
		case !ok:
			c.missing[account]++
		case got != digest:
			c.problem("the names in event %d were changed", r.ID)
		}
	}
	for account := range have {
		if _, ok := want[account]; !ok {
			c.problem("names were added to event %d", r.ID)
		}
	}
}

func (c *auditCheck) end() {
	if c.last != c.Head.Sequence || c.mac != c.Head.MAC {
		c.problem("the newest events are missing: the audit ends with event %d, the portal wrote %d", c.last, c.Head.Sequence)
	}
	if c.published.Sequence != 0 && !c.seen {
		c.problem("event %d, which was published, is missing", c.published.Sequence)
	}
	for account, n := range c.missing {
		if c.erased[account] || account == "" && len(c.erased) > 0 {
			c.Erased += n
			continue
		}
		c.problem("the names of the user %q are missing in %d events, and the user was not erased", account, n)
	}
}

// CheckAuditHead checks that the newest event is the one that the portal wrote last. It is quick,
// for the portal's start; CheckAudit checks all events.
func (s *Store) CheckAuditHead(ctx context.Context) error {
	return s.inSnapshot(ctx, func(c *conn) error {
		var head portalapi.AuditHead
		if err := c.row(`SELECT audit_sequence, audit_mac FROM meta`).Scan(&head.Sequence, &head.MAC); err != nil || head.MAC == "" {
			return err
		}
		if s.auditKeys == nil {
			return errors.New("the audit has a chain of MACs, and no key file continues it")
		}
		rows, err := c.auditRows(head.Sequence - 2)
		if err != nil {
			return err
		}
		before := ""
		for i := range rows {
			r := &rows[i]
			if r.ID == head.Sequence && r.mac == head.MAC {
				if before == "" && r.ID > 1 {
					return nil // the chain begins here
				}
				return r.fits(s.auditKeys, before)
			}
			before = r.mac
		}
		return fmt.Errorf("the newest event of the audit is not event %d, which the portal wrote last", head.Sequence)
	})
}
