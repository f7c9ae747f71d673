// SPDX-License-Identifier: Apache-2.0

// Package store is the core of the Management Portal: the records in a database, and the rules by
// which they change. The pages and the REST server are two front ends of this service and contain
// no rules of their own.
//
// A change is a method with an Actor. It runs in one transaction, which checks the rules against
// the current records, writes the records, writes one audit event, and gives the records the next
// sequence numbers of the change feed. A refusal is a *portalapi.Error and an audit event too. A
// write of the current state writes nothing. Effective roles are derived when a record is read and
// are not stored, so they are never out of date.
//
// Writers are serialized (SQLite has one writer, PostgreSQL locks the row of counters). A rule over
// all records, such as "one local manager remains", therefore needs no further lock, and sequence
// numbers of the feed become visible in order.
package store

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"runtime"
	"strings"
	"time"

	"github.com/google/uuid"
	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
	_ "modernc.org/sqlite"             // the driver "sqlite"

	"lightrun.com/scim-operator/internal/kernel/portalapi"
)

// Memory as Options.Database keeps the records in memory, until the Store is closed.
const Memory = ":memory:"

// Options configure the database and the dependencies of the rules.
type Options struct {
	// Database is the path of an SQLite file, a postgres:// URL, or Memory.
	Database string
	// Now is the clock; nil means time.Now.
	Now func() time.Time
	// CheckSSO returns an error if users could not sign in with these settings; nil accepts all
	// settings. It may take as long as ctx allows.
	CheckSSO func(ctx context.Context, sso portalapi.SSO) error
	// SessionIdle is the time without a request after which a session ends; 0 is
	// DefaultSessionIdle.
	SessionIdle time.Duration
	// AuditKeys are the keys of the audit's chain of MACs; nil: the audit has none.
	AuditKeys *Keyring
	// SecretKeys encrypt the secrets of the database; nil: they are stored in clear.
	SecretKeys *Keyring
	// MaxKeyLifetime is the maximum time after which a new API key expires; 0 is
	// DefaultMaxKeyLifetime.
	MaxKeyLifetime time.Duration
	// RequireSecondFactor lets managers who signed in with a password alone do nothing but set up a
	// second factor.
	RequireSecondFactor bool
}

// DefaultSessionIdle is the time without a request after which a session ends, unless Options say
// otherwise.
const DefaultSessionIdle = time.Hour

// Store is the service. Its methods are safe for concurrent use.
type Store struct {
	write     *sql.DB // for the writers, which are serialized
	read      *sql.DB // the same database; with Memory the same pool
	dialect   dialect
	now       func() time.Time
	check     func(ctx context.Context, sso portalapi.SSO) error
	idle      time.Duration // of sessions
	hashing   hashing
	auditKeys *Keyring
	vault     vault // of the database
	forms     vault // of pages
	// keyLifetime is Options.MaxKeyLifetime.
	keyLifetime time.Duration
	// secondFactor is Options.RequireSecondFactor.
	secondFactor bool
	bell         bell
	stop         func() // stops the background work
}

// Open connects to the database, migrates its tables and creates the default pool if there is none.
func Open(ctx context.Context, o Options) (*Store, error) {
	s := o.store()
	if err := s.connect(o.Database, serving); err != nil {
		return nil, fmt.Errorf("open the portal's database: %w", err)
	}
	if err := s.prepare(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("prepare the portal's database: %w", err), s.Close())
	}
	if s.dialect.notify != "" {
		s.listenInBackground(o.Database)
	}
	return s, nil
}

// store returns the service without a database.
func (o Options) store() *Store {
	s := &Store{now: o.Now, check: o.CheckSSO, idle: cmp.Or(o.SessionIdle, DefaultSessionIdle), keyLifetime: cmp.Or(o.MaxKeyLifetime, DefaultMaxKeyLifetime), auditKeys: o.AuditKeys, vault: vault{o.SecretKeys}, forms: formKeys(o.SecretKeys), hashing: newHashing(), secondFactor: o.RequireSecondFactor, bell: newBell(), dialect: onSQLite, stop: func() {}}
	if s.now == nil {
		s.now = time.Now
	}
	if s.check == nil {
		s.check = func(context.Context, portalapi.SSO) error { return nil }
	}
	return s
}

