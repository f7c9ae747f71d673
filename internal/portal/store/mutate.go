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

// tx is one change in progress: a transaction, the counters that it advances, and its audit events.
type tx struct {
	conn
	now      time.Time     // read with the write lock, so that events with higher ids are not earlier
	idle     time.Duration // time after which an unused session ends
	actor    Actor
	epoch    string
	sequence int64 // number of the newest feed entry, including the entries of this transaction
	auditID  int64 // id of the next audit event of this transaction

	auditKeys *Keyring // keys of the audit's MAC chain; nil if the audit has no chain
	auditMAC  string   // MAC of the newest event that has one
	// changed means that something is to be audited or announced: mutateIf writes the audit event,
	// and inTx writes the feed's sequence and wakes readers.
	changed bool
	audited bool // mutateIf writes no audit event: the change wrote its own, or needs none
	config  *Configuration
}

// inTx runs f in an exclusive write transaction and commits it.
func (s *Store) inTx(ctx context.Context, f func(*tx) error) error {
	sqlTx, err := s.write.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer sqlTx.Rollback() //nolint:errcheck // after a commit it does nothing
	t := &tx{conn: conn{ctx: ctx, tx: sqlTx, dialect: s.dialect, vault: s.vault}, idle: s.idle, auditKeys: s.auditKeys}
	if err := t.row(`SELECT epoch, sequence, audit_sequence + 1, audit_mac FROM meta`+s.dialect.forTurn).Scan(&t.epoch, &t.sequence, &t.auditID, &t.auditMAC); err != nil {
		return err
	}
	t.now = s.now().UTC().Truncate(time.Microsecond)
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
	if err := sqlTx.Commit(); err != nil {
		return err
	}
	if t.changed {
		s.bell.ring()
	}
	return nil
}

// inSnapshot runs f on one consistent snapshot of the database.
func (s *Store) inSnapshot(ctx context.Context, f func(*conn) error) error {
	sqlTx, err := s.read.BeginTx(ctx, &sql.TxOptions{ReadOnly: true, Isolation: s.dialect.snapshot})
	if err != nil {
		return err
	}
	defer sqlTx.Rollback() //nolint:errcheck // nothing was written
	return f(&conn{ctx: ctx, tx: sqlTx, dialect: s.dialect, vault: s.vault})
}

// mutate runs f as one change by actor, and writes the audit event ev. f fills in what changed.
func (s *Store) mutate(ctx context.Context, actor Actor, scope Scope, ev *event, f func(*tx) error) error {
	return s.mutateIf(ctx, actor, actor.allowed(scope), ev, f)
}

// mutateIf is mutate with the result of the permission check. If forbidden is not nil, f does not
// run: the refusal is audited and returned.
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

// auditRefusal records a refused change in a transaction of its own, because a transaction of the
// change, if there was one, was rolled back.
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

// RecordRefusal adds an audit event for a change that the caller refused, for example because the
// key lacks the scope.
func (s *Store) RecordRefusal(ctx context.Context, actor Actor, action string, refusal *portalapi.Error) error {
	return s.auditRefusal(ctx, actor, &event{action: action}, refusal)
}

// RecordPageRefusal adds an audit event for a user who asked for a page without the right to see
// it.
func (s *Store) RecordPageRefusal(ctx context.Context, actor Actor, route string, refusal *portalapi.Error) error {
	return s.auditRefusal(ctx, actor, &event{action: "page.open", targetKind: "Page", targetName: route}, refusal)
}

// errDryRun rolls back the transaction of a dry run.
var errDryRun = errors.New("dry run")
