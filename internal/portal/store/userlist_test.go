// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"lightrun.com/scim-operator/internal/kernel/portalapi"
	"lightrun.com/scim-operator/test/framework/postgres"
)

func TestWordsOf(t *testing.T) {
	for name, c := range map[string]struct {
		reason string
		text   string
		want   []string // as text
	}{
		"address":    {"Each part of an address is a word.", "Ada.Lovelace@example.test", []string{"ada", "example", "lovelace", "test"}},
		"twice":      {"The user name is usually the e-mail address.", "ada ADA Ada", []string{"ada"}},
		"marks":      {"A combining mark belongs to its letter.", "Zoe\u0308", []string{"zoë"}},
		"long":       {"A long word is searched by its beginning.", strings.Repeat("w", 100), []string{strings.Repeat("w", maxWord)}},
		"wildcards":  {"Nothing of this is a word.", "%_*", nil},
		"no letters": {"An empty search has no words.", " \n", nil},
	} {
		t.Run(name, func(t *testing.T) {
			var want []string
			for _, w := range c.want {
				want = append(want, fmt.Sprintf("%x", w))
			}
			if got := wordsOf(c.text); !slices.Equal(got, want) {
				t.Errorf("wordsOf(%q) = %q, want %q\n%s", c.text, got, want, c.reason)
			}
		})
	}
}

// eachDatabase runs the test on SQLite and on PostgreSQL.
func eachDatabase(t *testing.T, test func(t *testing.T, open func() *Store)) {
	for name, database := range map[string]func(t *testing.T) string{
		"SQLite":     func(t *testing.T) string { return filepath.Join(t.TempDir(), "portal.db") },
		"PostgreSQL": func(t *testing.T) string { return postgres.Start(t).Database(t) },
	} {
		t.Run(name, func(t *testing.T) {
			at := database(t)
			test(t, func() *Store {
				s, err := Open(context.Background(), Options{Database: at})
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = s.Close() })
				return s
			})
		})
	}
}

