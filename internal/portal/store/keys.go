// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"database/sql"
	"encoding/base64"
	"encoding/hex"
	"time"

	"lightrun.com/scim-operator/internal/kernel/portalapi"
	"lightrun.com/scim-operator/internal/kernel/provider"
)

// APIKey is a key without its secret.
type APIKey struct {
	ID         string
	Name       string
	Scope      Scope
	Provider   provider.ID // the provider of a key with the scope scim; zero for every other scope
	CreatedAt  time.Time
	CreatedBy  string
	ExpiresAt  time.Time // zero if never
	LastUsedAt time.Time // zero if never; accurate to a minute

	// CreatedByID is the account of the person who made the key, also through another key. It is
	// empty for a key of the deployment.
	CreatedByID string
	// EndedAt is when that person left: the key has been refused since. Zero if it works.
	EndedAt time.Time
	// RotateSince is when that person left and the key, which belongs to the company, kept working.
	RotateSince time.Time
	// ReplacedBy is the id of the key that a rotation made for this one; empty if none did.
	ReplacedBy string

	sha256 string
}

// Works reports whether the key is accepted now.
func (k *APIKey) Works(now time.Time) bool {
	return k.EndedAt.IsZero() && (k.ExpiresAt.IsZero() || now.Before(k.ExpiresAt))
}

// NewKey is a key to create.
type NewKey struct {
	Name     string
	Scope    Scope
	Provider provider.ID // required with the scope scim, refused with any other scope
	Expires  time.Time   // zero takes the default. EnsureKey ignores it: the deployment ends its keys
}

// minSecret is the minimum length of a secret that comes from outside the portal, in characters.
const minSecret = 20

// Keys returns all keys, newest first.
func (s *Store) Keys(ctx context.Context) (all []APIKey, err error) {
	err = s.inSnapshot(ctx, func(c *conn) error {
		all, err = c.keys(`ORDER BY created_at DESC, id DESC`)
		return err
	})
	return all, err
}

func (c *conn) keys(where string, args ...any) ([]APIKey, error) {
	var all []APIKey
	err := c.each(func(rows *sql.Rows) error {
		var k APIKey
		var created, expires, used, ended, rotate int64
		err := rows.Scan(&k.ID, &k.Name, &k.Scope, &k.Provider.Type, &k.Provider.Name, &k.sha256, &created, &k.CreatedBy, &expires, &used,
			&k.CreatedByID, &ended, &rotate, &k.ReplacedBy)
		k.CreatedAt, k.ExpiresAt, k.LastUsedAt = fromMicros(created), fromMicros(expires), fromMicros(used)
		k.EndedAt, k.RotateSince = fromMicros(ended), fromMicros(rotate)
		all = append(all, k)
		return err
	}, `SELECT id, name, scope, provider_type, provider_name, sha256, created_at, created_by, expires_at, last_used_at,
		created_by_id, ended_at, rotate_since, replaced_by FROM api_keys `+where, args...)
	return all, err
}

// CreateKey creates a key and returns its secret. The portal does not store the secret. A key makes
// no mightier and no longer-lived one. Refusals: FORBIDDEN, INVALID.
func (s *Store) CreateKey(ctx context.Context, actor Actor, n NewKey) (*APIKey, string, error) {
	secret := "lrp_" + randomText()
	key := n.key(actor, secret)
	ev := event{action: "api-key.create", targetKind: "ApiKey", targetID: key.ID, targetName: n.Name}
	err := s.mutate(ctx, actor, ScopeManage, &ev, func(t *tx) (err error) {
		if err := actor.mayMake(n.Scope); err != nil {
			return err
		}
		if key.ExpiresAt, err = keyExpiry(n.Expires, t.now, keyLimit(actor, t.now, s.keyLifetime)); err != nil {
			return err
		}
		return t.insertKey(&ev, key)
	})
	if err != nil {
		return nil, "", err
	}
	return key, secret, nil
}

