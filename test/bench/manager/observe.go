// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/test/framework/devenv"
)

// observer records when users reach a state, as a client that watches the API server sees it.
type observer struct {
	stop    func()
	ended   chan struct{} // the watch is over
	changed chan struct{}

	mu   sync.Mutex
	seen map[string]time.Time // user name → when
	err  error                // that ended the watch, or nil
}

// observe starts a watch of users. want reports whether a user has reached the state; it is called
// from one goroutine.
func (s *suite) observe(ctx context.Context, want func(*v1alpha1.ScimUser) bool) (*observer, error) {
	var now v1alpha1.ScimUserList
	if err := s.env.Client.List(ctx, &now, client.InNamespace(devenv.Namespace), client.Limit(1)); err != nil {
		return nil, err
	}
	from := &client.ListOptions{Namespace: devenv.Namespace, Raw: &metav1.ListOptions{ResourceVersion: now.ResourceVersion}}
	w, err := s.env.Client.Watch(ctx, &v1alpha1.ScimUserList{}, from)
	if err != nil {
		return nil, fmt.Errorf("watch users: %w", err)
	}
	o := &observer{stop: w.Stop, ended: make(chan struct{}), changed: make(chan struct{}, 1), seen: map[string]time.Time{}}
	go o.follow(w, want)
	return o, nil
}

func (o *observer) follow(w watch.Interface, want func(*v1alpha1.ScimUser) bool) {
	defer close(o.ended)
	for e := range w.ResultChan() {
		if e.Type == watch.Error {
			o.mu.Lock()
			o.err = apierrors.FromObject(e.Object)
			o.mu.Unlock()
			return
		}
		u, ok := e.Object.(*v1alpha1.ScimUser)
		if !ok || e.Type == watch.Deleted || !want(u) {
			continue
		}
		o.mu.Lock()
		if _, again := o.seen[u.Spec.UserName]; !again {
			o.seen[u.Spec.UserName] = time.Now()
		}
		o.mu.Unlock()
		select {
		case o.changed <- struct{}{}:
		default:
		}
	}
}

// wait blocks until n users have reached the state. It returns an error if ctx ends first.
func (o *observer) wait(ctx context.Context, n int) error {
	progress := time.NewTicker(15 * time.Second)
	defer progress.Stop()
	for {
		if o.count() >= n {
			return nil
		}
		select {
		case <-o.changed:
		case <-progress.C:
			fmt.Printf("  %d of %d users have reached the state\n", o.count(), n)
		case <-o.ended:
			return fmt.Errorf("the watch of users ended: %w", o.failure())
		case <-ctx.Done():
			return fmt.Errorf("%d of %d users have reached the state: %w", o.count(), n, ctx.Err())
		}
	}
}

// failure returns why the watch ended.
func (o *observer) failure() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return cmp.Or(o.err, errors.New("the API server closed it"))
}

func (o *observer) count() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.seen)
}

// at returns the time when the user first reached the state; the zero time if the user has not.
func (o *observer) at(name string) time.Time {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.seen[name]
}

// last returns the time when the most recent user reached the state.
func (o *observer) last() time.Time {
	o.mu.Lock()
	defer o.mu.Unlock()
	var last time.Time
	for _, at := range o.seen {
		if at.After(last) {
			last = at
		}
	}
	return last
}
