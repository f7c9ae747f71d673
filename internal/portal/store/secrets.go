// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"database/sql"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
)

// sealedPrefix begins a secret that is encrypted. It has a character that no client secret and no
// TOTP secret has.
const sealedPrefix = "sealed\x1f"

// vault encrypts the secrets that the portal must read again: AES-256-GCM under the keys of a file.
// The purpose is authenticated, so that a sealed secret is of no use in another place. Without keys
// the secrets are stored in clear.
type vault struct{ keys *Keyring }

func (v vault) seal(purpose, secret string) (string, error) {
	if v.keys == nil || secret == "" {
		return secret, nil
	}
	k := v.keys.current()
	aead, err := k.aead()
	if err != nil {
		return "", err
	}
	nonce := make([]byte, aead.NonceSize())
	_, _ = rand.Read(nonce) // crypto/rand never returns an error
	return sealedPrefix + k.id + ":" + base64.RawStdEncoding.EncodeToString(aead.Seal(nonce, nonce, []byte(secret), []byte(purpose))), nil
}

// open returns the secret of a text from seal, or of one from before the portal had keys.
func (v vault) open(purpose, text string) (string, error) {
	rest, sealed := strings.CutPrefix(text, sealedPrefix)
	if !sealed {
		return text, nil
	}
	id, coded, _ := strings.Cut(rest, ":")
	k, ok := v.keys.find(id)
	if !ok {
		return "", fmt.Errorf("a secret in the database is encrypted under the key %q, which is not in the key file of the secrets", id)
	}
	aead, err := k.aead()
	if err != nil {
		return "", err
	}
	b, err := base64.RawStdEncoding.DecodeString(coded)
	if err != nil || len(b) < aead.NonceSize() {
		return "", errors.New("a secret in the database cannot be decoded")
	}
	secret, err := aead.Open(nil, b[:aead.NonceSize()], b[aead.NonceSize():], []byte(purpose))
	if err != nil {
		return "", errors.New("a secret in the database was changed, or moved to another place")
	}
	return string(secret), nil
}

// current reports whether the text is as seal would write it now.
func (v vault) current(text string) bool {
	return text == "" || v.keys == nil || strings.HasPrefix(text, sealedPrefix+v.keys.current().id+":")
}

func (k ringKey) aead() (cipher.AEAD, error) {
	block, err := aes.NewCipher(k.bytes)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

const clientSecretPurpose = "client secret"

func factorPurpose(accountID string) string { return "second factor of " + accountID }

// sealedUnder returns the id of the key of a text from seal.
func sealedUnder(text string) (id string, sealed bool) {
	rest, sealed := strings.CutPrefix(text, sealedPrefix)
	id, _, _ = strings.Cut(rest, ":")
	return id, sealed
}

// secretColumn is a column with secrets from seal. purpose gets the account of the row, if the
// table has accounts.
type secretColumn struct {
	table, column string
	purpose       func(accountID string) string
}

// secretColumns are all of them.
var secretColumns = []secretColumn{
	{"identity_configuration", "sso_client_secret", func(string) string { return clientSecretPurpose }},
	{"second_factors", "secret", factorPurpose},
}

// sealAll encrypts the secrets of the database that are not encrypted under the key in use. It
// returns an error if one cannot be read: the portal could not check second factors then.
func (s *Store) sealAll(ctx context.Context) error {
	return s.inTx(ctx, func(t *tx) error {
		config, err := t.configuration()
		if err != nil {
			return err
		}
		if err := t.sealAgain(clientSecretPurpose, config.secret, `UPDATE identity_configuration SET sso_client_secret = ?`); err != nil {
			return err
		}
		factors := map[string]string{}
		err = t.each(func(rows *sql.Rows) error {
			var id, secret string
			err := rows.Scan(&id, &secret)
			factors[id] = secret
			return err
		}, `SELECT account_id, secret FROM second_factors`)
		for id, secret := range factors {
			if err == nil {
				err = t.sealAgain(factorPurpose(id), secret, `UPDATE second_factors SET secret = ? WHERE account_id = ?`, id)
			}
		}
		t.config = nil
		return err
	})
}

func (t *tx) sealAgain(purpose, text, update string, args ...any) error {
	secret, err := t.vault.open(purpose, text)
	if err != nil || t.vault.current(text) {
		return err
	}
	sealed, err := t.vault.seal(purpose, secret)
	if err == nil {
		_, err = t.exec(update, append([]any{sealed}, args...)...)
	}
	return err
}

// SealForm encrypts a secret that a user typed, for a hidden field of the next page of the same
// session: a page never shows a secret again.
func (s *Store) SealForm(session *Session, secret string) (string, error) {
	text, err := s.forms.seal("form of "+session.ID, secret)
	return base64.RawURLEncoding.EncodeToString([]byte(text)), err
}

// OpenForm returns the secret of a text from SealForm.
func (s *Store) OpenForm(session *Session, text string) (string, error) {
	sealed, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || !strings.HasPrefix(string(sealed), sealedPrefix) {
		return "", errors.New("the field was changed")
	}
	return s.forms.open("form of "+session.ID, string(sealed))
}

// formKeys returns the vault of SealForm: under the keys of the secrets, which all replicas share,
// or under a key of this process.
func formKeys(keys *Keyring) vault {
	if keys != nil {
		return vault{keys}
	}
	k := ringKey{id: "process", bytes: make([]byte, keySize)}
	_, _ = rand.Read(k.bytes) // crypto/rand never returns an error
	return vault{&Keyring{keys: []ringKey{k}}}
}