func (n NewKey) key(actor Actor, secret string) *APIKey {
	return &APIKey{ID: newID(), Name: n.Name, Scope: n.Scope, Provider: n.Provider, ExpiresAt: n.Expires, CreatedBy: actor.Name, CreatedByID: actor.person(), sha256: digest(secret)}
}

// EnsureKey creates a key with this secret, scope and provider unless it exists. Deployments use it
// for their first keys. It refuses a secret that is already used with another scope or provider.
func (s *Store) EnsureKey(ctx context.Context, actor Actor, n NewKey, secret string) error {
	ev := event{action: "api-key.ensure", targetKind: "ApiKey", targetName: n.Name}
	return s.mutate(ctx, actor, ScopeManage, &ev, func(t *tx) error {
		if len(secret) < minSecret {
			return refuse(portalapi.CodeInvalid, "the secret of the key %q is shorter than %d characters; make one with: openssl rand -base64 32", n.Name, minSecret)
		}
		found, err := t.keys(`WHERE sha256 = ?`, digest(secret))
		switch {
		case err != nil:
			return err
		case len(found) > 0 && !found[0].Works(t.now):
			return refuse(portalapi.CodeInvalid, "the key %q with this secret has ended; put a new secret into its file", found[0].Name)
		case len(found) > 0 && found[0].Scope == n.Scope && found[0].Provider == n.Provider:
			return nil
		case len(found) > 0:
			return refuse(portalapi.CodeInvalid, "the secret of the key %q is already used by a key with the scope %s%s; give each key its own secret", n.Name, found[0].Scope, madeFor(found[0].Provider))
		}
		key := n.key(actor, secret)
		key.ExpiresAt = time.Time{}
		return t.insertKey(&ev, key)
	})
}

func (t *tx) insertKey(ev *event, k *APIKey) error {
	if !k.Scope.Known() {
		return refuse(portalapi.CodeInvalid, "unknown scope %q; use manage, read, provisioning or scim", k.Scope)
	}
	if k.Name == "" {
		return refuse(portalapi.CodeInvalid, "give the key a name that shows who uses it")
	}
	if err := validText("name", k.Name); err != nil {
		return err
	}
	if err := k.validProvider(); err != nil {
		return err
	}
	if err := t.stillHere(k.CreatedByID); err != nil {
		return err
	}
	k.CreatedAt = t.now
	ev.targetID = k.ID
	var d difference
	d.text("scope", "", string(k.Scope))
	d.text("provider", "", k.Provider.String())
	if !k.ExpiresAt.IsZero() {
		d.text("expiresAt", "", k.ExpiresAt.UTC().Format(time.RFC3339))
	}
	ev.changes = d
	if _, err := t.exec(`INSERT INTO api_keys (id, name, scope, provider_type, provider_name, sha256, created_at, created_by, created_by_id, expires_at, last_used_at) VALUES (`+marks(11)+`)`,
		k.ID, k.Name, string(k.Scope), k.Provider.Type, k.Provider.Name, k.sha256, micros(k.CreatedAt), k.CreatedBy, k.CreatedByID, micros(k.ExpiresAt), 0); err != nil {
		return err
	}
	return t.touch(portalapi.ChangeKey, k.ID, false)
}

// validProvider validates the provider of the key.
func (k *APIKey) validProvider() error {
	if k.Scope != ScopeSCIM {
		if k.Provider != (provider.ID{}) {
			return refuse(portalapi.CodeInvalid, "a key with the scope %s has no identity provider; omit the provider", k.Scope)
		}
		return nil
	}
	if k.Provider.Type == "" {
		return refuse(portalapi.CodeInvalid, "a key with the scope scim is for one identity provider; name it: Okta, EntraID or Other")
	}
	if err := k.Provider.Validate(); err != nil {
		return refuse(portalapi.CodeInvalid, "%v", err)
	}
	if k.Provider.Name == "" {
		return nil
	}
	return validText("provider's name", k.Provider.Name)
}

func madeFor(p provider.ID) string {
	if p == (provider.ID{}) {
		return ""
	}
	return " for " + p.String()
}

