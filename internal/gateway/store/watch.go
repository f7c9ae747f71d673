// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/kernel/claims"
)

// mapper maps the kinds to resources, so that no discovery is needed at start.
func mapper() meta.RESTMapper {
	m := meta.NewDefaultRESTMapper(nil)
	for kind, resource := range map[string]string{
		"ScimUser": "scimusers", "ScimGroup": "scimgroups", "ScimGroupSlice": "scimgroupslices",
		"AgentPool": "agentpools", "IdentityConfiguration": "identityconfigurations", "NameClaim": "nameclaims",
	} {
		m.AddSpecific(v1alpha1.GroupVersion.WithKind(kind), v1alpha1.GroupVersion.WithResource(resource),
			v1alpha1.GroupVersion.WithResource(resource), meta.RESTScopeNamespace)
	}
	return m
}

// version parses a resource version, a decimal number that grows (Kubernetes 1.35 and later promise
// this).
func version(rv string) (uint64, error) {
	n, err := strconv.ParseUint(rv, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("the API server's resourceVersion %q is not a number: %w", rv, err)
	}
	return n, nil
}

// feed is a store that a reflector fills. It stores nothing: its functions forward everything. K is
// the cache entry of an object O. A whole list is collected as Ks, so that filling the cache needs
// no more memory than the cache itself.
type feed[O client.Object, K any] struct {
	reduce func(O) (K, error)
	put    func(K) error
	remove func(O) error
	list   func([]K, string) error
	reach  func(uint64)
	synced func()
}

// Add implements cache.Store: the reflector passes on a new object.
func (f *feed[O, K]) Add(o any) error {
	k, err := f.reduce(o.(O))
	if err != nil {
		return err
	}
	return f.put(k)
}

// Update implements cache.Store: to the cache, an update is an addition.
func (f *feed[O, K]) Update(o any) error { return f.Add(o) }

// Resync implements cache.Store: there is nothing to repeat.
func (f *feed[O, K]) Resync() error { return nil }

// Delete implements cache.Store: the object is deleted, and o is its last known state.
func (f *feed[O, K]) Delete(o any) error {
	if gone, ok := o.(cache.DeletedFinalStateUnknown); ok {
		o = gone.Obj
	}
	return f.remove(o.(O))
}

// Transformer returns the function that a reflector applies to each object of a streamed list.
func (f *feed[O, K]) Transformer() cache.TransformFunc {
	return func(o any) (any, error) {
		if object, ok := o.(O); ok {
			return f.reduce(object)
		}
		return o, nil
	}
}

// Replace stores a list. A streamed list is converted already; an API server that doesn't stream
// sends pages.
func (f *feed[O, K]) Replace(all []any, rv string) error {
	list := make([]K, len(all))
	for i, o := range all {
		k, reduced := o.(K)
		if !reduced {
			var err error
			if k, err = f.reduce(o.(O)); err != nil {
				return err
			}
		}
		list[i] = k
	}
	if err := f.list(list, rv); err != nil {
		return err
	}
	f.synced()
	return nil
}

// Bookmark records the version up to which the watch has come, if nothing changes.
func (f *feed[O, K]) Bookmark(rv string) error {
	n, err := version(rv)
	if err == nil && f.reach != nil {
		f.reach(n)
	}
	return err
}

// backoff of a list or watch that fails.
func backoff() *wait.Backoff {
	return &wait.Backoff{Duration: 300 * time.Millisecond, Cap: 10 * time.Second, Steps: 40, Factor: 2, Jitter: 1}
}

// follow lists and watches one kind until ctx ends. from, if not nil, may request a new list.
func follow[O client.Object, K any](ctx context.Context, d *Directory, from *source, example O, list func() client.ObjectList, f *feed[O, K]) {
	lw := &cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			l := list()
			err := d.client.List(ctx, l, client.InNamespace(d.namespace), &client.ListOptions{Raw: &o, Limit: o.Limit, Continue: o.Continue})
			return l, err
		},
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			return d.client.Watch(ctx, list(), client.InNamespace(d.namespace), &client.ListOptions{Raw: &o})
		},
	}
	for ctx.Err() == nil {
		run, cancel := context.WithCancel(ctx)
		from.starts(cancel)
		r := cache.NewReflectorWithOptions(lw, example, f, cache.ReflectorOptions{Name: "directory", Logger: &d.log, Backoff: backoff()})
		r.RunWithContext(run)
		cancel()
	}
}

