// Package session holds the operator's one live connection to the portal, with the policy it works
// under. The IdentityConfiguration's controller opens, blocks and closes it; the other controllers
// take a View once per pass and are told of changes.
package session

import (
	"context"
	"sync"
	"time"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/portal"
	"lightrun.com/scim-operator/internal/portal/breaker"
	"lightrun.com/scim-operator/internal/portal/mirror"
)

// Block says why nothing may be written to the portal now.
type Block struct {
	Reason, Message string
	Foreign         bool // the portal follows another operator: what it holds is not ours
}

// Decisions are what a person decided about removals that the deprovisioning guard holds: all that
// were held by then. The zero time is no decision.
type Decisions struct {
	ReleaseUntil, DropUntil time.Time
	By                      string // who decided; empty when nobody is named
}

// View is the state of the connection at one moment.
type View struct {
	Client    portal.Client                       // nil while Block or Unknown
	Mirror    *mirror.Mirror                      // nil before the first connection
	Spec      *v1alpha1.IdentityConfigurationSpec // of the configuration in force; nil without one
	Block     *Block                              // nil: go on
	Decisions Decisions
	// Unknown: the configuration has not been looked at since the start. Nothing is known, so
	// nothing is said or done.
	Unknown bool
}

// Event says what became different for those who work with the session.
type Event struct {
	mirror.Event      // what the portal told
	Session      bool // the session itself was opened, blocked, closed or given another policy
}

// Session is safe for concurrent use.
type Session struct {
	options mirror.Options

	mu          sync.Mutex
	view        View
	key         string
	stop        context.CancelFunc
	subscribers []func(Event)
}

// New returns a session that knows nothing yet.
func New(o mirror.Options) *Session {
	return &Session{options: o, view: View{Unknown: true}}
}

// View returns the state now.
func (s *Session) View() View {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.view
}

// Subscribe has f called after each change. f must not block for long.
func (s *Session) Subscribe(f func(Event)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.subscribers = append(s.subscribers, f)
}

func (s *Session) publish(e Event) {
	s.mu.Lock()
	subscribers := s.subscribers
	s.mu.Unlock()
	for _, f := range subscribers {
		f(e)
	}
}

// Open works with client under spec from now on. The same key (address and credentials) keeps the
// connection and its mirror; another one starts afresh. It returns the view and does not wait for
// the portal.
func (s *Session) Open(ctx context.Context, key string, client portal.Client, spec *v1alpha1.IdentityConfigurationSpec) View {
	return s.set(ctx, key, client, spec, nil)
}

// Hold keeps the connection open for reading, and lets nobody write.
func (s *Session) Hold(ctx context.Context, key string, client portal.Client, spec *v1alpha1.IdentityConfigurationSpec, why Block) View {
	return s.set(ctx, key, client, spec, &why)
}

// Decide takes a person's decisions over.
func (s *Session) Decide(d Decisions) {
	s.mu.Lock()
	changed := s.view.Decisions != d
	s.view.Decisions = d
	s.mu.Unlock()
	if changed {
		s.publish(Event{Session: true})
	}
}

func (s *Session) set(ctx context.Context, key string, client portal.Client, spec *v1alpha1.IdentityConfigurationSpec, why *Block) View {
	s.mu.Lock()
	before := s.view
	if key != s.key || s.view.Mirror == nil {
		s.disconnect()
		s.connect(ctx, key, client)
	}
	s.view.Spec, s.view.Block, s.view.Unknown = spec, why, false
	view := s.view
	s.mu.Unlock()
	if before.Unknown || before.Mirror != view.Mirror || !sameBlock(before.Block, why) || !samePolicy(before.Spec, spec) {
		s.publish(Event{Session: true})
	}
	return view
}

// Close ends the connection and says why there is none.
func (s *Session) Close(why Block) {
	s.mu.Lock()
	before := s.view
	s.disconnect()
	s.view = View{Block: &why}
	s.mu.Unlock()
	if before.Unknown || !sameBlock(before.Block, &why) {
		s.publish(Event{Session: true})
	}
}

// Start ends the connection when ctx ends; it is a manager.Runnable.
func (s *Session) Start(ctx context.Context) error {
	<-ctx.Done()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.disconnect()
	return nil
}

// connect starts to follow the portal. The caller holds the lock.
func (s *Session) connect(ctx context.Context, key string, client portal.Client) {
	ctx, s.stop = context.WithCancel(context.WithoutCancel(ctx)) // outlives the reconcile that opens it
	broken := breaker.New(client)
	m := mirror.New(func(e mirror.Event) {
		if e.Reachable {
			broken.Reset() // before anybody is told to try again
		}
		s.publish(Event{Event: e})
	})
	s.key, s.view.Client, s.view.Mirror = key, broken, m
	go m.Follow(ctx, client, s.options)
}

// disconnect stops following. The caller holds the lock. It does not wait: a notification under way
// may need the lock.
func (s *Session) disconnect() {
	if s.stop != nil {
		s.stop()
	}
	s.stop, s.key, s.view.Client, s.view.Mirror = nil, "", nil, nil
}

func sameBlock(a, b *Block) bool {
	if a == nil || b == nil {
		return a == b
	}
	return *a == *b
}

// samePolicy compares what changes decisions about accounts.
func samePolicy(a, b *v1alpha1.IdentityConfigurationSpec) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.ManagementPolicy == b.ManagementPolicy && a.OnDelete == b.OnDelete
}
