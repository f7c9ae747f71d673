// SPDX-License-Identifier: Apache-2.0

// Package agentpool reconciles each pool in the portal with its AgentPool: name, description, roles
// and members. It writes many memberships in one call. The controller of users writes only the
// memberships of a new account.
package agentpool

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/kernel/claims"
	"lightrun.com/scim-operator/internal/kernel/conditions"
	"lightrun.com/scim-operator/internal/kernel/portalapi"
	"lightrun.com/scim-operator/internal/operator/decide/access"
	"lightrun.com/scim-operator/internal/operator/decide/provision"
	"lightrun.com/scim-operator/internal/operator/groupindex"
	"lightrun.com/scim-operator/internal/operator/pass"
	"lightrun.com/scim-operator/internal/operator/poolindex"
	"lightrun.com/scim-operator/internal/operator/portalclient/session"
	"lightrun.com/scim-operator/internal/operator/removals"
	"lightrun.com/scim-operator/internal/scim/filter"
	"lightrun.com/scim-operator/internal/scim/schema"
)

// Reconciler reconciles AgentPools.
type Reconciler struct {
	client.Client
	Live     client.Reader
	Session  *session.Session
	Pools    *poolindex.Index
	Groups   *groupindex.Index
	Guard    *removals.Guard
	Recorder events.EventRecorder
	Clock    clock.PassiveClock

	// Attributes are a user's SCIM attributes in canonical form, for filters.
	Attributes func(*v1alpha1.ScimUser) access.Attributes

	counted   pass.Counts
	causes    causes
	unclaimed claims.Unclaimed
	quiet     quiet
	released  released
}

// scope contains the facts of one pass over a pool.
type scope struct {
	*Reconciler
	pool   *v1alpha1.AgentPool
	titled *v1alpha1.AgentPool // with its name in the portal
	view   session.View

	undecided bool // the groups that fill the pool are not known, and a person must decide
	looked    bool // the pass has resolved the lines of the pool

	have      *portalapi.Pool
	answer    removals.Answer           // the guard's about a removal; the zero answer: none was asked for
	seen      []portalapi.GroupRevision // not recorded in the portal yet
	keepsMark bool                      // what the mark at the record is about is not decided by this pass
	frozen    *conditions.Leaf          // roles that can't be granted: the rest is written, this is said
	leaves    []conditions.Leaf
	abnormal  []conditions.Leaf
	result    ctrl.Result
	request   string // the pass's request id in the portal's audit
	silent    bool
}

// Reconcile reconciles one pool.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	var pool v1alpha1.AgentPool
	if err := r.Get(ctx, req.NamespacedName, &pool); err != nil {
		if apierrors.IsNotFound(err) {
			r.counted.Forget(req.Name)
			r.quiet.end(req.Name)
			r.released.forget(req.Name)
		}
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	p := &scope{Reconciler: r, pool: &pool, titled: &pool, view: r.Session.View()}
	p.request = pass.RequestID(ctx)
	switch {
	case !pool.DeletionTimestamp.IsZero():
		return p.report(ctx, pass.Run(ctx, p.release))
	case pool.Name == v1alpha1.DefaultName:
		return p.report(ctx, pass.Run(ctx, p.addFinalizer, p.suspended, p.ready, p.resolve, p.applyDefault))
	}
	return p.report(ctx, pass.Run(ctx, p.addFinalizer, p.title, p.claim, p.suspended, p.ready, p.resolve, p.lines, p.apply))
}

// addFinalizer adds the finalizer, unless the namespace is being deleted: then the manager may lose
// its rights before it can remove the finalizer.
func (p *scope) addFinalizer(ctx context.Context) (bool, error) {
	if !controllerutil.ContainsFinalizer(p.pool, v1alpha1.FinalizerPool) {
		if ending, err := pass.NamespaceEnding(ctx, p.Live, p.pool.Namespace); ending || err != nil {
			p.silent = err == nil
			return true, err
		}
	}
	return false, pass.AddFinalizer(ctx, p, p.pool, v1alpha1.FinalizerPool)
}

