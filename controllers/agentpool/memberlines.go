// SPDX-License-Identifier: Apache-2.0

package agentpool

import (
	"context"
	"fmt"
	"sync"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/kernel/claims"
	"lightrun.com/scim-operator/internal/kernel/conditions"
	"lightrun.com/scim-operator/internal/kernel/requestid"
	"lightrun.com/scim-operator/internal/operator/memberlines"
	"lightrun.com/scim-operator/internal/operator/poolplan"
	"lightrun.com/scim-operator/internal/operator/portalclient/mirror"
)

// membersLeaf reports the state of the lines of spec.members; the message names those that a person
// must look at.
func membersLeaf(pool *v1alpha1.AgentPool, m poolplan.Members) conditions.Leaf {
	typ := v1alpha1.ConditionMembersResolved
	if asks := m.Asks(pool); asks != "" {
		return conditions.False(typ, v1alpha1.ReasonMemberChanged, asks)
	}
	of := map[memberlines.State][]memberlines.Line{}
	for _, l := range m.Lines {
		of[l.State] = append(of[l.State], l)
	}
	absent := ""
	if n := len(of[memberlines.Absent]); n > 0 {
		absent = fmt.Sprintf(". %d line(s) mean no user now, the first is %q", n, of[memberlines.Absent][0].UserName)
	}
	if renamed := of[memberlines.Renamed]; len(renamed) > 0 {
		return conditions.True(typ, v1alpha1.ReasonMemberRenamed, fmt.Sprintf("The identity provider renamed %d user(s) of spec.members, and they stay in the pool: the line %q means ScimUser %s. "+
			"To use another user, remove the line, apply, and write it again", len(renamed), renamed[0].UserName, renamed[0].ID)+absent)
	}
	return conditions.True(typ, v1alpha1.ReasonResolved, fmt.Sprintf("%d of %d line(s) of spec.members mean a user", len(of[memberlines.Resolved]), len(m.Lines))+absent)
}

// lineIndex finds the pools with a line of spec.members that a change of a user can concern. It is
// safe for concurrent use. The zero value is empty.
type lineIndex struct {
	mu    sync.Mutex
	pools map[string][]string        // pool → its keys
	of    map[string]map[string]bool // name of a user's claim, or SCIM id → pools
}

// put replaces the keys of the pool.
func (x *lineIndex) put(pool string, keys []string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, k := range x.pools[pool] {
		if delete(x.of[k], pool); len(x.of[k]) == 0 {
			delete(x.of, k)
		}
	}
	if delete(x.pools, pool); len(keys) == 0 {
		return
	}
	if x.pools == nil {
		x.pools, x.of = map[string][]string{}, map[string]map[string]bool{}
	}
	x.pools[pool] = keys
	for _, k := range keys {
		if x.of[k] == nil {
			x.of[k] = map[string]bool{}
		}
		x.of[k][pool] = true
	}
}

// find returns the pools with one of the keys, in no order.
func (x *lineIndex) find(keys ...string) (pools []string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, k := range keys {
		for pool := range x.of[k] {
			pools = append(pools, pool)
		}
	}
	return pools
}

// lineKeys returns the keys of a pool in the lineIndex; none, if names decide in it.
func lineKeys(pool *v1alpha1.AgentPool, m *mirror.Mirror) (keys []string) {
	pinned, ids := poolplan.PinnedIDs(pool, m)
	if !pinned {
		return nil
	}
	for _, l := range pool.Spec.Members {
		keys = append(keys, claims.ObjectName(v1alpha1.ClaimUser, l.UserName))
	}
	return append(keys, ids...)
}

// users enqueues the pools whose lines of spec.members a change of a user can concern.
func (r *Reconciler) users(namespace string) handler.EventHandler {
	changed := func(q queue, u *v1alpha1.ScimUser, former ...string) {
		keys := []string{u.Name, claims.ObjectName(v1alpha1.ClaimUser, u.Spec.UserName)}
		for _, name := range former {
			keys = append(keys, claims.ObjectName(v1alpha1.ClaimUser, name))
		}
		for _, pool := range r.lines.find(keys...) {
			r.causes.note(pool, requestid.Stamped(u.Annotations[v1alpha1.AnnotationRequest], u.Spec.Revision), r.Clock.Now(), u.Name)
			q.Add(reconcile.Request{NamespacedName: types.NamespacedName{Namespace: namespace, Name: pool}})
		}
	}
	user := func(o client.Object) *v1alpha1.ScimUser { return o.(*v1alpha1.ScimUser) }
	return handler.Funcs{
		CreateFunc: func(_ context.Context, e event.CreateEvent, q queue) {
			if !e.IsInInitialList { // at the start all pools are reconciled anyway
				changed(q, user(e.Object))
			}
		},
		UpdateFunc: func(_ context.Context, e event.UpdateEvent, q queue) {
			before, after := user(e.ObjectOld), user(e.ObjectNew)
			if before.Spec.UserName != after.Spec.UserName || claims.Gone(before) != claims.Gone(after) || before.UID != after.UID {
				changed(q, after, before.Spec.UserName)
			}
		},
		DeleteFunc: func(_ context.Context, e event.DeleteEvent, q queue) { changed(q, user(e.Object)) },
	}
}
