// SPDX-License-Identifier: Apache-2.0

package scimgroup

import (
	"context"
	"fmt"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/kernel/conditions"
	"lightrun.com/scim-operator/internal/operator/groupindex"
	"lightrun.com/scim-operator/internal/operator/pass"
	"lightrun.com/scim-operator/internal/operator/poolplan"
	"lightrun.com/scim-operator/internal/operator/portalclient/mirror"
)

// decision is what happens to a group's own pool.
type decision string

const (
	keep   decision = "Keep"   // no change, whether the own pool exists or not
	create decision = "Create" // no pool names the group
	remove decision = "Remove" // the own pool is replaced or lost its record in the portal
)

// decide returns the decision about the group's own pool, and the names of the declared pools that
// name the group. own is the AgentPool that is named like the group, which an administrator may
// have edited; or nil if there is none. m is nil while the portal's state is not known.
//
// There are two cases in which declared pools replace the own pool. Either one of them has taken
// over its record in the portal: agents and members stay. Or each declared pool that the group
// fills has another record or adopts one: then the record of the own pool is deleted, and replace
// waits until its members have joined the declared pools.
//
// The own pool is also removed if its record belongs to another AgentPool and no declared pool is
// left. The next pass creates an own pool, with a record of its own.
func decide(g groupindex.Group, own *v1alpha1.AgentPool, pools []v1alpha1.AgentPool, groups groupindex.Lookup, m *mirror.Mirror) (decision, []string) {
	var declared []string
	var filled, hasOtherRecord, willTakeOver bool // of the declared pools
	for i := range pools {
		pool := &pools[i]
		declares, fills := groupindex.Declares(pool, g, groups)
		if declares {
			declared = append(declared, pool.Name)
		}
		if !fills {
			continue
		}
		filled = true
		if m != nil && m.OwnedPool(string(pool.UID)) != nil {
			hasOtherRecord = true
		} else if pool.Spec.Adopt == "" {
			willTakeOver = true // its own pass takes over the record of the group's own pool
		}
	}
	switch {
	case own == nil && len(declared) == 0:
		return create, nil
	case own == nil, own.OwnPoolOf() == "", !own.DeletionTimestamp.IsZero(), m == nil:
		return keep, declared
	case m.OwnedPool(string(own.UID)) == nil && (filled || own.Status.Pool != "" && m.Pool(own.Status.Pool) != nil):
		return remove, declared // another pool has the portal's record now
	case hasOtherRecord && !willTakeOver:
		return remove, declared
	}
	return keep, declared
}

// ownPool creates the group's own pool if no pool names the group, and deletes it once a declared
// pool replaces it.
func (p *scope) ownPool(ctx context.Context) pass.Outcome {
	g, known := p.known()
	if !known {
		return pass.Quiet(pass.ConflictPause)
	}
	own := p.own()
	do, declared := decide(g, own, p.pools, p.Groups, p.portal())
	var wait time.Duration
	var err error
	switch do {
	case create:
		err = p.createPool(ctx)
	case remove:
		wait, err = p.replace(ctx, g, own)
	}
	if err != nil {
		return p.Retry(err)
	}
	if p.older != 0 {
		return pass.Stop(conditions.False(v1alpha1.ConditionPoolsResolved, v1alpha1.ReasonBackupOlder, groupindex.BackupOlder(p.group.Namespace, g, p.older)))
	}
	message := "No declared pool names the group; it has its own pool"
	if len(declared) > 0 {
		message = "Named by AgentPool " + strings.Join(declared, ", ")
	}
	return pass.Stop(conditions.True(v1alpha1.ConditionPoolsResolved, v1alpha1.ReasonResolved, message)).Within(wait)
}

// retryReplace is the pause before the next check whether the members of a group's own pool have
// joined the declared pool that replaces it.
const retryReplace = time.Second

// replace deletes the group's own pool once its members have joined the declared pools that replace
// it; until then it returns the pause before the next check. Under ReportOnly, the own pool's
// record in the portal would remain without an AgentPool, so both stay.
func (p *scope) replace(ctx context.Context, g groupindex.Group, own *v1alpha1.AgentPool) (wait time.Duration, err error) {
	record := poolplan.Kept(own, p.View.Mirror)
	if record != nil && p.View.Spec.ManagementPolicy == v1alpha1.PolicyReportOnly {
		return 0, nil
	}
	snapshot, err := p.Pools.Snapshot(ctx, p.View.Mirror)
	if err != nil {
		return 0, err
	}
	facts := poolplan.MemberFacts{Users: p.Client, Groups: p.Groups, Mirror: p.View.Mirror, Snapshot: snapshot}
	for i := range p.pools {
		if _, fills := groupindex.Declares(&p.pools[i], g, p.Groups); !fills {
			continue
		}
		if joining, err := poolplan.Joining(ctx, record, &p.pools[i], facts); joining || err != nil {
			return retryReplace, err
		}
	}
	return 0, p.removePool(ctx, own)
}

// portal returns the mirror of the portal, or nil if the portal's state is not known.
func (p *scope) portal() *mirror.Mirror {
	if v := p.View; v.Unknown || v.Block != nil || v.Mirror == nil || !v.Mirror.Listed() {
		return nil
	}
	return p.View.Mirror
}

// own returns the AgentPool that is named like the group, or nil if there is none.
func (p *scope) own() *v1alpha1.AgentPool {
	for i := range p.pools {
		if p.pools[i].Name == p.group.Name {
			return &p.pools[i]
		}
	}
	return nil
}

// NewPool returns a new own pool of the group.
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

// removePool deletes the own pool if it has not changed since it was read: a pool that an
// administrator edited is a declared pool.
func (p *scope) removePool(ctx context.Context, own *v1alpha1.AgentPool) error {
	uid, version := own.UID, own.ResourceVersion
	pool := &v1alpha1.AgentPool{ObjectMeta: metav1.ObjectMeta{Namespace: own.Namespace, Name: own.Name}}
	err := p.Delete(ctx, pool, client.Preconditions{UID: &uid, ResourceVersion: &version})
	switch {
	case apierrors.IsNotFound(err):
		return nil
	case err != nil:
		return fmt.Errorf("delete the group's own pool: %w", err)
	}
	ctrl.LoggerFrom(ctx).Info("Deleted the group's own pool", "pool", own.Name)
	return nil
}
