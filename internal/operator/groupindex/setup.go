// SPDX-License-Identifier: Apache-2.0

package groupindex

import (
	"context"
	"fmt"

	toolscache "k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"lightrun.com/scim-operator/api/v1alpha1"
)

// Follow makes the index follow the groups and slices that c watches. Call it before c starts.
func (x *Index) Follow(ctx context.Context, c cache.Cache) error {
	groups := handler(x.Put, func(g *v1alpha1.ScimGroup) { x.put(g, "") }, func(g *v1alpha1.ScimGroup) { x.Drop(g.Name) })
	parts := handler(x.PutSlice, func(s *v1alpha1.ScimGroupSlice) { x.putSlice(s, "") }, x.DropSlice)
	for _, of := range []struct {
		kind    client.Object
		handler toolscache.ResourceEventHandler
	}{{&v1alpha1.ScimGroup{}, groups}, {&v1alpha1.ScimGroupSlice{}, parts}} {
		informer, err := c.GetInformer(ctx, of.kind, cache.BlockUntilSynced(false))
		if err != nil {
			return fmt.Errorf("watch %T: %w", of.kind, err)
		}
		follows, err := informer.AddEventHandler(of.handler)
		if err != nil {
			return fmt.Errorf("follow %T: %w", of.kind, err)
		}
		x.synced = append(x.synced, follows.HasSynced)
	}
	return nil
}

// handler forwards events to put and drop, and the objects of the first listing to begin.
func handler[T client.Object](put, begin, drop func(T)) toolscache.ResourceEventHandler {
	return toolscache.ResourceEventHandlerDetailedFuncs{
		AddFunc: func(o any, first bool) {
			if first {
				begin(o.(T))
				return
			}
			put(o.(T))
		},
		UpdateFunc: func(_, o any) { put(o.(T)) },
		DeleteFunc: func(o any) {
			if last, ok := o.(toolscache.DeletedFinalStateUnknown); ok {
				o = last.Obj
			}
			if gone, ok := o.(T); ok {
				drop(gone)
			}
		},
	}
}

// Source delays the start of a controller until the index contains the objects of the first
// listing.
func (x *Index) Source() source.SyncingSource { return waiting{x} }

type waiting struct{ index *Index }

// Start implements source.Source. It sends no events: use Subscribe.
func (w waiting) Start(context.Context, workqueue.TypedRateLimitingInterface[reconcile.Request]) error {
	return nil
}

// WaitForSync implements source.SyncingSource.
func (w waiting) WaitForSync(ctx context.Context) error {
	if !toolscache.WaitForCacheSync(ctx.Done(), w.index.synced...) {
		return fmt.Errorf("wait for the first listing of groups: %w", context.Cause(ctx))
	}
	return nil
}
