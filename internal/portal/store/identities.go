// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"database/sql"
	"strings"
	"time"

	"github.com/google/uuid"

	"lightrun.com/scim-operator/internal/kernel/names"
	"lightrun.com/scim-operator/internal/kernel/portalapi"
)

// Asserted is the verified identity of a user at the identity provider.
type Asserted struct {
	Issuer   string        // names what Subject is unique in: OIDC's issuer, or the SAML provider and attribute
	Under    portalapi.SSO // the settings under which it was asserted
	Subject  string        // the immutable id at the issuer: oid of Entra ID, sub of others, SAML's NameID
	UserName string        // the claim that finds the account at the first sign-in; the user may be able to change it
}

// BoundIdentity is an identity that signs in as an account.
type BoundIdentity struct {
	Issuer, Subject string
	BoundAt         time.Time
	RefusedAt       time.Time // when another identity last tried to sign in as the account; zero: never
}

const notHere = "your identity provider knows you, but the portal has no user for you; ask your administrator to assign this application to you"

// StartSSOSession signs the user of the identity in, and binds the identity to the account at the
// first sign-in. Only a SCIM-managed account is bound in this way: the account whose externalId is
// the identity's id or, if there is none, the account with its user name. A local account is found
// only by an identity that its holder linked. Refusals: UNAUTHENTICATED, IDENTITY_CHANGED.
func (s *Store) StartSSOSession(ctx context.Context, who Asserted, requestID string, ttl time.Duration) (token string, err error) {
	token = randomText()
	var account *Account
	err = s.inTx(ctx, func(t *tx) (err error) {
		if err := t.current(who); err != nil {
			return err
		}
		if account, err = t.accountFor(who); err != nil {
			return err
		}
		if !account.active() {
			return refuse(portalapi.CodeUnauthenticated, "your user in the portal is deactivated; ask your administrator")
		}
		if err := t.bind(who, account.ID); err != nil {
			return err
		}
		t.actor.RequestID = requestID
		return t.startSession(account, MethodSSO, token, ttl)
	})
	if refusal := asRefusal(err); refusal != nil {
		if err := s.ssoFailed(ctx, who, account, requestID, refusal); err != nil {
			return "", err
		}
	}
	return token, err
}

// current refuses an identity that was asserted under settings that are no longer valid.
func (t *tx) current(who Asserted) error {
	config, err := t.configuration()
	if err == nil && (!config.SSO.Enabled || !sameApplication(config.SSO, who.Under) || who.Issuer == "" || who.Subject == "") {
		err = refuse(portalapi.CodeUnauthenticated, "the login methods were changed while you signed in; sign in again")
	}
	return err
}

// accountFor returns the account of the identity. With IDENTITY_CHANGED and for a local account it
// also returns the account that the identity asked for.
func (t *tx) accountFor(who Asserted) (*Account, error) {
	bound, err := t.maybeAccount(`WHERE id = (SELECT account_id FROM identities WHERE issuer = ? AND subject = ?)`, who.Issuer, who.Subject)
	if bound != nil || err != nil {
		return bound, err
	}
	found, err := t.accounts(`WHERE managed_by = 'SCIM' AND external_id = ? LIMIT 2`, who.Subject)
	if err == nil && len(found) == 0 && who.UserName != "" {
		found, err = t.accounts(`WHERE user_name_folded = ?`, names.Fold(who.UserName))
	}
	switch {
	case err != nil:
		return nil, err
	case len(found) != 1:
		return nil, refuse(portalapi.CodeUnauthenticated, "%s", notHere)
	}
	account := &found[0]
	if account.ManagedBy != portalapi.ManagedBySCIM {
		return account, refuse(portalapi.CodeUnauthenticated, "the portal has a local user of your name; sign in with its password, then link your identity on My profile")
	}
	other, err := t.yes(`SELECT 1 FROM identities WHERE account_id = ? AND issuer = ?`, account.ID, who.Issuer)
	if err != nil {
		return nil, err
	}
	if other || contradicts(account.ExternalID, who.Subject) {
		return account, refuse(portalapi.CodeIdentityChanged, "the portal knows your user under another identity of the identity provider; ask a manager to check this and to forget the former identity on your user's page")
	}
	return account, nil
}

// contradicts reports whether the externalId that the provider pushed is an id of the same kind as
// the identity's and another one: then the user name has moved to another person.
func contradicts(externalID, subject string) bool {
	isUUID := func(s string) bool { return uuid.Validate(s) == nil }
	isOkta := func(s string) bool { return strings.HasPrefix(s, "00u") }
	return externalID != subject && (isUUID(externalID) && isUUID(subject) || isOkta(externalID) && isOkta(subject))
}

// bind binds the identity to the account, unless it is bound.
func (t *tx) bind(who Asserted, accountID string) error {
	_, err := t.exec(`INSERT INTO identities (issuer, subject, account_id, bound_at, refused_at) VALUES (?, ?, ?, ?, 0) ON CONFLICT (issuer, subject) DO NOTHING`,
		who.Issuer, who.Subject, accountID, micros(t.now))
	return err
}