// suspended ends the pass while SCIM is off: pools stay unchanged.
func (p *scope) suspended(context.Context) (bool, error) {
	if !pass.SCIMOff(p.view) {
		return false, nil
	}
	message := "SCIM is off in the portal's login methods: pools stay as they are"
	p.leaf(conditions.Unknown(v1alpha1.ConditionProvisioned, v1alpha1.ReasonSCIMOff, message))
	p.abnormal = append(p.abnormal, conditions.True(v1alpha1.ConditionSuspended, v1alpha1.ReasonSCIMOff, message))
	return true, nil
}

// ready ends the pass while the portal's state is not known.
func (p *scope) ready(context.Context) (bool, error) {
	return p.stopAt(pass.Ready(p.view, p.pool.Status.ObservedGeneration == p.pool.Generation))
}

// stopAt ends the pass if the answer says so, and reports why.
func (p *scope) stopAt(a pass.Answer) (bool, error) {
	p.silent = a.Silent
	if a.Leaf != nil {
		p.leaf(*a.Leaf)
	}
	return a.Stop, nil
}

// resolve checks the filter. If the filter is invalid, the members that it added stay, and it adds
// none; the pass continues.
func (p *scope) resolve(context.Context) (bool, error) {
	typ := v1alpha1.ConditionFilterValid
	if f := p.pool.Spec.MemberFilter; f != "" {
		if _, err := filter.Compile(f, schema.User()); err != nil {
			p.leaf(conditions.False(typ, v1alpha1.ReasonInvalidFilter, "spec.memberFilter: "+err.Error()+"; the membership stays as it was"))
			return false, nil
		}
	}
	p.leaf(conditions.True(typ, v1alpha1.ReasonValid, "The filter, if any, is valid"))
	return false, nil
}

func (p *scope) leaf(l conditions.Leaf) { p.leaves = append(p.leaves, l) }

func (p *scope) event(kind, reason, action, note string, args ...any) {
	p.Recorder.Eventf(p.pool, nil, kind, reason, action, "%s", pass.Note(fmt.Sprintf(note, args...), p.request))
}

// report writes the status once, if it changed.
func (p *scope) report(ctx context.Context, failed error) (ctrl.Result, error) {
	if p.silent && failed == nil {
		return p.result, nil
	}
	if failed != nil && (len(p.leaves) == 0 || p.leaves[len(p.leaves)-1].Status == metav1.ConditionTrue) {
		if apierrors.IsConflict(failed) {
			return ctrl.Result{RequeueAfter: time.Second / 20}, nil
		}
		p.leaf(conditions.Unknown(v1alpha1.ConditionProvisioned, v1alpha1.ReasonProgressing, "Retrying after an error; see the manager's log"))
	}
	before := p.pool.DeepCopy()
	s := &p.pool.Status
	if p.have != nil {
		granted := provision.Granted(p.have)
		s.Pool, s.DisplayName, s.Roles, s.RoleNames = p.have.ID, p.have.Name, roles(granted), pass.OneLine(granted)
	}
	s.Held = p.answer.Held()
	// An empty status means that the groups of the lines are not known (inForce), so it must not be
	// written before the lines are resolved.
	if first := s.ObservedGeneration == 0 && p.pool.Name != v1alpha1.DefaultName; !p.undecided && (p.looked || !first) {
		s.ObservedGeneration = p.pool.Generation
	}
	s.Conditions = conditions.Compute(s.Conditions, p.pool.Generation, metav1.NewTime(p.Clock.Now()), p.leaves, p.abnormal)
	p.count(!equality.Semantic.DeepEqual(before.Status, *s))
	if !equality.Semantic.DeepEqual(before.Status, *s) {
		if err := p.Status().Patch(ctx, p.pool, client.MergeFrom(before)); client.IgnoreNotFound(err) != nil {
			return ctrl.Result{}, errors.Join(failed, fmt.Errorf("write the status: %w", err))
		}
	}
	if failed != nil {
		return ctrl.Result{}, failed
	}
	return p.result, nil
}

func roles(in []string) []v1alpha1.Role {
	out := make([]v1alpha1.Role, len(in))
	for i, r := range in {
		out[i] = v1alpha1.Role(r)
	}
	return out
}

const (
	normal  = corev1.EventTypeNormal
	warning = corev1.EventTypeWarning
)