// IsServer reports whether Options.Database is the URL of a server, and not a file.
func IsServer(database string) bool {
	return strings.HasPrefix(database, "postgres://") || strings.HasPrefix(database, "postgresql://")
}

// serving are the pragmas of a portal that serves: WAL, so that readers and the writer do not block
// each other, and FULL, so that acknowledged writes survive a power failure.
var serving = []string{"journal_mode(WAL)", "synchronous(FULL)", "foreign_keys(ON)", "temp_store(MEMORY)", "cache_size(-65536)"}

// connect opens the database; an SQLite file with these pragmas.
func (s *Store) connect(database string, pragmas []string) (err error) {
	driver, name, writers := "sqlite", sqliteName(database, pragmas), 1
	switch {
	case database == "":
		return errors.New("no database: set an SQLite file or a postgres:// URL")
	case IsServer(database):
		s.dialect = onPostgreSQL
		driver, name, writers = "pgx", database, 4 // one writes, the others wait or finish
	}
	if s.write, err = sql.Open(driver, name); err != nil {
		return err
	}
	s.write.SetMaxOpenConns(writers)
	s.write.SetMaxIdleConns(writers)
	if database == Memory {
		s.read = s.write // the single connection is the database
		return nil
	}
	if s.read, err = sql.Open(driver, name); err != nil {
		return errors.Join(err, s.write.Close())
	}
	readers := max(8, runtime.NumCPU())
	s.read.SetMaxOpenConns(readers)
	s.read.SetMaxIdleConns(readers)
	return nil
}

// sqliteName returns the data source name, with an immediate write lock at the beginning of a write
// transaction.
func sqliteName(path string, pragmas []string) string {
	q := url.Values{"_txlock": {"immediate"}, "_dqs": {"false"}, "_pragma": append([]string{"busy_timeout(10000)"}, pragmas...)}
	if path == Memory {
		return path + "?" + q.Encode()
	}
	return "file:" + (&url.URL{Path: path}).EscapedPath() + "?" + q.Encode()
}

func (s *Store) prepare(ctx context.Context) error {
	if err := s.migrateUp(ctx); err != nil {
		return err
	}
	if err := s.seed(ctx); err != nil {
		return err
	}
	return s.sealAll(ctx)
}

// seed gives a new database its feed epoch and its default pool, and fills what a migration cannot.
func (s *Store) seed(ctx context.Context) error {
	return s.inTx(ctx, func(t *tx) error {
		if err := t.fillWords(); err != nil {
			return err
		}
		if t.epoch == "" {
			if _, err := t.exec(`UPDATE meta SET epoch = ?`, uuid.NewString()); err != nil {
				return err
			}
		}
		_, err := t.defaultPool()
		if !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		at := micros(t.now)
		id := newID()
		if _, err := t.exec(`INSERT INTO pools (id, name, name_folded, description, is_default, owner_revision, revision, created_at, updated_at)
			VALUES (?, 'Default', 'default', 'Everyone is in this pool', TRUE, 0, 1, ?, ?)`, id, at, at); err != nil {
			return err
		}
		return t.touch(portalapi.ChangePool, id, false)
	})
}

// Ping returns an error if the database cannot be read.
func (s *Store) Ping(ctx context.Context) error {
	var one int
	return s.read.QueryRowContext(ctx, `SELECT id FROM meta`).Scan(&one)
}

// Close closes the database. Readers that wait for the feed end when their context ends.
func (s *Store) Close() error {
	s.stop()
	err := s.write.Close()
	if s.read != s.write {
		err = errors.Join(err, s.read.Close())
	}
	return err
}

// newID returns an id that sorts after all earlier ids, so that new rows are next to each other in
// an index.
func newID() string { return uuid.Must(uuid.NewV7()).String() }

func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

func fromMicros(us int64) time.Time {
	if us == 0 {
		return time.Time{}
	}
	return time.UnixMicro(us).UTC()
}
