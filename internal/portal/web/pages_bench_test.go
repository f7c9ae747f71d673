// SPDX-License-Identifier: Apache-2.0

package web_test

import (
	"database/sql"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"

	portalserver "lightrun.com/scim-operator/internal/portal"
	"lightrun.com/scim-operator/internal/portal/store"
	"lightrun.com/scim-operator/internal/portal/web"
	"lightrun.com/scim-operator/test/framework/portaltest"
	"lightrun.com/scim-operator/test/framework/postgres"
)

// largeCompany is the content of a portal with 103,000 accounts and 302 pools, as SQL: half of the
// accounts are in pool-1, 12 are deactivated, pool-2 is empty, and each has five audit events. HEX
// and NEWLINE are written in the dialect of the database.
var largeCompany = []string{
	`CREATE TEMP TABLE n AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 103000) SELECT i, 'person' || substr(CAST(1000000 + i AS TEXT), 2) AS name FROM n`,
	`INSERT INTO accounts (id, user_name, user_name_folded, display_name, given_name, family_name, email, email_folded, search_text, external_id, status, managed_by,
		owner_uid, owner_name, owner_revision, waiting_uid, waiting_name, handed_over, deactivated_by, password_hash, migrated, revision, created_at, updated_at, last_sign_in_at)
		SELECT 'id-' || name, name || '@example.test', name || '@example.test', 'Demo ' || name, 'Demo', name, name || '@example.test', name || '@example.test',
		name || '@example.test' || NEWLINE || 'demo ' || name || NEWLINE || name || '@example.test', 'x-' || name, CASE WHEN i % 8500 = 8499 THEN 'Deactivated' ELSE 'Active' END,
		CASE WHEN i % 100 = 0 THEN 'Local' ELSE 'SCIM' END, 'uid-' || name, 'scim-' || name, 1, '', '', FALSE, '', '', FALSE, 1, i, i, i % 1000 FROM n`,
	`INSERT INTO account_words SELECT 'id-' || name, HEX(word) FROM n, (SELECT 'demo' AS word UNION SELECT 'example' UNION SELECT 'test') AS words`,
	`INSERT INTO account_words SELECT 'id-' || name, HEX(name) FROM n`,
	`INSERT INTO pools (id, name, name_folded, description, is_default, owner_revision, revision, created_at, updated_at)
		SELECT 'pool-' || i, 'Pool ' || i, 'pool ' || i, 'A pool', FALSE, 0, 1, 1, 1 FROM n WHERE i <= 301`,
	`INSERT INTO memberships (account_id, pool_id) SELECT 'id-' || name, (SELECT id FROM pools WHERE is_default) FROM n`,
	`INSERT INTO memberships (account_id, pool_id) SELECT 'id-' || name, 'pool-1' FROM n WHERE i % 2 = 0`,
	`INSERT INTO memberships (account_id, pool_id) SELECT 'id-' || name, 'pool-' || (3 + i % 299) FROM n`,
	`INSERT INTO pool_roles (pool_id, role, granted) VALUES ('pool-1', 'ROLE_IGNORE_QUOTA', FALSE), ('pool-7', 'ROLE_MANAGER', FALSE)`,
	`INSERT INTO audit_events SELECT 100000 + 5 * i + k, i, 'Operator', 'o', 'operator', 'user.provision', 'User', 'id-' || name, name, '', '', '[]', ''
		FROM n, (SELECT 0 AS k UNION SELECT 1 UNION SELECT 2 UNION SELECT 3 UNION SELECT 4) AS five`,
	`UPDATE meta SET audit_sequence = 1000000`,
	`ANALYZE`,
}

