// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"lightrun.com/scim-operator/internal/kernel/names"
	"lightrun.com/scim-operator/internal/kernel/portalapi"
)

// Arrivals is what came from the identity provider and Kubernetes, and what does not get through.
// Each list is bounded; the counts are of all.
type Arrivals struct {
	Active, Deactivated int          // SCIM-managed users
	Pools               int          // pools that an AgentPool manages
	Newest              []AuditEvent // changes by the operator, newest first
	Errors              []AuditEvent // the last refusal of each record whose latest write was refused, newest first
	Waiting             []Account    // local users that the provider has pushed too
	WaitingCount        int
	HeldUsers           []Account
	HeldUserCount       int
	HeldPools           []Pool
	HandedOver          []Pool // pools that wait for their AgentPool
}

const (
	// arrivalsShown is the number of lines in each list of Arrivals.
	arrivalsShown = 20
	// refusalsRead is the number of the newest refusals in which errors are searched.
	refusalsRead = 500
	// errorsSince is the age of the oldest refusal that counts as an error.
	errorsSince = 7 * 24 * time.Hour
)

const ownedPools = `owner_uid IS NOT NULL`

// Arrivals reads the current state.
func (s *Store) Arrivals(ctx context.Context) (*Arrivals, error) {
	a := &Arrivals{}
	err := s.inSnapshot(ctx, func(c *conn) (err error) {
		for _, n := range []struct {
			into  *int
			query string
		}{
			{&a.Active, `accounts WHERE managed_by = 'SCIM' AND status = 'Active'`},
			{&a.Deactivated, `accounts WHERE managed_by = 'SCIM' AND status = 'Deactivated'`},
			{&a.Pools, `pools WHERE ` + ownedPools},
			{&a.WaitingCount, `accounts WHERE ` + waitingAccounts},
			{&a.HeldUserCount, `accounts WHERE held <> '' AND held_state = 'Held'`},
		} {
			if err := c.row(`SELECT COUNT(*) FROM ` + n.query).Scan(n.into); err != nil {
				return err
			}
		}
		if a.Waiting, err = c.accounts(`WHERE `+waitingAccounts+` ORDER BY user_name_folded LIMIT ?`, arrivalsShown); err != nil {
			return err
		}
		if a.HeldUsers, err = c.accounts(`WHERE held <> '' AND held_state = 'Held' ORDER BY user_name_folded LIMIT ?`, arrivalsShown); err != nil {
			return err
		}
		if a.HeldPools, err = c.pools(`WHERE held <> '' AND held_state = 'Held' ORDER BY name_folded LIMIT ?`, arrivalsShown); err != nil {
			return err
		}
		if a.HandedOver, err = c.pools(`WHERE handed_over AND NOT (`+ownedPools+`) ORDER BY name_folded LIMIT ?`, arrivalsShown); err != nil {
			return err
		}
		return nil
	})
	if err == nil {
		a.Newest, err = s.AuditEvents(ctx, AuditFilter{Operator: true, Done: true}, 0, arrivalsShown)
	}
	if err == nil {
		a.Errors, err = s.provisioningErrors(ctx)
	}
	return a, err
}

// provisioningErrors returns the refusals of the operator's writes after which no write of the same
// record succeeded, newest first. A refusal that ends by itself is none.
func (s *Store) provisioningErrors(ctx context.Context) ([]AuditEvent, error) {
	refused, err := s.AuditEvents(ctx, AuditFilter{Operator: true, Refused: true}, 0, refusalsRead)
	if err != nil {
		return nil, err
	}
	type record struct{ kind, id string }
	seen, since := map[record]bool{}, s.now().Add(-errorsSince)
	var open []AuditEvent
	for _, e := range refused {
		if e.At.Before(since) || e.Code == portalapi.CodeStaleRevision || e.Code == portalapi.CodeStaleLeader {
			continue
		}
		key := record{e.TargetKind, e.TargetID}
		if e.TargetName != "" {
			key.id = names.Fold(e.TargetName) // the first write of a record has no id yet
		}
		if seen[key] {
			continue
		}
		seen[key] = true
		later, err := s.succeeded(ctx, e)
		if err != nil {
			return nil, err
		}
		if !later {
			open = append(open, e)
		}
		if len(open) == arrivalsShown {
			break
		}
	}
	return open, nil
}

// succeeded reports whether a write of the operator to the record of the event succeeded later. A
// refused write that would have made the record knows its name only.
func (s *Store) succeeded(ctx context.Context, e AuditEvent) (bool, error) {
	id := e.TargetID
	if id == "" {
		table, column := "accounts", "user_name_folded"
		if e.TargetKind == "Pool" {
			table, column = "pools", "name_folded"
		}
		err := s.inSnapshot(ctx, func(c *conn) error {
			return c.row(`SELECT id FROM `+table+` WHERE `+column+` = ? AND owner_uid IS NOT NULL`, names.Fold(e.TargetName)).Scan(&id)
		})
		if errors.Is(err, sql.ErrNoRows) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
	}
	later, err := s.AuditEvents(ctx, AuditFilter{TargetID: id, Operator: true, Done: true}, 0, 1)
	return len(later) > 0 && later[0].ID > e.ID, err
}