// noted is the result of a watch event: the object's record, or no record if the object is being
// deleted.
type noted[T any] struct {
	id      string
	version uint64
	record  *record[T]
}

// watchTable feeds a table. recordOf may be called often for one object, so it reuses what a status
// write did not change. An object with a tombstone is gone; one that is removed without a tombstone
// is gone once from confirms that the kind is served.
func watchTable[O client.Object, T any](ctx context.Context, d *Directory, t *table[T], from *source, example O, list func() client.ObjectList, recordOf func(O) (*record[T], error)) {
	follow(ctx, d, from, example, list, &feed[O, noted[T]]{
		synced: from.listed,
		reduce: func(o O) (n noted[T], err error) {
			n.id = o.GetName()
			if n.version, err = version(o.GetResourceVersion()); err == nil && !claims.Gone(o) {
				n.record, err = recordOf(o)
			}
			return n, err
		},
		reach: func(v uint64) {
			t.mu.Lock()
			defer t.mu.Unlock()
			t.advance(v)
		},
		put: func(n noted[T]) error {
			if n.record == nil {
				t.watchedGone(n.id, n.version, false)
			} else {
				t.watched(n.record)
			}
			return nil
		},
		remove: func(o O) error {
			v, err := version(o.GetResourceVersion())
			if err != nil {
				return err
			}
			if t.get(o.GetName()) != nil && !claims.Gone(o) {
				from.postpone(func() { t.watchedGone(o.GetName(), v, true) })
				return nil
			}
			t.watchedGone(o.GetName(), v, true)
			return nil
		},
		list: func(all []noted[T], rv string) error {
			v, err := version(rv)
			if err != nil {
				return err
			}
			records := make([]*record[T], 0, len(all))
			for _, n := range all {
				if n.record != nil {
					records = append(records, n.record)
				}
			}
			t.relisted(records, v)
			return nil
		},
	})
}

func (d *Directory) watchUsers(ctx context.Context) {
	watchTable(ctx, d, d.users, d.ofUsers, &v1alpha1.ScimUser{},
		func() client.ObjectList { return &v1alpha1.ScimUserList{} }, d.userRecord)
}

func (d *Directory) watchGroups(ctx context.Context) {
	watchTable(ctx, d, d.groups, d.ofGroups, &v1alpha1.ScimGroup{},
		func() client.ObjectList { return &v1alpha1.ScimGroupList{} }, d.groupRecord)
}

func (d *Directory) watchSlices(ctx context.Context) {
	watchTable(ctx, d, d.slices, d.ofSlices, &v1alpha1.ScimGroupSlice{},
		func() client.ObjectList { return &v1alpha1.ScimGroupSliceList{} }, d.sliceRecord)
}

// watchPools follows the group references of pools.
func (d *Directory) watchPools(ctx context.Context) {
	watchTable(ctx, d, d.pools, d.ofPools, &v1alpha1.AgentPool{},
		func() client.ObjectList { return &v1alpha1.AgentPoolList{} }, d.poolRecord)
}

// watchConfiguration follows the one IdentityConfiguration.
func (d *Directory) watchConfiguration(ctx context.Context) {
	f := &feed[*v1alpha1.IdentityConfiguration, *v1alpha1.IdentityConfiguration]{
		synced: func() { d.configKnown.Store(true) },
		reduce: func(c *v1alpha1.IdentityConfiguration) (*v1alpha1.IdentityConfiguration, error) { return c, nil },
		put: func(c *v1alpha1.IdentityConfiguration) error {
			if c.Name == v1alpha1.DefaultName {
				d.config.Store(c)
			}
			return nil
		},
		remove: func(c *v1alpha1.IdentityConfiguration) error {
			if c.Name == v1alpha1.DefaultName {
				d.config.Store(nil)
			}
			return nil
		},
	}
	f.list = func(all []*v1alpha1.IdentityConfiguration, _ string) error {
		d.config.Store(nil)
		for _, c := range all {
			if err := f.put(c); err != nil {
				return err
			}
		}
		return nil
	}
	follow(ctx, d, nil, &v1alpha1.IdentityConfiguration{}, func() client.ObjectList { return &v1alpha1.IdentityConfigurationList{} }, f)
}