// ssoFailed audits a refused sign-in through SSO, and marks the binding that another identity tried
// to take over.
func (s *Store) ssoFailed(ctx context.Context, who Asserted, account *Account, requestID string, refusal *portalapi.Error) error {
	ev := event{action: "session.start", targetKind: "User"}
	var d difference
	d.text("method", "", MethodSSO)
	d.text("identity", "", clip(who.Subject))
	d.text("userName", "", clip(who.UserName))
	ev.changes = d
	actor := Actor{Kind: Visitor, RequestID: requestID}
	if account != nil {
		ev.targetID, ev.targetName = account.ID, account.UserName
	}
	return s.inTx(ctx, func(t *tx) error {
		t.actor = actor
		if refusal.Code == portalapi.CodeIdentityChanged && account != nil {
			if _, err := t.exec(`UPDATE identities SET refused_at = ? WHERE account_id = ? AND issuer = ?`, micros(t.now), account.ID, who.Issuer); err != nil {
				return err
			}
		}
		return t.audit(&ev, refusal)
	})
}

// clip limits text of the identity provider to what the audit shows.
func clip(text string) string {
	if text = strings.ToValidUTF8(strings.ReplaceAll(text, "\x00", ""), ""); len(text) > 256 {
		text = strings.ToValidUTF8(text[:256], "")
	}
	return text
}

// LinkIdentity lets the identity sign in as the actor's own local account. Refusals:
// UNAUTHENTICATED, IDENTITY_TAKEN, IDENTITY_CHANGED (another one is linked), INVALID for a
// SCIM-managed account.
func (s *Store) LinkIdentity(ctx context.Context, actor Actor, who Asserted) error {
	ev := event{action: "identity.link", targetKind: "User", targetID: actor.ID, targetName: actor.Name}
	ev.changes = []FieldChange{{Field: "identity", To: clip(who.Subject)}}
	return s.mutateIf(ctx, actor, nil, &ev, func(t *tx) error {
		if err := t.current(who); err != nil {
			return err
		}
		account, err := t.account("user "+actor.ID, `WHERE id = ?`, actor.ID)
		if err != nil {
			return err
		}
		if account.ManagedBy != portalapi.ManagedByLocal {
			return refuse(portalapi.CodeInvalid, "only a local user links an identity; %q is managed by SCIM and is bound at the first sign-in", account.UserName)
		}
		taken, err := t.yes(`SELECT 1 FROM accounts WHERE id <> ? AND (managed_by = 'SCIM' AND external_id = ?
			OR id IN (SELECT account_id FROM identities WHERE issuer = ? AND subject = ?))`, actor.ID, who.Subject, who.Issuer, who.Subject)
		if err != nil {
			return err
		}
		if taken {
			return refuse(portalapi.CodeIdentityTaken, "this identity belongs to another user of the portal; sign in at the identity provider as yourself, or ask a manager")
		}
		other, err := t.yes(`SELECT 1 FROM identities WHERE account_id = ? AND issuer = ? AND subject <> ?`, actor.ID, who.Issuer, who.Subject)
		if err != nil {
			return err
		}
		if other {
			return refuse(portalapi.CodeIdentityChanged, "another identity is linked to your user; forget it first")
		}
		t.changed = true
		return t.bind(who, actor.ID)
	})
}

// ForgetIdentity removes the account's identities and ends its sessions. A SCIM-managed account is
// bound again at the next sign-in, so only managers may do it, who check that it is the same
// person. Local users may do it for themselves. Refusals: FORBIDDEN, NOT_FOUND.
func (s *Store) ForgetIdentity(ctx context.Context, actor Actor, id string) error {
	ev := event{action: "identity.forget", targetKind: "User", targetID: id}
	return s.mutateIf(ctx, actor, actor.ownOr(ScopeManage, id), &ev, func(t *tx) error {
		account, err := t.account("user "+id, `WHERE id = ?`, id)
		if err != nil {
			return err
		}
		ev.targetName = account.UserName
		if account.ManagedBy == portalapi.ManagedBySCIM {
			if err := actor.allowed(ScopeManage); err != nil {
				return err
			}
		}
		n, err := t.exec(`DELETE FROM identities WHERE account_id = ?`, id)
		if err != nil {
			return err
		}
		if n == 0 {
			return refuse(portalapi.CodeNotFound, "%q has no identity at the identity provider", account.UserName)
		}
		return t.endSessions(id)
	})
}

// Identities returns the identities that sign in as the account.
func (s *Store) Identities(ctx context.Context, accountID string) ([]BoundIdentity, error) {
	var all []BoundIdentity
	err := s.inSnapshot(ctx, func(c *conn) error {
		return c.each(func(rows *sql.Rows) error {
			var i BoundIdentity
			var bound, refused int64
			err := rows.Scan(&i.Issuer, &i.Subject, &bound, &refused)
			i.BoundAt, i.RefusedAt = fromMicros(bound), fromMicros(refused)
			all = append(all, i)
			return err
		}, `SELECT issuer, subject, bound_at, refused_at FROM identities WHERE account_id = ? ORDER BY bound_at`, accountID)
	})
	return all, err
}
