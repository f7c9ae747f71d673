// SPDX-License-Identifier: Apache-2.0

package store

import (
	"database/sql"
	"encoding/hex"
	"slices"
	"strings"
	"unicode"

	"lightrun.com/scim-operator/internal/kernel/names"
)

const (
	// maxWord is the part of a word that is searched, in bytes.
	maxWord = 64
	// maxWords is the number of words of an account that are searched. Usual accounts have five.
	maxWords = 40
)

// wordsOf splits text into its distinct folded words, sorted: letters, marks and digits. The words
// are in hexadecimal: all words that start with a prefix are those from its form up to its form
// followed by "g".
func wordsOf(text ...string) []string {
	var all []string
	for _, word := range strings.FieldsFunc(names.Fold(strings.Join(text, "\n")), func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsMark(r) && !unicode.IsNumber(r)
	}) {
		if len(word) > maxWord {
			word = word[:maxWord]
		}
		all = append(all, hex.EncodeToString([]byte(word)))
	}
	slices.Sort(all)
	all = slices.Compact(all)
	return all[:min(len(all), maxWords)]
}

// words returns the words by which the account is found.
func (a *Account) words() []string { return wordsOf(a.UserName, a.DisplayName, a.Email) }

// saveWords changes the account's words from before to after. before is nil for a new account.
func (t *tx) saveWords(before, after *Account) error {
	var had []string
	if before != nil {
		had = before.words()
	}
	want := after.words()
	if slices.Equal(had, want) {
		return nil
	}
	if len(had) > 0 {
		if _, err := t.exec(`DELETE FROM account_words WHERE account_id = ?`, after.ID); err != nil {
			return err
		}
	}
	return t.addWords(after.ID, want)
}

func (t *tx) addWords(id string, words []string) error {
	if len(words) == 0 {
		return nil
	}
	args := make([]any, 0, 2*len(words))
	for _, w := range words {
		args = append(args, id, w)
	}
	_, err := t.exec(`INSERT INTO account_words (account_id, word) VALUES `+strings.TrimSuffix(strings.Repeat("(?, ?), ", len(words)), ", ")+` ON CONFLICT DO NOTHING`, args...)
	return err
}

// fillWords writes the words of the accounts that exist since before words were kept.
func (t *tx) fillWords() error {
	var filled bool
	if err := t.row(`SELECT words_filled FROM meta`).Scan(&filled); err != nil || filled {
		return err
	}
	for after := ""; ; {
		var page []Account
		err := t.each(func(rows *sql.Rows) error {
			var a Account
			err := rows.Scan(&a.ID, &a.UserName, &a.DisplayName, &a.Email)
			page = append(page, a)
			return err
		}, `SELECT id, user_name, display_name, email FROM accounts WHERE id > ? ORDER BY id LIMIT 1000`, after)
		if err != nil {
			return err
		}
		for i := range page {
			if err := t.addWords(page[i].ID, page[i].words()); err != nil {
				return err
			}
		}
		if len(page) < 1000 {
			_, err := t.exec(`UPDATE meta SET words_filled = TRUE`)
			return err
		}
		after = page[len(page)-1].ID
	}
}
