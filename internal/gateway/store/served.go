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

// A provider that sees an empty directory creates everyone again, so a kind whose
// CustomResourceDefinition is missing or being deleted must never look empty. Three things tell:
//
//   - the API server answers 404 for a path that it does not serve, which is no answer about an object;
//   - a definition that is being deleted takes its objects along, without a tombstone. Such a removal
//     is held back until a dry run of a create shows that the kind is served;
//   - an object that the cache has is not found, without a tombstone: then the same dry run is made.

const (
	// probePause is how long a removal without a tombstone is held back, and the pause between
	// probes. The API server hears of a deletion of the definition some milliseconds after it
	// began.
	probePause = 300 * time.Millisecond
	probeTime  = 5 * time.Second
	// causeNotServed marks an error about a path that the API server does not serve.
	causeNotServed metav1.CauseType = "NotServed"
)

// source is one kind that nothing can be served without.
type source struct {
	kind, plural string
	probe        func(ctx context.Context) error // a create as a dry run

	mu         sync.Mutex
	filled     bool     // a list came at least once
	missing    bool     // not served now
	recovering bool     // the next list ends missing
	held       []func() // removals that are held back
	doubts     chan struct{}
	restart    context.CancelFunc // of the reflector; nil for a kind that the cache does not follow
}

func newSource(kind, plural string) *source {
	return &source{kind: kind, plural: plural, doubts: make(chan struct{}, 1), recovering: true}
}

func (s *source) isFilled() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.filled
}

// isKnown says whether the cache has a list of the kind, or that there is none to have.
func (s *source) isKnown() bool { return s.isFilled() || s.isMissing() }

func (s *source) isMissing() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.missing
}

// starts takes note that a new reflector begins, which lists first.
func (s *source) starts(stop context.CancelFunc) {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.restart, s.recovering = stop, true
}

// listed takes note of a whole list.
func (s *source) listed() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.filled = true
	if s.recovering {
		s.missing, s.recovering = false, false
	}
}

// lost takes note that the API server does not serve the kind.
func (s *source) lost() {
	s.mu.Lock()
	s.missing, s.recovering = true, false
	s.mu.Unlock()
	s.doubt()
}

// hold keeps a removal back until the kind is seen to be served.
func (s *source) hold(remove func()) {
	s.mu.Lock()
	s.held = append(s.held, remove)
	s.mu.Unlock()
	s.doubt()
}

func (s *source) doubt() {
	select {
	case s.doubts <- struct{}{}:
	default:
	}
}

// watchDoubts probes the kind while there is a doubt, until ctx ends.
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

// settle probes once. It says whether no doubt is left.
func (s *source) settle(ctx context.Context) bool {
	s.mu.Lock()
	held := s.held
	s.held = nil
	s.mu.Unlock()
	served, err := s.ask(ctx)
	if err != nil || !served {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.held = append(held, s.held...)
		if err == nil {
			s.missing, s.recovering = true, false
		}
		return false
	}
	for _, remove := range held {
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
	return !s.missing && len(s.held) == 0
}

// ask says whether the kind is served. An error means that it is not known.
func (s *source) ask(ctx context.Context) (served bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	err = s.probe(ctx)
	switch {
	case err == nil, apierrors.IsInvalid(err), apierrors.IsAlreadyExists(err):
		return true, nil
	case apierrors.IsForbidden(err): // the definition is being deleted, or our rights went with it
		return false, nil
	case apierrors.HasStatusCause(err, causeNotServed):
		return false, nil
	}
	return false, fmt.Errorf("probe %s: %w", s.plural, err)
}

// confirm is asked when an object that the cache has is not found: nil if it is the object that is
// gone, an error if it is the kind.
func (s *source) confirm(ctx context.Context) error {
	served, err := s.ask(ctx)
	if err != nil || served {
		return err
	}
	s.lost()
	return errNotServed(s.kind)
}

// unnamed is asked about an object that the cache has under a name of which the API server says
// that nobody has it: read is what there is of the object. It says whether the object is to be
// found all the same, because it was restored and its claim is yet to be made. An error means that
// its kind is gone, or that of the claims.
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

// sources are the kinds that nothing can be served without. Pools are not among them: groups exist
// whatever becomes of pools.
func (d *Directory) sources() []*source {
	return []*source{d.ofPeople, d.ofGroups, d.ofSlices, d.ofClaims}
}

// probes sets how each kind is probed: an object that is valid, for a name that nobody has.
func (d *Directory) probes() {
	meta := func(name string) metav1.ObjectMeta { return metav1.ObjectMeta{Namespace: d.namespace, Name: name} }
	dryRun := func(o func() client.Object) func(context.Context) error {
		return func(ctx context.Context) error {
			return d.client.Create(ctx, o(), client.DryRunAll, client.FieldOwner(v1alpha1.FieldManagerWebhook))
		}
	}
	d.ofPeople.probe = dryRun(func() client.Object {
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

// notServed is a transport that turns an answer about a path which the API server does not serve
// into
// 503. What is left of 404 speaks of objects.
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

// pluralOf is the resource of /apis/<group>/<version>/namespaces/<namespace>/<plural>/….
func pluralOf(path string) string {
	if parts := strings.Split(path, "/"); len(parts) > 6 && parts[4] == "namespaces" {
		return parts[6]
	}
	return ""
}

// lost notes that the API server does not serve a resource.
func (d *Directory) lost(plural string) {
	for _, s := range append(d.sources(), d.ofPools) {
		if s.plural == plural {
			s.lost()
		}
	}
}