// DeleteKey deletes a key, which stops working immediately. It returns NOT_FOUND if there is no
// such key.
func (s *Store) DeleteKey(ctx context.Context, actor Actor, id string) error {
	ev := event{action: "api-key.delete", targetKind: "ApiKey", targetID: id}
	return s.mutate(ctx, actor, ScopeManage, &ev, func(t *tx) error {
		found, err := t.keys(`WHERE id = ?`, id)
		if err != nil {
			return err
		}
		if len(found) == 0 {
			return refuse(portalapi.CodeNotFound, "there is no API key %s", id)
		}
		ev.targetName = found[0].Name
		if _, err := t.exec(`DELETE FROM api_keys WHERE id = ?`, id); err != nil {
			return err
		}
		return t.touch(portalapi.ChangeKey, id, true)
	})
}

// Authenticate returns the actor of an API key's secret, or UNAUTHENTICATED.
func (s *Store) Authenticate(ctx context.Context, secret string) (Actor, error) {
	sum := digest(secret)
	var found []APIKey
	err := s.inSnapshot(ctx, func(c *conn) (err error) {
		found, err = c.keys(`WHERE sha256 = ?`, sum)
		return err
	})
	if err != nil {
		return Actor{}, err
	}
	if len(found) == 0 || subtle.ConstantTimeCompare([]byte(found[0].sha256), []byte(sum)) != 1 {
		return Actor{}, refuse(portalapi.CodeUnauthenticated, "unknown API key; create one on the page API Keys and send it as Authorization: Bearer <key>")
	}
	key := found[0]
	now := s.now()
	if !key.EndedAt.IsZero() {
		return Actor{}, refuse(portalapi.CodeUnauthenticated, "the API key %q ended at %s, because the user who made it was deactivated; create a new one", key.Name, key.EndedAt.Format(time.RFC3339))
	}
	if !key.ExpiresAt.IsZero() && !now.Before(key.ExpiresAt) {
		return Actor{}, refuse(portalapi.CodeUnauthenticated, "the API key %q expired at %s; create a new one", key.Name, key.ExpiresAt.Format(time.RFC3339))
	}
	if now.Sub(key.LastUsedAt) >= time.Minute {
		if err := s.used(ctx, key.ID, now); err != nil {
			return Actor{}, err
		}
	}
	actor := Actor{Kind: Key, ID: key.ID, Name: key.Name, Scopes: []Scope{key.Scope}, Maker: key.CreatedByID, Expires: key.ExpiresAt}
	if key.Scope == ScopeProvisioning {
		actor.Kind = Operator
	}
	return actor, nil
}

// used records the last use of the key. It does not change the revision.
func (s *Store) used(ctx context.Context, id string, now time.Time) error {
	_, err := s.write.ExecContext(ctx, s.dialect.rebind(`UPDATE api_keys SET last_used_at = ? WHERE id = ? AND last_used_at < ?`), micros(now), id, micros(now))
	return err
}

// SCIMKeys returns the digests of the keys that are currently valid as tokens for the SCIM webhook.
func (s *Store) SCIMKeys(ctx context.Context) ([]portalapi.KeyDigest, error) {
	var all []portalapi.KeyDigest
	err := s.inSnapshot(ctx, func(c *conn) error {
		found, err := c.keys(`WHERE scope = 'scim' AND (expires_at = 0 OR expires_at > ?) ORDER BY id`, micros(s.now()))
		for _, k := range found {
			all = append(all, portalapi.KeyDigest{ID: k.ID, Name: k.Name, SHA256: k.sha256, Provider: k.Provider, ExpiresAt: k.ExpiresAt, RotateSince: k.RotateSince})
		}
		return err
	})
	return all, err
}

// randomText returns 256 random bits as text.
func randomText() string {
	var b [32]byte
	_, _ = rand.Read(b[:]) // crypto/rand never returns an error
	return base64.RawURLEncoding.EncodeToString(b[:])
}

func digest(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}
