// SPDX-License-Identifier: Apache-2.0

// Package postgres starts a PostgreSQL for tests, from Debian's package: it searches the binaries
// on PATH and under /usr/lib/postgresql (`make test-programs` installs them). The server listens on
// a socket in its own directory, keeps no data, and ends with the test.
package postgres

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
)

// startTime is the maximum duration of initdb and the first start.
const startTime = 2 * time.Minute

// Server is a running PostgreSQL.
type Server struct {
	directory string
	admin     *sql.DB
	databases atomic.Int64
}

// Start starts a server, which ends with the test.
func Start(t testing.TB) *Server {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), startTime)
	defer cancel()
	bin, err := binaries()
	if err != nil {
		t.Fatalf("find PostgreSQL: %v", err)
	}
	directory, err := os.MkdirTemp("", "pg") // short: a socket's path has at most 107 bytes
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(directory) })
	run, err := runner(directory)
	if err != nil {
		t.Fatal(err)
	}
	initdb := run(exec.CommandContext(ctx, filepath.Join(bin, "initdb"), "-D", filepath.Join(directory, "data"), "-U", "postgres", "-A", "trust", "--no-sync", "--no-locale", "-E", "UTF8"))
	if out, err := initdb.CombinedOutput(); err != nil {
		t.Fatalf("initdb: %v\n%s", err, out)
	}
	s := &Server{directory: directory}
	s.serve(ctx, t, run(exec.CommandContext(context.Background(), filepath.Join(bin, "postgres"), "-D", filepath.Join(directory, "data"), "-k", directory,
		"-c", "listen_addresses=", "-c", "fsync=off", "-c", "full_page_writes=off", "-c", "max_connections=400")))
	return s
}

// serve runs the server and waits until it responds.
func (s *Server) serve(ctx context.Context, t testing.TB, server *exec.Cmd) {
	t.Helper()
	log, err := os.Create(filepath.Join(s.directory, "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close() // the server has its own handle
	server.Stdout, server.Stderr = log, log
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = server.Process.Signal(syscall.SIGINT) // fast shutdown
		_ = server.Wait()
	})
	if s.admin, err = sql.Open("pgx", s.url("postgres")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.admin.Close() })
	for s.admin.PingContext(ctx) != nil {
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			text, _ := os.ReadFile(filepath.Join(s.directory, "log"))
			t.Fatalf("PostgreSQL did not answer within %v:\n%s", startTime, text)
		}
	}
}

// Database creates an empty database and returns its postgres:// URL. It is deleted with the
// server.
func (s *Server) Database(t testing.TB) string {
	t.Helper()
	name := "test" + strconv.FormatInt(s.databases.Add(1), 10)
	if _, err := s.admin.ExecContext(t.Context(), "CREATE DATABASE "+name); err != nil {
		t.Fatal(err)
	}
	return s.url(name)
}

func (s *Server) url(database string) string {
	return "postgres://postgres@/" + database + "?" + url.Values{"host": {s.directory}, "sslmode": {"disable"}}.Encode()
}

// runner returns how to run the binaries: as the current user or, since they refuse root, as
// Debian's user postgres, which then owns the directory.
func runner(directory string) (func(*exec.Cmd) *exec.Cmd, error) {
	if os.Getuid() != 0 {
		return func(c *exec.Cmd) *exec.Cmd { return c }, nil
	}
	owner, err := user.Lookup("postgres")
	if err != nil {
		return nil, fmt.Errorf("PostgreSQL refuses to run as root, and there is no user postgres: %w", err)
	}
	uid, uidErr := strconv.Atoi(owner.Uid)
	gid, gidErr := strconv.Atoi(owner.Gid)
	if err := errors.Join(uidErr, gidErr, os.Chown(directory, uid, gid)); err != nil {
		return nil, err
	}
	return func(c *exec.Cmd) *exec.Cmd {
		c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
		c.Dir = directory
		return c
	}, nil
}

// binaries returns the directory of initdb and postgres.
func binaries() (string, error) {
	if found := installed(); found != "" {
		return found, nil
	}
	return "", errors.New("there is none; run make test-programs, or put initdb and postgres on PATH")
}

func installed() string {
	paths, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb") // the pattern is well-formed
	if path, err := exec.LookPath("initdb"); err == nil {
		paths = append(paths, path)
	}
	for i := len(paths) - 1; i >= 0; i-- {
		directory := filepath.Dir(paths[i])
		if _, err := os.Stat(filepath.Join(directory, "postgres")); err == nil {
			return directory
		}
	}
	return ""
}
