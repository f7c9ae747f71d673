// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"slices"
	"time"

	"lightrun.com/scim-operator/internal/kernel/portalapi"
)

const (
	// KeyLifetime is the time after which a new key expires, unless its maker chooses another one.
	KeyLifetime = 90 * 24 * time.Hour
	// DefaultMaxKeyLifetime is the maximum of it, unless Options say otherwise.
	DefaultMaxKeyLifetime = 365 * 24 * time.Hour
	// MaxKeyOverlap is the maximum time for which a key works after it was rotated.
	MaxKeyOverlap = 30 * 24 * time.Hour
)

// MaxKeyLifetime is the maximum time after which a new key expires.
func (s *Store) MaxKeyLifetime() time.Duration { return s.keyLifetime }

// mayMake refuses a key that is mightier than the key that makes it. Managers can do through the
// page "Login methods" and User Management what a key with the scope scim can; only the operator
// writes as the owner of records.
func (a Actor) mayMake(scope Scope) error {
	if a.Kind != Key || slices.Contains([]Scope{ScopeManage, ScopeRead, ScopeSCIM}, scope) {
		return nil
	}
	return refuse(portalapi.CodeForbidden, "an API key cannot make a key with the scope %s, which may do more than it; a manager makes it on the page API Keys", scope)
}

// keyLimit is the latest time at which a key that the actor makes now may expire: longest from now,
// and not after the key that makes it.
func keyLimit(actor Actor, now time.Time, longest time.Duration) time.Time {
	limit := now.Add(longest)
	if !actor.Expires.IsZero() && actor.Expires.Before(limit) {
		limit = actor.Expires
	}
	return limit
}

// keyExpiry returns when a new key expires: at wanted within the limit or, if wanted is zero, after
// KeyLifetime or at the limit.
func keyExpiry(wanted, now, limit time.Time) (time.Time, error) {
	switch {
	case wanted.IsZero():
		return earliest(now.Add(KeyLifetime), limit), nil
	case !wanted.After(now):
		return wanted, refuse(portalapi.CodeInvalid, "the expiry is in the past; choose a later time")
	case wanted.After(limit):
		return wanted, refuse(portalapi.CodeInvalid, "the key would live too long: choose an expiry until %s", limit.UTC().Format(time.RFC3339))
	}
	return wanted.UTC().Truncate(time.Microsecond), nil
}

func earliest(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// lifetime returns for how long the key was made.
func (k *APIKey) lifetime() time.Duration {
	if k.ExpiresAt.IsZero() {
		return KeyLifetime
	}
	return k.ExpiresAt.Sub(k.CreatedAt)
}

// RotateKey creates a key that replaces the one with the id, with the same name, scope, provider
// and lifetime, and returns it with its secret. The old key works for overlap longer, but not
// longer than before. Refusals: NOT_FOUND, INVALID, and those of CreateKey.
func (s *Store) RotateKey(ctx context.Context, actor Actor, id string, overlap time.Duration) (*APIKey, string, error) {
	secret := "lrp_" + randomText()
	var made *APIKey
	ev := event{action: "api-key.rotate", targetKind: "ApiKey", targetID: id}
	err := s.mutate(ctx, actor, ScopeManage, &ev, func(t *tx) error {
		found, err := t.keys(`WHERE id = ?`, id)
		if err != nil {
			return err
		}
		if len(found) == 0 {
			return refuse(portalapi.CodeNotFound, "there is no API key %s", id)
		}
		old := found[0]
		ev.targetName = old.Name
		switch {
		case !old.Works(t.now):
			return refuse(portalapi.CodeInvalid, "the API key %q has ended; create a new key instead", old.Name)
		case old.ReplacedBy != "":
			return refuse(portalapi.CodeInvalid, "the API key %q was rotated before; rotate the key that replaced it", old.Name)
		case overlap < 0 || overlap > MaxKeyOverlap:
			return refuse(portalapi.CodeInvalid, "the old key may work for at most %d days longer", int(MaxKeyOverlap.Hours()/24))
		}
		if err := actor.mayMake(old.Scope); err != nil {
			return err
		}
		made = NewKey{Name: old.Name, Scope: old.Scope, Provider: old.Provider}.key(actor, secret)
		made.ExpiresAt = earliest(t.now.Add(old.lifetime()), keyLimit(actor, t.now, s.keyLifetime))
		if err := t.insertKey(&event{}, made); err != nil {
			return err
		}
		return t.replaceKey(&ev, &old, made, t.now.Add(overlap))
	})
	if err != nil {
		return nil, "", err
	}
	return made, secret, nil
}

// replaceKey lets the old key end at the given time, if it did not end earlier, and names the key
// that replaces it.
func (t *tx) replaceKey(ev *event, old, made *APIKey, at time.Time) error {
	ends := at
	if !old.ExpiresAt.IsZero() {
		ends = earliest(ends, old.ExpiresAt)
	}
	var d difference
	d.text("replacedBy", "", made.ID)
	d.text("expiresAt", "", made.ExpiresAt.UTC().Format(time.RFC3339))
	d.text("oldKeyEnds", "", ends.UTC().Format(time.RFC3339))
	ev.changes = d
	if _, err := t.exec(`UPDATE api_keys SET expires_at = ?, replaced_by = ? WHERE id = ?`, micros(ends), made.ID, old.ID); err != nil {
		return err
	}
	return t.touch(portalapi.ChangeKey, old.ID, false)
}