// filled returns the service on the database, with the content of a large company.
func filled(b *testing.B, driver, database string) *store.Store {
	b.Helper()
	s := portaltest.Store(b, portaltest.Options{Database: database})
	words := strings.NewReplacer("HEX(word)", "lower(hex(word))", "HEX(name)", "lower(hex(name))", "NEWLINE", "char(10)")
	if driver == "pgx" {
		words = strings.NewReplacer("HEX(word)", "encode(convert_to(word, 'UTF8'), 'hex')", "HEX(name)", "encode(convert_to(name, 'UTF8'), 'hex')", "NEWLINE", "chr(10)")
	}
	fill, err := sql.Open(driver, database)
	if err != nil {
		b.Fatal(err)
	}
	fill.SetMaxOpenConns(1)
	for _, query := range largeCompany {
		if _, err := fill.ExecContext(b.Context(), words.Replace(query)); err != nil {
			b.Fatalf("%s: %v", query, err)
		}
	}
	if err := fill.Close(); err != nil {
		b.Fatal(err)
	}
	return s
}

// BenchmarkPages serves each page of a large company. The aim is 50 ms at the server, on SQLite and
// on PostgreSQL.
func BenchmarkPages(b *testing.B) {
	b.Run("SQLite", func(b *testing.B) { benchmarkPages(b, filled(b, "sqlite", filepath.Join(b.TempDir(), "portal.db"))) })
	b.Run("PostgreSQL", func(b *testing.B) { benchmarkPages(b, filled(b, "pgx", postgres.Start(b).Database(b))) })
}

func benchmarkPages(b *testing.B, s *store.Store) {
	handler, err := web.New(portalserver.WebOptions{Store: s, HTTPCookies: true, Log: logr.Discard()})
	if err != nil {
		b.Fatal(err)
	}
	admin, err := s.CheckPassword(b.Context(), portaltest.AdminUser, portaltest.AdminPassword)
	if err != nil {
		b.Fatal(err)
	}
	token, err := s.StartSession(b.Context(), admin, store.MethodPassword, time.Hour)
	if err != nil {
		b.Fatal(err)
	}
	cookie := &http.Cookie{Name: "portal_session", Value: token}
	for name, path := range map[string]string{
		"users": "/users", "users by last sign-in": "/users?sort=-seen", "a page in the middle": "/users?after=id-person050000", "search, one hit": "/users?q=person012345",
		"search, all": "/users?q=demo", "search without hits": "/users?q=unknown", "two words, no hit": "/users?q=demo+person000001+unknown", "rare status": "/users?status=Deactivated",
		"rare status of a word of all": "/users?status=Deactivated&q=demo", "local": "/users?managedBy=Local", "role of few": "/users?role=ROLE_MANAGER", "role of half": "/users?role=ROLE_IGNORE_QUOTA",
		"empty pool": "/users?pool=pool-2", "pool of half": "/users?pool=pool-1", "two filters that rarely meet": "/users?pool=pool-1&managedBy=SCIM&q=person1",
		"user": "/users/id-person012346", "new user": "/users/new", "pools": "/pools", "pools, last page": "/pools?after=pool-90", "page of an empty pool": "/pools/pool-2", "page of a pool": "/pools/pool-1",
		"delete a pool of half": "/pools/pool-1/delete", "delete a pool of managers": "/pools/pool-7/delete", "keys of a pool": "/pools/pool-1/keys",
		"provisioning": "/provisioning", "keys": "/api-keys", "audit": "/audit", "audit, refused": "/audit?outcome=refused", "audit of a user": "/audit?user=id-person012346", "profile": "/profile",
	} {
		b.Run(name, func(b *testing.B) {
			var bytes int
			for b.Loop() {
				r := httptest.NewRequest(http.MethodGet, path, nil)
				r.AddCookie(cookie)
				r.Header.Set("Accept-Encoding", "gzip")
				w := httptest.NewRecorder()
				handler.ServeHTTP(w, r)
				if w.Code != http.StatusOK {
					b.Fatalf("%s: %d %s", path, w.Code, w.Body)
				}
				bytes = w.Body.Len()
			}
			b.ReportMetric(float64(bytes), "B/page")
		})
	}
}
