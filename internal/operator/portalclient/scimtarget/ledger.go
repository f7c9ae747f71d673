// SPDX-License-Identifier: Apache-2.0

package scimtarget

import (
	"context"
	"errors"
	"maps"
	"sync"
)

// Ledger stores what a SCIM target cannot: small entries by key. A key consists of letters, digits,
// "-" and ".". One process of the operator leads and writes; the others may read.
type Ledger interface {
	// Load returns all entries. The caller may change the map.
	Load(ctx context.Context) (map[string][]byte, error)
	// Lead makes leader the only process whose Put is accepted.
	Lead(ctx context.Context, leader string) error
	// Leader returns the process that leads; "" if none did yet.
	Leader(ctx context.Context) (string, error)
	// Put writes entries; a nil value removes one. It may be repeated. Entries may be written one
	// after another: an error says nothing about which are written. ErrNotLeading means that
	// another process leads.
	Put(ctx context.Context, leader string, entries map[string][]byte) error
}

// ErrNotLeading is the error of a Ledger whose leader is another process.
var ErrNotLeading = errors.New("another process of the operator leads")

// MemoryLedger is a Ledger in memory, for tests and trials. The zero MemoryLedger is empty.
type MemoryLedger struct {
	mu      sync.Mutex
	leader  string
	entries map[string][]byte
}

// Load implements Ledger.
func (m *MemoryLedger) Load(context.Context) (map[string][]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := map[string][]byte{}
	maps.Copy(out, m.entries)
	return out, nil
}

// Lead implements Ledger.
func (m *MemoryLedger) Lead(_ context.Context, leader string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.leader = leader
	return nil
}

// Leader implements Ledger.
func (m *MemoryLedger) Leader(context.Context) (string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.leader, nil
}

// Put implements Ledger.
func (m *MemoryLedger) Put(_ context.Context, leader string, entries map[string][]byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.leader != "" && m.leader != leader {
		return ErrNotLeading
	}
	if m.entries == nil {
		m.entries = map[string][]byte{}
	}
	for key, value := range entries {
		if value == nil {
			delete(m.entries, key)
		} else {
			m.entries[key] = value
		}
	}
	return nil
}
