// SPDX-License-Identifier: Apache-2.0

package scimtarget

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/google/uuid"

	"lightrun.com/scim-operator/internal/kernel/portalapi"
	"lightrun.com/scim-operator/internal/scim"
	"lightrun.com/scim-operator/internal/scim/schema"
)

// Profiles returns what the identity provider says about a user.
type Profiles interface {
	// Profile returns the canonical SCIM User of the ScimUser with that name. It returns nil if
	// there is none. It reads from a cache and is fast.
	Profile(ctx context.Context, owner string) (scim.Object, error)
}

// Options configure the client.
type Options struct {
	URL      string       // SCIM base URL, such as https://app.example.com/scim/v2
	HTTP     *http.Client // adds the credentials to each request (see Bearer); nil means http.DefaultTransport, without credentials
	Ledger   Ledger
	Profiles Profiles // nil: accounts have only what the port's writes have
	// Leader identifies this process among the processes of the operator. It is "" for a client
	// that only reads.
	Leader      string
	Roles       bool             // write the attribute roles
	Groups      bool             // write pools as Groups
	Concurrency int              // requests at the same time; 0: 8
	Timeout     time.Duration    // per request; 0: 30 s
	Now         func() time.Time // nil: time.Now
}

// Client is a portalapi.Client for a SCIM target. Its methods are safe for concurrent use.
type Client struct {
	options  Options
	endpoint *endpoint
	users    *schema.ResourceType
	locks    keyed // one write per record at a time

	loading sync.Mutex // while the ledger and what the target can do are read
	listing sync.Mutex // while the target is listed

	mu     sync.Mutex
	can    *abilities // nil until it is read
	book   *book      // nil until the ledger is loaded
	feed   feed
	loss   *loss  // nil while the target has most of its accounts
	accept string // id of the loss that a person accepted
}

var _ portalapi.Client = (*Client)(nil)

// New returns a client, or an error for invalid options. It sends no request.
func New(o Options) (*Client, error) {
	if o.Ledger == nil {
		return nil, errors.New("no ledger for the target")
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	e, err := newEndpoint(o)
	if err != nil {
		return nil, err
	}
	c := &Client{
		options: o, endpoint: e, users: schema.User(),
		feed: feed{epoch: uuid.NewString(), last: map[entry]int64{}, more: make(chan struct{})},
	}
	e.leads = c.stillLeads
	return c, nil
}

// Calls returns the number of requests that the client has sent.
func (c *Client) Calls() int64 {
	c.endpoint.mu.Lock()
	defer c.endpoint.mu.Unlock()
	return c.endpoint.calls
}

// ready loads the ledger and reads what the target can do, once.
func (c *Client) ready(ctx context.Context) error {
	c.loading.Lock()
	defer c.loading.Unlock()
	c.mu.Lock()
	can, loaded := c.can, c.book != nil
	c.mu.Unlock()
	if can == nil {
		found, err := c.discover(ctx)
		if err != nil {
			return err
		}
		c.mu.Lock()
		c.can = found
		c.mu.Unlock()
	}
	if loaded {
		return nil
	}
	return c.load(ctx)
}

// load reads the ledger. The caller has locked loading.
func (c *Client) load(ctx context.Context) error {
	entries, err := c.options.Ledger.Load(ctx)
	if err != nil {
		return fmt.Errorf("read the ledger: %w", err)
	}
	b := newBook(c.options.Now().UnixMicro())
	if err := b.load(entries); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.book = b
	return nil
}

// writable is ready, and refuses writes while nothing may be written.
func (c *Client) writable(ctx context.Context) error {
	if err := c.ready(ctx); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.loss != nil {
		return c.loss.refusal()
	}
	return c.leads()
}

// leads refuses a write of a process that does not lead. The caller has locked mu.
func (c *Client) leads() error {
	if l := c.book.state.Leader; l != "" && l != c.options.Leader {
		return refuse(http.StatusConflict, portalapi.CodeStaleLeader, "the operator's process %q leads; a new leader must bind the target before it writes", l)
	}
	return nil
}

// stillLeads reads in the ledger whether this process leads. leads knows only what this process has
// read before.
func (c *Client) stillLeads(ctx context.Context) error {
	leader, err := c.options.Ledger.Leader(ctx)
	if err != nil {
		return fmt.Errorf("read who leads: %w", err)
	}
	if leader != "" && leader != c.options.Leader {
		return refuse(http.StatusConflict, portalapi.CodeStaleLeader, "the operator's process %q leads; a new leader must bind the target before it writes", leader)
	}
	return nil
}

// scimOn refuses provisioning while SCIM is off in the declared login methods. The caller has
// locked mu.
func (c *Client) scimOn() error {
	if !c.book.state.LoginMethods.SCIMEnabled {
		return refuse(http.StatusConflict, portalapi.CodeSCIMRequired, "SCIM is off in spec.loginMethods of the IdentityConfiguration")
	}
	return nil
}

// put writes entries to the ledger.
func (c *Client) put(ctx context.Context, entries map[string]any) error {
	encoded := make(map[string][]byte, len(entries))
	for key, v := range entries {
		if v == nil {
			encoded[key] = nil
			continue
		}
		text, err := json.Marshal(v)
		if err != nil {
			return fmt.Errorf("encode the ledger's entry %s: %w", key, err)
		}
		encoded[key] = text
	}
	err := c.options.Ledger.Put(ctx, c.options.Leader, encoded)
	if errors.Is(err, ErrNotLeading) {
		return refuse(http.StatusConflict, portalapi.CodeStaleLeader, "another process of the operator leads; a new leader must bind the target before it writes")
	}
	if err != nil {
		return fmt.Errorf("write the ledger: %w", err)
	}
	return nil
}

func refuse(status int, code portalapi.Code, format string, args ...any) error {
	return &portalapi.Error{Status: status, Code: code, Message: fmt.Sprintf(format, args...)}
}

// adopted returns the id of the record to adopt; empty if the write adopts none.
func adopted(a *portalapi.Adopt) string {
	if a == nil {
		return ""
	}
	return a.ID
}

// ownerCalled returns the words for the owner with that UID in a message.
func ownerCalled(uid string) string {
	if uid == "" {
		return "no owner"
	}
	return fmt.Sprintf("the owner %q", uid)
}

// keyed is a set of locks by name.
type keyed struct {
	mu     sync.Mutex
	byName map[string]*keyedLock
}

type keyedLock struct {
	sync.Mutex
	users int
}

// lockRecord locks the record whose id find returns. While another write had the lock, the id may
// have changed: then it locks the other record. Without a record, it locks the name owner. find is
// called with mu locked.
func (c *Client) lockRecord(kind, owner string, find func() string) (unlock func()) {
	id := func() string {
		c.mu.Lock()
		defer c.mu.Unlock()
		return cmp.Or(find(), "of "+owner)
	}
	for {
		now := id()
		unlock := c.locks.lock(kind + now)
		if id() == now {
			return unlock
		}
		unlock()
	}
}

// lock locks the name, and returns the function that unlocks it.
func (k *keyed) lock(name string) (unlock func()) {
	k.mu.Lock()
	if k.byName == nil {
		k.byName = map[string]*keyedLock{}
	}
	l := k.byName[name]
	if l == nil {
		l = &keyedLock{}
		k.byName[name] = l
	}
	l.users++
	k.mu.Unlock()
	l.Lock()
	return func() {
		l.Unlock()
		k.mu.Lock()
		defer k.mu.Unlock()
		if l.users--; l.users == 0 {
			delete(k.byName, name)
		}
	}
}
