// SPDX-License-Identifier: Apache-2.0

// Package tokens checks the static bearer tokens for SCIM: those in mounted token files
// (tokenfile), which are read again when a file changes.
package tokens

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"lightrun.com/scim-operator/internal/kernel/tokenfile"
)

// maxFile limits a token file, in bytes; a Secret has at most 1 MiB.
const maxFile = 1 << 20

// errUnknown means that no token file has the token.
var errUnknown = errors.New("unknown bearer token; create a new API key with the scope scim in the portal, or add the token's digest to the token Secret")

// Expired is the error for a token that was valid in the past.
type Expired struct {
	Name string
	When time.Time
}

// Error implements error. The text is sent to the client with a 401.
func (e *Expired) Error() string {
	return fmt.Sprintf("the bearer token %sexpired on %s; create a new one and configure it in the identity provider", named(e.Name), e.When.UTC().Format(time.RFC3339))
}

func named(name string) string {
	if name == "" {
		return ""
	}
	return fmt.Sprintf("%q ", name)
}

// Set contains the tokens of the token files, also expired ones. It is safe for concurrent use;
// Load replaces its tokens atomically.
type Set struct {
	dirs    []string
	now     func() time.Time
	entries atomic.Pointer[map[string]*token]
}

// token is an entry of a token file with its use in this process.
type token struct {
	tokenfile.Entry
	used *atomic.Int64 // when it was last accepted, in seconds since 1970; it survives a Load
}

// Usage is a token with the time when this process last accepted it; zero if never.
type Usage struct {
	tokenfile.Entry
	LastUsed time.Time
}

// NewSet returns an empty set for directories of token files. Load reads them.
func NewSet(dirs ...string) *Set {
	s := &Set{dirs: dirs, now: time.Now}
	s.entries.Store(&map[string]*token{})
	return s
}

// Len returns the number of tokens, including expired ones.
func (s *Set) Len() int { return len(*s.entries.Load()) }

// All returns the tokens, in no particular order.
func (s *Set) All() []Usage {
	var all []Usage
	for _, t := range *s.entries.Load() {
		u := Usage{Entry: t.Entry}
		if at := t.used.Load(); at != 0 {
			u.LastUsed = time.Unix(at, 0)
		}
		all = append(all, u)
	}
	return all
}

// Authenticate returns the token, or the error why it is refused: *Expired, or another error for an
// unknown token. Only the token's digest is looked up, so the duration reveals nothing about other
// tokens.
func (s *Set) Authenticate(secret string) (tokenfile.Entry, error) {
	t, ok := (*s.entries.Load())[tokenfile.Digest(secret)]
	if !ok {
		return tokenfile.Entry{}, errUnknown
	}
	now := s.now()
	if !t.Expires.IsZero() && !now.Before(t.Expires) {
		return tokenfile.Entry{}, &Expired{Name: t.Name, When: t.Expires}
	}
	if at := now.Unix(); t.used.Load() != at { // written at most once a second, so that concurrent requests don't contend for it
		t.used.Store(at)
	}
	return t.Entry, nil
}

// The kubelet replaces the files of a mounted Secret in several steps; in between, a link may be
// broken. Load then reads all of them again, this many times and with this pause.
const (
	loadRetries = 20
	retryPause  = 5 * time.Millisecond
)

// Load reads every file below the directories and replaces the set with their tokens. It skips
// files and folders with a name that begins with a dot. A missing directory contains no tokens (an
// optional Secret that does not exist yet). Tokens that can be read are accepted even if Load
// returns an error, except that an unreadable directory or file leaves the whole set unchanged: an
// unreadable disk must not lock the provider out. A broken link extends the read by at most 0.1 s.
func (s *Set) Load() error {
	for range loadRetries {
		err := s.loadOnce(false)
		if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		<-time.After(retryPause)
	}
	return s.loadOnce(true)
}

// loadOnce is Load without retries. If skipBroken is true, it skips a broken link and reports it.
// Otherwise a broken link leaves the set unchanged.
func (s *Set) loadOnce(skipBroken bool) error {
	found, before := map[string]*token{}, *s.entries.Load()
	var problems []error
	for _, dir := range s.dirs {
		files, err := tokenFiles(dir)
		if err != nil {
			return err
		}
		for _, file := range files {
			data, err := readFile(file)
			if skipBroken && errors.Is(err, fs.ErrNotExist) {
				problems = append(problems, err)
				continue
			}
			if err != nil {
				return err
			}
			entries, err := tokenfile.Parse(data)
			if err != nil {
				problems = append(problems, fmt.Errorf("%s: %w", file, err))
			}
			for _, e := range entries {
				merge(found, e)
			}
		}
	}
	for digest, t := range found {
		if t.used = new(atomic.Int64); before[digest] != nil {
			t.used = before[digest].used
		}
	}
	s.entries.Store(&found)
	return errors.Join(problems...)
}

// merge adds an entry. If there are two entries with the same digest, it keeps the one that expires
// later.
func merge(found map[string]*token, e tokenfile.Entry) {
	have, ok := found[e.Digest]
	if ok && (have.Expires.IsZero() || !e.Expires.IsZero() && have.Expires.After(e.Expires)) {
		return
	}
	found[e.Digest] = &token{Entry: e}
}

// tokenFiles lists the files below dir, sorted. It skips names that begin with a dot, among them
// the kubelet's ..data and timestamped folders: the kubelet links each key into the top folder.
func tokenFiles(dir string) ([]string, error) {
	var files []string
	if real, err := filepath.EvalSymlinks(dir); err == nil {
		dir = real
	}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil
		case err != nil:
			return err
		case path != dir && strings.HasPrefix(d.Name(), "."):
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		case d.IsDir():
			return nil
		}
		info, err := os.Stat(path) // follows links
		switch {
		case errors.Is(err, fs.ErrNotExist): // a broken link: reading it returns the error
			files = append(files, path)
			return nil
		case err == nil && info.Mode().IsRegular():
			files = append(files, path)
		}
		return err
	})
	slices.Sort(files)
	return files, err
}

func readFile(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Size() > maxFile {
		return nil, fmt.Errorf("%s is larger than %d bytes", path, maxFile)
	}
	return os.ReadFile(path)
}
