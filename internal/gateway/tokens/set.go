// SPDX-License-Identifier: Apache-2.0

// Package tokens checks the static bearer tokens for SCIM: those in mounted token files
// (tokenfile), which are read again when a file changes.
package tokens

import (
	"crypto/subtle"
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

// errUnknown means that no such token is accepted.
var errUnknown = errors.New("unknown bearer token; copy it again from the portal's API keys, or add its digest to the token Secret")

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

// Set is the set of accepted tokens. It is safe for concurrent use; Load replaces it atomically.
type Set struct {
	dirs    []string
	now     func() time.Time
	entries atomic.Pointer[map[string]*accepted]
}

// accepted is a token with its use in this process.
type accepted struct {
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
	s.entries.Store(&map[string]*accepted{})
	return s
}

// Len returns the number of tokens, including expired ones.
func (s *Set) Len() int { return len(*s.entries.Load()) }

// All returns the tokens, in no particular order.
func (s *Set) All() []Usage {
	var all []Usage
	for _, a := range *s.entries.Load() {
		u := Usage{Entry: a.Entry}
		if at := a.used.Load(); at != 0 {
			u.LastUsed = time.Unix(at, 0)
		}
		all = append(all, u)
	}
	return all
}

// Authenticate returns the token, or the error why it is refused: *Expired, or another error for an
// unknown token. Only the token's digest is looked up, so the duration reveals nothing about other
// tokens.
func (s *Set) Authenticate(token string) (tokenfile.Entry, error) {
	digest := tokenfile.Digest(token)
	a, ok := (*s.entries.Load())[digest]
	if !ok || subtle.ConstantTimeCompare([]byte(a.Digest), []byte(digest)) != 1 {
		return tokenfile.Entry{}, errUnknown
	}
	now := s.now()
	if !a.Expires.IsZero() && !now.Before(a.Expires) {
		return tokenfile.Entry{}, &Expired{Name: a.Name, When: a.Expires}
	}
	if at := now.Unix(); a.used.Load() != at { // written at most once a second, so that concurrent requests don't contend for it
		a.used.Store(at)
	}
	return a.Entry, nil
}

// The kubelet replaces the files of a mounted Secret in several steps; in between, a link may be
// broken. Load then reads all of them again, this many times and with this pause.
const (
	exchanges     = 20
	exchangePause = 5 * time.Millisecond
)

// Load reads every file below the directories and replaces the set with their tokens. A missing
// directory contains no tokens (an optional Secret that does not exist yet). Tokens that can be
// read are accepted even if Load returns an error, except that an unreadable directory or file
// leaves the whole set unchanged: an unreadable disk must not lock the provider out. A broken link
// extends the read by at most 0.1 s.
func (s *Set) Load() error {
	for range exchanges {
		err := s.loadOnce(false)
		if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		<-time.After(exchangePause)
	}
	return s.loadOnce(true)
}

// loadOnce is Load without retries: for a broken link it leaves the set unchanged, or skips and
// reports the link.
func (s *Set) loadOnce(passOver bool) error {
	found, before := map[string]*accepted{}, *s.entries.Load()
	var problems []error
	for _, dir := range s.dirs {
		files, err := tokenFiles(dir)
		if err != nil {
			return err
		}
		for _, file := range files {
			data, err := readFile(file)
			if passOver && errors.Is(err, fs.ErrNotExist) {
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
	for digest, a := range found {
		if a.used = new(atomic.Int64); before[digest] != nil {
			a.used = before[digest].used
		}
	}
	s.entries.Store(&found)
	return errors.Join(problems...)
}

// merge adds an entry. If there are two entries with the same digest, it keeps the one that expires
// later.
func merge(found map[string]*accepted, e tokenfile.Entry) {
	have, ok := found[e.Digest]
	if ok && (have.Expires.IsZero() || !e.Expires.IsZero() && have.Expires.After(e.Expires)) {
		return
	}
	found[e.Digest] = &accepted{Entry: e}
}

// tokenFiles lists the files below dir, sorted. It skips the kubelet's own ..data and timestamped
// folders: the kubelet links each key into the top folder.
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
