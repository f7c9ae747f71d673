// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"lightrun.com/scim-operator/internal/kernel/portalapi"
)

// tx is one change in progress: a transaction, the counters that it advances, and its audit event.
type tx struct {
	conn
	now      time.Time
	idle     time.Duration // of sessions
	actor    Actor
	epoch    string
	sequence int64 // number of the newest feed entry, including the entries of this transaction
	auditID  int64 // id of this transaction's audit event, if there is one

	auditKeys *Keyring // of the audit's chain; nil: there is none
	auditMAC  string   // of the newest event that has one
	changed   bool     // a record was written, so the audit event and the counters must be written too
	audited   bool     // the audit events of the records are written
	config    *Configuration
}

// inTx runs f in an exclusive write transaction and commits it.
func (s *Store) inTx(ctx context.Context, f func(*tx) error) error {
	began, err := s.write.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer began.Rollback() //nolint:errcheck // after a commit it does nothing
	t := &tx{conn: conn{ctx: ctx, tx: began, dialect: s.dialect, vault: s.vault}, now: s.now().UTC().Truncate(time.Microsecond), idle: s.idle, auditKeys: s.auditKeys}
	if err := t.row(`SELECT epoch, sequence, audit_sequence + 1, audit_mac FROM meta`+s.dialect.forTurn).Scan(&t.epoch, &t.sequence, &t.auditID, &t.auditMAC); err != nil {
		return err
	}
	if err := f(t); err != nil {
		return err
	}
	if t.changed {
		if _, err := t.exec(`UPDATE meta SET sequence = ?`, t.sequence); err != nil {
			return err
		}
		if s.dialect.notify != "" {
			if _, err := t.exec(s.dialect.notify); err != nil {
				return err
			}
		}
	}
	if err := began.Commit(); err != nil {
		return err
	}
	if t.changed {
		s.bell.ring()
	}
	return nil
}

// inSnapshot runs f on one consistent snapshot of the database.
func (s *Store) inSnapshot(ctx context.Context, f func(*conn) error) error {
	began, err := s.read.BeginTx(ctx, &sql.TxOptions{ReadOnly: true, Isolation: s.dialect.snapshot})
	if err != nil {
		return err
	}
	defer began.Rollback() //nolint:errcheck // nothing was written
	return f(&conn{ctx: ctx, tx: began, dialect: s.dialect, vault: s.vault})
}

// mutate runs one change on behalf of actor and audits it. ev describes the attempt; f completes
// it.
func (s *Store) mutate(ctx context.Context, actor Actor, scope Scope, ev *event, f func(*tx) error) error {
	return s.mutateIf(ctx, actor, actor.allowed(scope), ev, f)
}

// mutateIf is mutate for an actor that forbidden refuses, unless it is nil.
func (s *Store) mutateIf(ctx context.Context, actor Actor, forbidden error, ev *event, f func(*tx) error) error {
	err := forbidden
	if err == nil {
		err = s.inTx(ctx, func(t *tx) error {
			t.actor = actor
			if err := f(t); err != nil {
				return err
			}
			if !t.changed || t.audited {
				return nil
			}
			return t.audit(ev, nil)
		})
	}
	if refusal := asRefusal(err); refusal != nil {
		if auditErr := s.auditRefusal(ctx, actor, ev, refusal); auditErr != nil {
			return auditErr
		}
		return refusal
	}
	if err != nil {
		return fmt.Errorf("%s: %w", ev.action, err)
	}
	return nil
}

// auditRefusal records a change that was refused; the transaction of the change itself was rolled
// back.
func (s *Store) auditRefusal(ctx context.Context, actor Actor, ev *event, refusal *portalapi.Error) error {
	err := s.inTx(ctx, func(t *tx) error {
		t.actor = actor
		return t.audit(ev, refusal)
	})
	if err != nil {
		return fmt.Errorf("audit that %s was refused: %w", ev.action, err)
	}
	return nil
}

// Refused records in the audit a change that the caller refused itself, for example because the key
// lacks the scope.
func (s *Store) Refused(ctx context.Context, actor Actor, action string, refusal *portalapi.Error) error {
	return s.auditRefusal(ctx, actor, &event{action: action}, refusal)
}

// PageRefused records in the audit that a user asked for a page without the right to see it.
func (s *Store) PageRefused(ctx context.Context, actor Actor, route string, refusal *portalapi.Error) error {
	return s.auditRefusal(ctx, actor, &event{action: "page.open", targetKind: "Page", targetName: route}, refusal)
}

// errDryRun rolls back the transaction of a dry run.
var errDryRun = errors.New("dry run")
