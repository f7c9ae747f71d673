// Package store is the Management Portal itself: its records in a database, and the rules under which they change. The
// pages and the REST server are two faces of this one service and hold no rule of their own.
//
// A change is a method with an Actor. It runs in one transaction: the rules are checked against what the database holds
// in that transaction, the records are written, one audit event tells who did what, and the records take the next numbers
// of the change feed. A refusal is a *portal.Error and an audit event too. A write of the state that is there already
// writes nothing. Effective roles are derived when a record is read and are stored nowhere, so they cannot lag behind.
//
// Writers take turns (SQLite has one, PostgreSQL locks the row of counters), so that a rule over all records, such as
// "one local manager remains", needs no further lock, and feed numbers become visible in their order.
package store

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"runtime"
	"strings"
	"time"

	"github.com/google/uuid"
	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
	"github.com/pressly/goose/v3"
	_ "modernc.org/sqlite" // the driver "sqlite"

	"lightrun.com/scim-operator/internal/portal"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Memory is the Database of a portal that lives as long as its Store.
const Memory = ":memory:"

// Options say where the records are and what the rules ask of the world around.
type Options struct {
	// Database is the path of an SQLite file, a postgres:// URL, or Memory.
	Database string
	// Now is the clock; nil is time.Now.
	Now func() time.Time
	// CheckSSO says why people could not sign in by these settings; nil trusts them. It may take as long as ctx allows.
	CheckSSO func(ctx context.Context, sso portal.SSO) error
}

// Store is the service. Its methods may be called at the same time.
type Store struct {
	write   *sql.DB // for what takes a writer's turn
	read    *sql.DB // the same database; in memory the same pool
	dialect dialect
	now     func() time.Time
	check   func(ctx context.Context, sso portal.SSO) error
	bell    bell
	stop    func() // ends what runs in the background
}

// Open connects to the database, brings its tables up to date and makes the default pool if there is none.
func Open(ctx context.Context, o Options) (*Store, error) {
	s := &Store{now: o.Now, check: o.CheckSSO, bell: newBell(), dialect: onSQLite, stop: func() {}}
	if s.now == nil {
		s.now = time.Now
	}
	if s.check == nil {
		s.check = func(context.Context, portal.SSO) error { return nil }
	}
	if err := s.connect(o.Database); err != nil {
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

func (s *Store) connect(database string) (err error) {
	driver, name, writers := "sqlite", sqliteName(database), 1
	switch {
	case database == "":
		return errors.New("no database given: name an SQLite file or a postgres:// URL")
	case strings.HasPrefix(database, "postgres://"), strings.HasPrefix(database, "postgresql://"):
		s.dialect = onPostgreSQL
		driver, name, writers = "pgx", database, 4 // one works, the others are on their way in or out
	}
	if s.write, err = sql.Open(driver, name); err != nil {
		return err
	}
	s.write.SetMaxOpenConns(writers)
	s.write.SetMaxIdleConns(writers)
	if database == Memory {
		s.read = s.write // the one connection is the database
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

// sqliteName is the data source name: WAL so that readers and the writer do not wait for each other, FULL so that what
// was answered survives a power cut, and writers that take their turn when they begin.
func sqliteName(path string) string {
	q := url.Values{"_txlock": {"immediate"}, "_dqs": {"false"}, "_pragma": {
		"busy_timeout(10000)", "journal_mode(WAL)", "synchronous(FULL)", "foreign_keys(ON)", "temp_store(MEMORY)", "cache_size(-65536)",
	}}
	if path == Memory {
		return path + "?" + q.Encode()
	}
	return "file:" + (&url.URL{Path: path}).EscapedPath() + "?" + q.Encode()
}

func (s *Store) prepare(ctx context.Context) error {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	migrator, err := goose.NewProvider(s.dialect.goose, s.write, files)
	if err != nil {
		return err
	}
	if _, err := migrator.Up(ctx); err != nil {
		return err
	}
	return s.seed(ctx)
}

// seed gives a new database its feed epoch and its default pool.
func (s *Store) seed(ctx context.Context) error {
	return s.inTx(ctx, func(t *tx) error {
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
		return t.touch(portal.ChangePool, id, false)
	})
}

// Ping answers whether the database can be read.
func (s *Store) Ping(ctx context.Context) error {
	var one int
	return s.read.QueryRowContext(ctx, `SELECT id FROM meta`).Scan(&one)
}

// Close gives the database back. Waiting readers of the feed end when their context does.
func (s *Store) Close() error {
	s.stop()
	err := s.write.Close()
	if s.read != s.write {
		err = errors.Join(err, s.read.Close())
	}
	return err
}

// newID returns an id that sorts after those made before it, so that new rows land together at an index's end.
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