// TestUsers compares each query with the same filter written in Go over all accounts, and walks all
// pages. The accounts are more than what one page reads, so every way to read them is tested.
func TestUsers(t *testing.T) {
	eachDatabase(t, func(t *testing.T, open func() *Store) {
		s := open()
		const n = maxRead + chunk + 7
		if _, _, err := s.SaveLoginMethods(t.Context(), SystemActor("test"), portalapi.LoginMethods{SCIMEnabled: true,
			SSO: portalapi.SSO{Enabled: true, Type: "OIDC", Issuer: "https://idp.example.test", ClientID: "portal"}}, nil, false); err != nil {
			t.Fatal(err)
		}
		pool := func(name string, roles ...string) string {
			p, err := s.PutPool(t.Context(), operator, portalapi.PoolWrite{Owner: portalapi.Owner{UID: name}, Name: name, Roles: roles})
			if err != nil {
				t.Fatal(err)
			}
			return p.ID
		}
		half, empty, bosses := pool("half"), pool("empty"), pool("bosses", portalapi.RoleManager)
		err := s.inTx(t.Context(), func(tx *tx) error {
			tx.actor = operator
			for i := range n {
				w := testWrite(i)
				w.Active = i%1000 != 999
				if i >= n/2 { // the users of the pool are all in the second half
					w.Pools = append(w.Pools, half)
				}
				if i%1500 == 1 {
					w.Pools = append(w.Pools, bosses)
				}
				after := &Account{Account: portalapi.Account{ID: newID()}}
				after.take(w)
				after.LastSignInAt = tx.now.AddDate(0, 0, -i%50)
				if err := tx.saveAccount(&event{}, nil, after); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		var everyone []Account
		for after := ""; ; {
			page, next, err := s.Accounts(t.Context(), AccountFilter{}, after, 2000)
			if err != nil {
				t.Fatal(err)
			}
			if everyone = append(everyone, page...); next == "" {
				break
			}
			after = next
		}
		for name, c := range map[string]struct {
			query UserQuery
			match func(a Account) bool
		}{
			"all":                 {UserQuery{}, func(Account) bool { return true }},
			"descending":          {UserQuery{Descending: true, Text: "person0001"}, func(a Account) bool { return strings.HasPrefix(a.UserName, "person0001") }},
			"one word":            {UserQuery{Text: "PERSON00004"}, func(a Account) bool { return strings.HasPrefix(a.UserName, "person00004") }},
			"two words":           {UserQuery{Text: "dem person00004"}, func(a Account) bool { return strings.HasPrefix(a.UserName, "person00004") }},
			"a word of all":       {UserQuery{Text: "demo", Status: portalapi.StatusDeactivated}, func(a Account) bool { return !a.active() }},
			"nothing":             {UserQuery{Text: "unknown"}, func(Account) bool { return false }},
			"no word":             {UserQuery{Text: "%"}, func(Account) bool { return false }},
			"rare status":         {UserQuery{Status: portalapi.StatusDeactivated, Sort: ByLastSignIn, Descending: true}, func(a Account) bool { return !a.active() }},
			"common status":       {UserQuery{Status: portalapi.StatusActive, Sort: ByLastSignIn}, func(a Account) bool { return a.active() }},
			"empty pool":          {UserQuery{PoolID: empty}, func(Account) bool { return false }},
			"pool of half":        {UserQuery{PoolID: half}, func(a Account) bool { return slices.Contains(a.Pools, half) }},
			"pool, newest first":  {UserQuery{PoolID: half, Sort: ByCreation, Descending: true}, func(a Account) bool { return slices.Contains(a.Pools, half) }},
			"two that never meet": {UserQuery{PoolID: half, Text: "person000", Status: portalapi.StatusActive}, func(Account) bool { return false }},
			"rare role":           {UserQuery{Role: portalapi.RoleManager}, func(a Account) bool { return slices.Contains(a.Roles, portalapi.RoleManager) }},
			"everyone's role":     {UserQuery{Role: portalapi.RoleUser, Text: "person00001"}, func(a Account) bool { return strings.HasPrefix(a.UserName, "person00001") }},
			"local":               {UserQuery{ManagedBy: portalapi.ManagedByLocal}, func(a Account) bool { return a.ManagedBy == portalapi.ManagedByLocal }},
			"common, all three":   {UserQuery{ManagedBy: portalapi.ManagedBySCIM, Status: portalapi.StatusActive, PoolID: half}, func(a Account) bool { return a.active() && slices.Contains(a.Pools, half) }},
		} {
			t.Run(name, func(t *testing.T) {
				var want, got []string
				for _, a := range everyone {
					if c.match(a) {
						want = append(want, a.ID)
					}
				}
				q := c.query
				q.Limit = 700
				var last *Account
				for {
					page, err := s.Users(t.Context(), q)
					if err != nil {
						t.Fatal(err)
					}
					for i := range page.Users {
						a := &page.Users[i]
						if last != nil && !q.inOrder(last, a) {
							t.Fatalf("%s comes before %s", last.UserName, a.UserName)
						}
						got, last = append(got, a.ID), a
					}
					if q.After = page.Next; q.After == "" {
						break
					}
				}
				slices.Sort(got)
				slices.Sort(want)
				if !slices.Equal(got, want) {
					t.Errorf("%d users, want %d", len(got), len(want))
				}
			})
		}
		t.Run("gone cursor", func(t *testing.T) {
			page, err := s.Users(t.Context(), UserQuery{After: "gone", Limit: 3})
			if err != nil || len(page.Users) != 3 || page.Users[0].UserName != "person000000@example.test" {
				t.Errorf("a cursor that was deleted: %+v, %v", page, err)
			}
		})
	})
}

func (q UserQuery) inOrder(a, b *Account) bool {
	if q.Descending {
		a, b = b, a
	}
	switch q.Sort {
	case ByLastSignIn:
		return a.LastSignInAt.Before(b.LastSignInAt) || a.LastSignInAt.Equal(b.LastSignInAt) && a.ID < b.ID
	case ByCreation:
		return a.ID < b.ID
	}
	return a.UserName < b.UserName
}

// TestWordsAreFilled checks that accounts from before words were kept are found, and that words
// follow a rename.
func TestWordsAreFilled(t *testing.T) {
	eachDatabase(t, func(t *testing.T, open func() *Store) {
		s := open()
		account, err := s.CreateAccount(t.Context(), SystemActor("test"), NewAccount{UserName: "ada@example.test"})
		if err != nil {
			t.Fatal(err)
		}
		finds := func(s *Store, text string, want int) {
			t.Helper()
			if page, err := s.Users(t.Context(), UserQuery{Text: text, Limit: 5}); err != nil || len(page.Users) != want {
				t.Errorf("%q finds %+v, %v; want %d", text, page, err, want)
			}
		}
		for _, query := range []string{`DELETE FROM account_words`, `UPDATE meta SET words_filled = FALSE`} {
			if _, err := s.write.ExecContext(t.Context(), query); err != nil {
				t.Fatal(err)
			}
		}
		finds(s, "ada", 0)
		s = open()
		finds(s, "ada", 1)
		renamed := "grace@example.test"
		if _, err := s.UpdateAccount(t.Context(), SystemActor("test"), account.ID, nil, AccountPatch{UserName: &renamed}); err != nil {
			t.Fatal(err)
		}
		finds(s, "ada", 0)
		finds(s, "grac exam", 1)
	})
}
