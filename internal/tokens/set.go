// Package tokens knows which bearer tokens may push over SCIM: those in mounted token files
// (tokenfile), read again when a file changes.
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

// maxFile bounds a token file; a Secret is at most 1 MiB.
const maxFile = 1 << 20

// errUnknown says that no such token is accepted.
var errUnknown = errors.New("the bearer token is not known; copy it again from the portal's API keys, or add its digest to the token Secret")

// Expired says that the token was accepted once.
type Expired struct {
	Name string
	When time.Time
}

func (e *Expired) Error() string {
	return fmt.Sprintf("the bearer token %sexpired on %s; make a new one and put it into the identity provider", named(e.Name), e.When.UTC().Format(time.RFC3339))
}

func named(name string) string {
	if name == "" {
		return ""
	}
	return fmt.Sprintf("%q ", name)
}

// Set is the tokens that are accepted now. It is safe for concurrent use; Load replaces all of it
// at once.
type Set struct {
	dirs    []string
	now     func() time.Time
	entries atomic.Pointer[map[string]*accepted]
}

// accepted is a token with what became of it in this process.
type accepted struct {
	tokenfile.Entry
	used *atomic.Int64 // when it was last accepted, in seconds since 1970; it outlives a Load
}

// Usage is a token and when this process last accepted it; zero for never.
type Usage struct {
	tokenfile.Entry
	LastUsed time.Time
}

// NewSet makes an empty set over directories of token files. Nothing is read before Load.
func NewSet(dirs ...string) *Set {
	s := &Set{dirs: dirs, now: time.Now}
	s.entries.Store(&map[string]*accepted{})
	return s
}

// Len is how many tokens are accepted, expired ones included.
func (s *Set) Len() int { return len(*s.entries.Load()) }

// All lists the tokens, in no order.
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

// Authenticate says which token this is, or why it is refused: *Expired, or an error for an unknown
// one. The work depends on the token's digest only, so its time tells nothing about other tokens.
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
	if at := now.Unix(); a.used.Load() != at { // written once a second, so that requests side by side don't contend for it
		a.used.Store(at)
	}
	return a.Entry, nil
}

// The files of a mounted Secret are exchanged in several steps: in between, a link may lead
// nowhere. Load then reads all of them again, so often and after such pauses.
const (
	exchanges     = 20
	exchangePause = 5 * time.Millisecond
)

// Load reads every file below the directories and replaces the set by what they hold. A directory
// that is missing holds nothing (an optional Secret that is not there yet). What can be read counts
// even if an error is returned, except that a directory or file which can't be read at all leaves
// the whole set as it was: an unreadable disk must not lock the provider out. It takes at most 0.1
// s longer than the reading when a link leads nowhere.
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

// loadOnce is Load without patience: with a link that leads nowhere it leaves the set as it was, or
// passes it over and tells of it.
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

// merge keeps, of two lines with one digest, the one that lasts longer.
func merge(found map[string]*accepted, e tokenfile.Entry) {
	have, ok := found[e.Digest]
	if ok && (have.Expires.IsZero() || !e.Expires.IsZero() && have.Expires.After(e.Expires)) {
		return
	}
	found[e.Digest] = &accepted{Entry: e}
}

// tokenFiles lists the files below dir, sorted. The kubelet's own ..data and timestamped folders
// are passed over: it links each key into the top folder.
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
		case errors.Is(err, fs.ErrNotExist): // listed, but leading nowhere: reading it will tell
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
