// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"

	"lightrun.com/scim-operator/internal/kernel/portalapi"
)

// EffectKind is a way in which a change of the login methods takes something away from users.
type EffectKind string

const (
	EffectNoSignIn     EffectKind = "NoSignIn"     // SSO ends: SCIM-managed users have no other way to sign in
	EffectPasswordOnly EffectKind = "PasswordOnly" // SSO ends: local users who linked an identity have only their password
	EffectSignedOut    EffectKind = "SignedOut"    // users with a session through SSO, which ends
	EffectBoundAgain   EffectKind = "BoundAgain"   // users with an identity at the issuer that is replaced
	EffectNotFollowed  EffectKind = "NotFollowed"  // SCIM ends: SCIM-managed users no longer follow the provider
	EffectNoGroups     EffectKind = "NoGroups"     // groups are not provisioned any more: the count is of pools
	EffectMigrated     EffectKind = "Migrated"     // local users who become SCIM-managed: their password ends
	EffectManagerLost  EffectKind = "ManagerLost"  // those of them who have the manager role and may lose it

	// These follow from the operator's plan, where there is one.
	EffectLosesManager EffectKind = "LosesManager" // those of them who lose the manager role
	EffectDeactivated  EffectKind = "Deactivated"  // those of them that the provider deactivated
	EffectLosesAccess  EffectKind = "LosesAccess"  // those of them who lose a role or a pool
)

// Effect is one thing that a change takes away, and the number of accounts. An effect on no account
// is not listed.
type Effect struct {
	Kind  EffectKind
	Count int
}

// Effects contains what a change of the login methods does. ID identifies what was shown: another
// set of changes, effects or counts has another ID.
type Effects struct {
	ID      string
	Changes []FieldChange
	All     []Effect
}

// Seen is what a manager saw before a Save.
type Seen struct {
	Effects string // their ID; empty if none were shown
	Plan    bool   // the newest plan of the operator is one of the effects, and limits the migration after the Save
}

// SaveSeenLoginMethods is SaveLoginMethods for a page that shows the effects before it saves. If
// the change takes something away, and seen is not the ID of the effects as they are now, it
// changes nothing and returns the effects. It returns nil if it has saved.
func (s *Store) SaveSeenLoginMethods(ctx context.Context, actor Actor, m portalapi.LoginMethods, ifRevision *int64, seen Seen) (*Effects, error) {
	var unseen *Effects
	_, err := s.saveMethods(ctx, actor, m, ifRevision, false, func(t *tx, before, after *Configuration) error {
		if seen.Plan && after.ProvisionExistingUsers {
			after.approved = after.Plan.ID
		}
		effects, err := t.effects(before, after)
		if err != nil || len(effects.All) == 0 || effects.ID == seen.Effects {
			return err
		}
		unseen = effects
		return nil
	}, func(*tx) error {
		if unseen != nil {
			return errDryRun // the refusals of the change come before its effects
		}
		return nil
	})
	if errors.Is(err, errDryRun) {
		err = nil
	}
	return unseen, err
}

// effects counts what the change takes away.
func (t *tx) effects(before, after *Configuration) (*Effects, error) {
	e := &Effects{Changes: configurationDifference(before, after)}
	const (
		inSCIM   = `managed_by = 'SCIM' AND status = 'Active'`
		identity = `id IN (SELECT account_id FROM identities WHERE issuer = ?)`
	)
	ssoEnds := before.SSO.Enabled && !after.SSO.Enabled
	planned := after.approved != before.approved && after.approved != ""
	migrates := !before.ProvisionExistingUsers && after.ProvisionExistingUsers && !planned
	for _, one := range []struct {
		kind  EffectKind
		on    bool
		query string
		args  []any
	}{
		{EffectNoSignIn, ssoEnds, `FROM accounts WHERE ` + inSCIM, nil},
		{EffectPasswordOnly, ssoEnds, `FROM accounts WHERE managed_by = 'Local' AND status = 'Active' AND ` + identity, []any{before.SSO.Issuer}},
		{EffectSignedOut, endsSSOSessions(before.SSO, after.SSO), `FROM (SELECT DISTINCT s.account_id FROM sessions s JOIN accounts a ON a.id = s.account_id
			WHERE s.method = '` + MethodSSO + `' AND s.sso_epoch = ? AND s.epoch = a.session_epoch AND s.expires_at > ?) AS signed_in`, []any{before.ssoEpoch, micros(t.now)}},
		{EffectBoundAgain, before.SSO.Enabled && after.SSO.Enabled && before.SSO.Issuer != after.SSO.Issuer, `FROM accounts WHERE status = 'Active' AND ` + identity, []any{before.SSO.Issuer}},
		{EffectNotFollowed, before.SCIMEnabled && !after.SCIMEnabled, `FROM accounts WHERE ` + inSCIM, nil},
		{EffectNoGroups, before.SCIMEnabled && after.SCIMEnabled && before.ProvisionGroups && !after.ProvisionGroups, `FROM pools WHERE owner_uid IS NOT NULL AND NOT is_default`, nil},
		{EffectMigrated, migrates, `FROM accounts WHERE ` + waitingAccounts, nil},
		{EffectManagerLost, migrates, `FROM accounts WHERE ` + waitingManagers, nil},
	} {
		if !one.on {
			continue
		}
		var n int
		if err := t.row(`SELECT COUNT(*) `+one.query, one.args...).Scan(&n); err != nil {
			return nil, err
		}
		if n > 0 {
			e.All = append(e.All, Effect{one.kind, n})
		}
	}
	if planned {
		loss, _, err := t.planCounts(after.approved)
		if err != nil {
			return nil, err
		}
		for _, one := range []Effect{{EffectMigrated, loss.Adopted}, {EffectDeactivated, loss.Deactivated}, {EffectLosesManager, loss.Manager}, {EffectLosesAccess, loss.Access}} {
			if one.Count > 0 {
				e.All = append(e.All, one)
			}
		}
	}
	sum := sha256.Sum256(fmt.Append(nil, e.Changes, e.All))
	e.ID = hex.EncodeToString(sum[:8])
	return e, nil
}
