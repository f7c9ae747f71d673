package groupslice

import (
	"context"
	"errors"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"
)

// ErrGroupGone is returned when the group does not exist or is deleted.
var ErrGroupGone = errors.New("the group does not exist")

// ErrBusy is returned when a change waited too long for those before it. The change may still take
// effect; repeating it is safe.
var ErrBusy = errors.New("too many changes of this group at once: try again")

// Change says that one user is to be in a group, or not to be.
type Change struct {
	User string // SCIM id
	In   bool
}

// Options of a Store. The zero value works.
type Options struct {
	FieldOwner string           // field manager of the writes
	Clock      func() time.Time // default time.Now
	// Revision is what follows the revision old; the default is max(old + 1, Unix ms).
	Revision func(old int64) int64
	// Annotations of a write: the id of the request that ctx belongs to. A patch that combines
	// several callers' changes has the first one's.
	Annotations func(ctx context.Context, revision int64) map[string]string
	// Hook is for tests: called before and after each write. An error ends the operation there, as
	// a kill would.
	Hook func(ctx context.Context, s Step) error
	// Wait bounds how long Change waits, 5 s by default; then it returns ErrBusy.
	Wait time.Duration
}

// Step is one write, for Options.Hook.
type Step struct {
	After bool   // the write was made; else it is about to be
	Verb  string // create, update, merge, patch, round
	Name  string // of the object
}

// Store reads and writes the members of the groups in one namespace. It is safe for concurrent use.
type Store struct {
	client    client.Client
	namespace string
	options   Options
}

// NewStore makes a Store. The client must not read from a cache and should not limit its rate.
func NewStore(c client.Client, namespace string, o Options) *Store {
	return &Store{client: c, namespace: namespace, options: o}
}

var errTODO = errors.New("not implemented")

// Create writes the slices of a new group. The ScimGroup is created afterwards, so that a group
// that can be found has all of its members.
func (s *Store) Create(ctx context.Context, group string, members []string) error { return errTODO }

// Change adds and removes named users. All changes are made or an error is returned; then some may
// have been made, and repeating it is safe.
func (s *Store) Change(ctx context.Context, group string, changes []Change) error { return errTODO }

// Replace makes these the only members of the group.
func (s *Store) Replace(ctx context.Context, group string, members []string) error { return errTODO }

// Contains says whether a user is a member, read live.
func (s *Store) Contains(ctx context.Context, group, user string) (bool, error) {
	return false, errTODO
}

// Members are the SCIM ids of the group's members in one snapshot, read live and sorted.
func (s *Store) Members(ctx context.Context, group string) ([]string, error) { return nil, errTODO }

// Delete removes all slices of a group that is gone.
func (s *Store) Delete(ctx context.Context, group string) error { return errTODO }
