// SPDX-License-Identifier: Apache-2.0

package store

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/kernel/claims"
	"lightrun.com/scim-operator/internal/kernel/groupslice"
	"lightrun.com/scim-operator/internal/scim"
)

// A provider that sees an empty directory creates all users again. Therefore a kind whose
// CustomResourceDefinition is missing or being deleted must never look empty. Three signs show this
// state:
//
//   - the API server answers 404 for a path that it does not serve, which is not an answer about
//     an object;
//   - deleting a definition deletes its objects too, without a tombstone. Such a removal is
//     postponed until a dry run of a create shows that the kind is served;
//   - an object that the cache contains is not found, without a tombstone: this starts the same
//     dry run.

const (
	// probePause is the time for which a removal without a tombstone is postponed, and the pause
	// between probes. The deletion of a definition takes effect in the API server some milliseconds
	// later.
	probePause = 300 * time.Millisecond
	probeTime  = 5 * time.Second
	// causeNotServed marks an error about a path that the API server does not serve.
	causeNotServed metav1.CauseType = "NotServed"
)

// source is one kind that every request needs.
type source struct {
	kind, plural string
	probe        func(ctx context.Context) error // creates an object as a dry run

	mu         sync.Mutex
	filled     bool     // the kind was listed at least once
	missing    bool     // the kind is not served now
	recovering bool     // the next list sets missing to false
	postponed  []func() // postponed removals
	doubts     chan struct{}
	restart    context.CancelFunc // restarts the reflector; nil for a kind that the cache does not follow
}

func newSource(kind, plural string) *source {
	return &source{kind: kind, plural: plural, doubts: make(chan struct{}, 1), recovering: true}
}

func (s *source) isFilled() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.filled
}

// isKnown reports whether the cache has a list of the kind, or knows that the kind is not served.
func (s *source) isKnown() bool { return s.isFilled() || s.isMissing() }

func (s *source) isMissing() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.missing
}

// starts records that a new reflector starts, which lists first.
func (s *source) starts(stop context.CancelFunc) {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.restart, s.recovering = stop, true
}

// listed records a complete list.
func (s *source) listed() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.filled = true
	if s.recovering {
		s.missing, s.recovering = false, false
	}
}

// lost records that the API server does not serve the kind.
func (s *source) lost() {
	s.mu.Lock()
	s.missing, s.recovering = true, false
	s.mu.Unlock()
	s.doubt()
}

// postpone postpones a removal until a probe shows that the kind is served.
func (s *source) postpone(remove func()) {
	s.mu.Lock()
	s.postponed = append(s.postponed, remove)
	s.mu.Unlock()
	s.doubt()
}

func (s *source) doubt() {
	select {
	case s.doubts <- struct{}{}:
	default:
	}
}

// watchDoubts probes the kind while removals are postponed or it is missing, until ctx ends.
func (s *source) watchDoubts(ctx context.Context) {
	for {
		select {
		case <-s.doubts:
		case <-ctx.Done():
			return
		}
		for settled := false; !settled; settled = s.settle(ctx) {
			select {
			case <-time.After(probePause):
			case <-ctx.Done():
				return
			}
		}
	}
}

// settle probes once. It reports whether no doubt remains.
func (s *source) settle(ctx context.Context) bool {
	s.mu.Lock()
	postponed := s.postponed
	s.postponed = nil
	s.mu.Unlock()
	served, err := s.ask(ctx)
	if err != nil || !served {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.postponed = append(postponed, s.postponed...)
		if err == nil {
			s.missing, s.recovering = true, false
		}
		return false
	}
	for _, remove := range postponed {
		remove()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.restart == nil:
		s.missing = false
	case s.missing && !s.recovering:
		s.restart() // list again
	}
	return !s.missing && len(s.postponed) == 0
}

// ask probes whether the kind is served. If it returns an error, that is unknown.
func (s *source) ask(ctx context.Context) (served bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	err = s.probe(ctx)
	switch {
	case err == nil, apierrors.IsInvalid(err), apierrors.IsAlreadyExists(err):
		return true, nil
	case apierrors.IsForbidden(err): // the definition is being deleted, or the webhook's rights were deleted too
		return false, nil
	case apierrors.HasStatusCause(err, causeNotServed):
		return false, nil
	}
	return false, fmt.Errorf("probe %s: %w", s.plural, err)
}

// confirm is called if an object that the cache contains is not found. It returns nil if the object
// does not exist, and an error if the kind is not served.
func (s *source) confirm(ctx context.Context) error {
	served, err := s.ask(ctx)
	if err != nil || served {
		return err
	}
	s.lost()
	return errNotServed(s.kind)
}

