// SPDX-License-Identifier: Apache-2.0

// Package session owns the operator's connection to the portal, and the policy for its use. The
// controller of the IdentityConfiguration opens, blocks and closes it. The other controllers take a
// View once per reconcile, and subscribe to changes.
package session

import (
	"context"
	"sync"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/kernel/portalapi"
	"lightrun.com/scim-operator/internal/operator/portalclient/breaker"
	"lightrun.com/scim-operator/internal/operator/portalclient/mirror"
)

// Block is the reason why the portal must not be written to now.
type Block struct {
	Reason, Message string
	Foreign         bool // the portal is bound to another operator, which owns its records
}

// View is a snapshot of the connection's state.
type View struct {
	Client portalapi.Client                    // nil while Block or Unknown
	Mirror *mirror.Mirror                      // nil before the first connection
	Spec   *v1alpha1.IdentityConfigurationSpec // spec of the current configuration; nil if there is none
	Block  *Block                              // nil if writes are allowed
	// Unknown is true until the configuration is read after the start of the manager. Then
	// controllers write and report nothing.
	Unknown bool
}

// Event describes a difference for the subscribers of the session.
type Event struct {
	mirror.Event      // a change of the portal's state
	Session      bool // the session was opened, blocked or closed, or its policy changed
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

// New returns a session in the state Unknown.
func New(o mirror.Options) *Session {
	return &Session{options: o, view: View{Unknown: true}}
}

// View returns the current state.
func (s *Session) View() View {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.view
}

// Subscribe calls f after each change. f must not block for long.
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

// Open makes the session use client and spec. If key (address and credentials) is the current one,
// the connection and its mirror stay. Otherwise Open starts a new mirror. It returns the view and
// does not wait for the portal.
func (s *Session) Open(ctx context.Context, key string, client portalapi.Client, spec *v1alpha1.IdentityConfigurationSpec) View {
	return s.set(ctx, key, client, spec, nil)
}

// OpenReadOnly is Open with all writes blocked; why is the reason.
func (s *Session) OpenReadOnly(ctx context.Context, key string, client portalapi.Client, spec *v1alpha1.IdentityConfigurationSpec, why Block) View {
	return s.set(ctx, key, client, spec, &why)
}

func (s *Session) set(ctx context.Context, key string, client portalapi.Client, spec *v1alpha1.IdentityConfigurationSpec, why *Block) View {
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

// Close ends the connection; block is the reason.
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

// connect starts following the portal. The caller has locked s.mu.
func (s *Session) connect(ctx context.Context, key string, client portalapi.Client) {
	ctx, s.stop = context.WithCancel(context.WithoutCancel(ctx)) // outlives the reconcile that opens it
	broken := breaker.New(client)
	m := mirror.New(func(e mirror.Event) {
		if e.Reachable {
			broken.Reset() // before the subscribers are notified to try again
		}
		s.publish(Event{Event: e})
	})
	s.key, s.view.Client, s.view.Mirror = key, broken, m
	go m.Follow(ctx, client, s.options)
}

// disconnect stops following. The caller has locked s.mu. It does not wait: a running notification
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

// samePolicy compares the fields that affect decisions about accounts.
func samePolicy(a, b *v1alpha1.IdentityConfigurationSpec) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.ManagementPolicy == b.ManagementPolicy && a.OnDelete == b.OnDelete
}
