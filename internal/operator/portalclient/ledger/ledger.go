// SPDX-License-Identifier: Apache-2.0

// Package ledger stores the SCIM driver's ledger in ConfigMaps of the namespace, and reads the
// profiles of users from ScimUsers.
//
// The entries are in a fixed number of ConfigMaps. A write is one merge patch of one ConfigMap with
// its resourceVersion, so a process whose copy is older is refused. The leader changes the
// resourceVersion of all of them when it begins to lead: from then on, a write of its predecessor
// fails and finds the new leader's name.
package ledger

import (
	"context"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"sync"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"lightrun.com/scim-operator/internal/operator/portalclient/scimtarget"
)

const (
	// shards is the number of ConfigMaps. It never changes: an entry's place follows from it.
	shards = 32
	// leaderAnnotation names the process that leads.
	leaderAnnotation = "iam.lightrun.com/ledger-leader"
	// attempts is the maximum number of times that a write reads again after a conflict.
	attempts = 5
)

// Name returns the name of the ConfigMap with that number.
func Name(shard int) string { return fmt.Sprintf("scim-target-%02x", shard) }

// Ledger is a scimtarget.Ledger in the ConfigMaps of one namespace. It is safe for concurrent use.
type Ledger struct {
	reader    client.Reader // without a cache
	writer    client.Client
	namespace string
	shards    [shards]shard
}

type shard struct {
	mu      sync.Mutex // one write at a time
	version string     // resourceVersion; empty if the ConfigMap is not known to exist
}

var _ scimtarget.Ledger = (*Ledger)(nil)

// New returns the ledger of the namespace. reader reads without a cache.
func New(reader client.Reader, writer client.Client, namespace string) *Ledger {
	return &Ledger{reader: reader, writer: writer, namespace: namespace}
}

// Load implements scimtarget.Ledger. The versions for later writes remain those of Lead and of the
// writes since: a process that only reads what another one wrote cannot write over it.
func (l *Ledger) Load(ctx context.Context) (map[string][]byte, error) {
	out := map[string][]byte{}
	for i := range l.shards {
		m, err := l.get(ctx, i)
		if err != nil {
			return nil, err
		}
		for key, value := range m.Data {
			out[key] = []byte(value)
		}
	}
	return out, nil
}

// Leader implements scimtarget.Ledger. It reads the first ConfigMap's metadata, which Lead writes
// first.
func (l *Ledger) Leader(ctx context.Context) (string, error) {
	m := metav1.PartialObjectMetadata{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"}}
	err := l.reader.Get(ctx, types.NamespacedName{Namespace: l.namespace, Name: Name(0)}, &m)
	if err != nil && !apierrors.IsNotFound(err) {
		return "", fmt.Errorf("read ConfigMap %s: %w", Name(0), err)
	}
	return m.Annotations[leaderAnnotation], nil
}

// get reads one ConfigMap live. A missing one is empty.
func (l *Ledger) get(ctx context.Context, i int) (*corev1.ConfigMap, error) {
	var m corev1.ConfigMap
	err := l.reader.Get(ctx, types.NamespacedName{Namespace: l.namespace, Name: Name(i)}, &m)
	if err != nil && !apierrors.IsNotFound(err) {
		return nil, fmt.Errorf("read ConfigMap %s: %w", Name(i), err)
	}
	return &m, nil
}

// read is get, and remembers the version for the next write. The caller has locked the shard.
func (l *Ledger) read(ctx context.Context, i int) (*corev1.ConfigMap, error) {
	m, err := l.get(ctx, i)
	if err == nil {
		l.shards[i].version = m.ResourceVersion
	}
	return m, err
}

// Lead implements scimtarget.Ledger.
func (l *Ledger) Lead(ctx context.Context, leader string) error {
	for i := range l.shards {
		s := &l.shards[i]
		s.mu.Lock()
		m, err := l.read(ctx, i)
		if err == nil && m.Annotations[leaderAnnotation] != leader {
			err = l.write(ctx, i, leader, nil)
			if apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err) { // the former leader was faster: read its write
				if _, err = l.read(ctx, i); err == nil {
					err = l.write(ctx, i, leader, nil)
				}
			}
		}
		s.mu.Unlock()
		if err != nil {
			return fmt.Errorf("lead: %w", err)
		}
	}
	return nil
}

// Put implements scimtarget.Ledger.
func (l *Ledger) Put(ctx context.Context, leader string, entries map[string][]byte) error {
	byShard := map[int]map[string]*string{}
	for key, value := range entries {
		i := place(key)
		if byShard[i] == nil {
			byShard[i] = map[string]*string{}
		}
		if value == nil {
			byShard[i][key] = nil
			continue
		}
		text := string(value)
		byShard[i][key] = &text
	}
	for i, data := range byShard {
		if err := l.put(ctx, i, leader, data); err != nil {
			return err
		}
	}
	return nil
}

// place returns the number of the ConfigMap that has the entry.
func place(key string) int {
	h := fnv.New32a()
	_, _ = h.Write([]byte(key)) // never fails
	return int(h.Sum32() % shards)
}

func (l *Ledger) put(ctx context.Context, i int, leader string, data map[string]*string) error {
	s := &l.shards[i]
	s.mu.Lock()
	defer s.mu.Unlock()
	for range attempts {
		err := l.write(ctx, i, leader, data)
		if !apierrors.IsConflict(err) && !apierrors.IsAlreadyExists(err) && !apierrors.IsNotFound(err) {
			return err
		}
		m, err := l.get(ctx, i)
		if err != nil {
			return err
		}
		if now := m.Annotations[leaderAnnotation]; now != "" && now != leader {
			return scimtarget.ErrNotLeading
		}
		s.version = m.ResourceVersion
	}
	return fmt.Errorf("write ConfigMap %s: other clients write it too", Name(i))
}

// write writes the entries over the version that was read last. The caller has locked the shard.
func (l *Ledger) write(ctx context.Context, i int, leader string, data map[string]*string) error {
	s := &l.shards[i]
	m := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: l.namespace, Name: Name(i)}}
	if s.version == "" {
		m.Annotations, m.Data = map[string]string{leaderAnnotation: leader}, map[string]string{}
		for key, value := range data {
			if value != nil {
				m.Data[key] = *value
			}
		}
		if err := l.writer.Create(ctx, m); err != nil {
			return fmt.Errorf("create ConfigMap %s: %w", m.Name, err)
		}
		s.version = m.ResourceVersion
		return nil
	}
	patch, err := json.Marshal(map[string]any{
		"metadata": map[string]any{"resourceVersion": s.version, "annotations": map[string]string{leaderAnnotation: leader}},
		"data":     data,
	})
	if err != nil {
		return err
	}
	if err := l.writer.Patch(ctx, m, client.RawPatch(types.MergePatchType, patch)); err != nil {
		return fmt.Errorf("write ConfigMap %s: %w", m.Name, err)
	}
	s.version = m.ResourceVersion
	return nil
}
