// SPDX-License-Identifier: Apache-2.0

package scimgroup

import (
	"context"
	"fmt"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/kernel/conditions"
	"lightrun.com/scim-operator/internal/operator/groupindex"
	"lightrun.com/scim-operator/internal/operator/pass"
	"lightrun.com/scim-operator/internal/operator/portalclient/mirror"
)

// what is the decision about a group's own pool.
type what string

const (
	keep   what = "Keep"   // no change, whether it exists or not
	create what = "Create" // no pool names the group
	remove what = "Remove" // a pool of people fills its place
)

// decide says what happens to the group's own pool; own is that pool, nil when there is none. m is
// nil while the portal's state is not known.
//
// The own pool is removed only when a pool of people has taken over its record in the portal, or
// when none is going to: agents stay, and no user loses membership meanwhile.
func decide(g groupindex.Group, own *v1alpha1.AgentPool, pools []v1alpha1.AgentPool, look groupindex.Lookup, m *mirror.Mirror) (what, []string) {
	var declared []string
	var filled, successor bool
	for i := range pools {
		pool := &pools[i]
		declares, fills := groupindex.Declares(pool, g, look)
		if declares {
			declared = append(declared, pool.Name)
		}
		filled = filled || fills
		successor = successor || fills && (m == nil || m.OwnedPool(string(pool.UID)) == nil && pool.Spec.Adopt == "")
	}
	switch {
	case own == nil && len(declared) == 0:
		return create, nil
	case own == nil || own.OwnPoolOf() == "" || !own.DeletionTimestamp.IsZero():
		return keep, declared
	case m == nil:
		return keep, declared
	case m.OwnedPool(string(own.UID)) == nil && (filled || own.Status.Pool != "" && m.Pool(own.Status.Pool) != nil):
		return remove, declared // another pool has its portal record now
	case filled && !successor:
		return remove, declared
	}
	return keep, declared
}

// ownPool ensures that a group has an own pool exactly while no pool of people names the group.
func (p *scope) ownPool(ctx context.Context) pass.Outcome {
	g, known := p.known()
	if !known {
		return pass.Quiet(pass.ConflictPause)
	}
	own := p.own()
	var m *mirror.Mirror
	if v := p.View; !v.Unknown && v.Block == nil && v.Mirror != nil && v.Mirror.Listed() {
		m = v.Mirror
	}
	do, declared := decide(g, own, p.pools, p.Groups, m)
	var err error
	switch do {
	case create:
		err = p.createPool(ctx)
	case remove:
		err = p.removePool(ctx, own)
	}
	if err != nil {
		return p.Retry(err)
	}
	message := "The group has a pool of its own, without roles"
	if len(declared) > 0 {
		message = "Named by AgentPool " + strings.Join(declared, ", ")
	}
	return pass.Stop(conditions.True(v1alpha1.ConditionPoolsResolved, v1alpha1.ReasonResolved, message))
}

// own is the AgentPool that is named like the group; nil: there is none.
func (p *scope) own() *v1alpha1.AgentPool {
	for i := range p.pools {
		if p.pools[i].Name == p.group.Name {
			return &p.pools[i]
		}
	}
	return nil
}

// NewPool is the pool that a group has of its own.
func NewPool(namespace, group string) *v1alpha1.AgentPool {
	return &v1alpha1.AgentPool{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: group},
		Spec:       v1alpha1.AgentPoolSpec{Groups: []v1alpha1.GroupReference{{ID: group}}},
	}
}

func (p *scope) createPool(ctx context.Context) error {
	if err := p.Create(ctx, NewPool(p.group.Namespace, p.group.Name)); err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("create the group's own pool: %w", err)
	}
	return nil
}

// removePool deletes the own pool if it is exactly as it was read: what people made of it is
// theirs.
func (p *scope) removePool(ctx context.Context, own *v1alpha1.AgentPool) error {
	uid, version := own.UID, own.ResourceVersion
	gone := &v1alpha1.AgentPool{ObjectMeta: metav1.ObjectMeta{Namespace: own.Namespace, Name: own.Name}}
	err := p.Delete(ctx, gone, client.Preconditions{UID: &uid, ResourceVersion: &version})
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("delete the group's own pool: %w", err)
	}
	ctrl.LoggerFrom(ctx).Info("Deleted the group's own pool", "pool", own.Name)
	return nil
}