// unnamed is called for an object that the cache has under a name, if the API server has no claim
// on that name; read is the live object. It reports whether the object counts as found, because it
// was restored and its claim does not exist yet. An error means that its kind, or NameClaim, is not
// served.
func (d *Directory) unnamed(ctx context.Context, from *source, found bool, read client.Object) (bool, error) {
	switch {
	case found && !claims.MadeByWebhook(read):
		return true, nil
	case found:
		return false, d.ofClaims.confirm(ctx)
	}
	return false, d.gone(ctx, from, true, read)
}

func errNotServed(kind string) error {
	return scim.Failure(http.StatusServiceUnavailable, "The cluster does not serve %s: its CustomResourceDefinition is missing or being deleted. Nothing was changed; retry the request.", kind)
}

// sources returns the kinds that every request needs. AgentPool is not one of them, because groups
// do not depend on pools.
func (d *Directory) sources() []*source {
	return []*source{d.ofUsers, d.ofGroups, d.ofSlices, d.ofClaims}
}

// probes sets the probe of each kind: the creation of a valid object, for an unused name.
func (d *Directory) probes() {
	meta := func(name string) metav1.ObjectMeta { return metav1.ObjectMeta{Namespace: d.namespace, Name: name} }
	dryRun := func(o func() client.Object) func(context.Context) error {
		return func(ctx context.Context) error {
			return d.client.Create(ctx, o(), client.DryRunAll, client.FieldOwner(v1alpha1.FieldManagerWebhook))
		}
	}
	d.ofUsers.probe = dryRun(func() client.Object {
		return &v1alpha1.ScimUser{ObjectMeta: meta(uuid.NewString()), Spec: v1alpha1.ScimUserSpec{UserName: "probe"}}
	})
	d.ofGroups.probe = dryRun(func() client.Object {
		return &v1alpha1.ScimGroup{ObjectMeta: meta(uuid.NewString()), Spec: v1alpha1.ScimGroupSpec{DisplayName: "probe"}}
	})
	d.ofPools.probe = dryRun(func() client.Object { return ownPool(d.namespace, uuid.NewString()) })
	d.ofClaims.probe = dryRun(func() client.Object {
		return &v1alpha1.NameClaim{
			ObjectMeta: meta(claims.ObjectName(v1alpha1.ClaimUser, uuid.NewString())),
			Spec:       v1alpha1.NameClaimSpec{Type: v1alpha1.ClaimUser, Holder: v1alpha1.ClaimHolder{Name: "probe", UID: "probe"}},
		}
	})
	d.ofSlices.probe = dryRun(func() client.Object {
		return &v1alpha1.ScimGroupSlice{ObjectMeta: meta(groupslice.Name(uuid.NewString(), 0))}
	})
}

// notServed is a transport that turns a 404 for a path that the API server does not serve into 503.
// Every remaining 404 is about an object.
type notServed struct {
	next http.RoundTripper
	lost func(plural string)
}

func (t notServed) RoundTrip(r *http.Request) (*http.Response, error) {
	answer, err := t.next.RoundTrip(r)
	if err != nil || answer.StatusCode != http.StatusNotFound || strings.HasPrefix(answer.Header.Get("Content-Type"), "application/") {
		return answer, err
	}
	_ = answer.Body.Close()
	plural := pluralOf(r.URL.Path)
	t.lost(plural)
	body, err := json.Marshal(metav1.Status{
		TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"},
		Status:   metav1.StatusFailure, Reason: metav1.StatusReasonServiceUnavailable, Code: http.StatusServiceUnavailable,
		Message: "the API server does not serve " + plural,
		Details: &metav1.StatusDetails{Causes: []metav1.StatusCause{{Type: causeNotServed}}},
	})
	if err != nil {
		return nil, fmt.Errorf("encode a status: %w", err)
	}
	answer.StatusCode, answer.Status = http.StatusServiceUnavailable, "503 Service Unavailable"
	answer.Header = http.Header{"Content-Type": {"application/json"}}
	answer.Body, answer.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	return answer, nil
}

// pluralOf returns the resource of /apis/<group>/<version>/namespaces/<namespace>/<plural>/….
func pluralOf(path string) string {
	if parts := strings.Split(path, "/"); len(parts) > 6 && parts[4] == "namespaces" {
		return parts[6]
	}
	return ""
}

// lost records that the API server does not serve a resource.
func (d *Directory) lost(plural string) {
	for _, s := range append(d.sources(), d.ofPools) {
		if s.plural == plural {
			s.lost()
		}
	}
}
