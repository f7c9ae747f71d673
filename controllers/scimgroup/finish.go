package scimgroup

import (
	"context"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/controllers/gate"
	"lightrun.com/scim-operator/controllers/groupindex"
	"lightrun.com/scim-operator/controllers/scimuser"
	"lightrun.com/scim-operator/internal/claims"
	"lightrun.com/scim-operator/internal/conditions"
)

// retryFinish is the pause before it is looked again whether a deleted group's members have left its pools.
const retryFinish = time.Second

// waitFor reports what the deletion waits for.
func (p *pass) waitFor(format string, args ...any) (bool, error) {
	p.leaf(conditions.Unknown(v1alpha1.ConditionPoolsResolved, v1alpha1.ReasonDeleting, fmt.Sprintf(format, args...)))
	p.result.RequeueAfter = retryFinish
	return true, nil
}

// later ends the pass over a group that the provider deleted while nothing may be written to the
// portal: its members stay in its pools, and the deletion is carried out, or held, afterwards.
func (p *pass) later(ctx context.Context) (bool, error) {
	ending, err := gate.NamespaceEnding(ctx, p.Live, p.group.Namespace)
	if p.view.Unknown || ending || err != nil {
		p.silent = err == nil
		return true, err
	}
	if a := gate.Release(p.view); a.Stop {
		p.silent = a.Silent
		if a.Leaf != nil {
			p.leaf(conditions.Unknown(v1alpha1.ConditionPoolsResolved, a.Leaf.Reason, a.Leaf.Message))
		}
		return true, nil
	}
	switch {
	case gate.SCIMOff(p.view):
		p.leaf(conditions.Unknown(v1alpha1.ConditionPoolsResolved, v1alpha1.ReasonSCIMOff, "SCIM is off in the portal's login methods: the members of the deleted group stay in its pools"))
		return true, nil
	case p.view.Spec.ManagementPolicy == v1alpha1.PolicyReportOnly:
		p.leaf(conditions.False(v1alpha1.ConditionPoolsResolved, v1alpha1.ReasonReportOnly, "Would take the members of the deleted group out of its pools"))
		return true, nil
	}
	return false, nil
}

// dropPool deletes the own pool of a group that the provider deleted; its members lose it together, if the guard lets them.
func (p *pass) dropPool(ctx context.Context) (bool, error) {
	if _, known := p.known(); !known || p.view.Unknown {
		p.silent, p.result.RequeueAfter = true, conflictPause
		return true, nil
	}
	own := p.own()
	if own == nil || own.OwnPoolOf() == "" {
		return false, nil
	}
	if own.DeletionTimestamp.IsZero() {
		if err := p.removePool(ctx, own); err != nil {
			return true, err
		}
	}
	return p.waitFor("The provider deleted the group; its own pool is being released in the portal")
}

// unpinned waits until each pool that the group fills has written down that it is deleted.
func (p *pass) unpinned(context.Context) (bool, error) {
	for i := range p.pools {
		pool := &p.pools[i]
		if pool.DeletionTimestamp.IsZero() && slices.Contains(groupindex.Filling(pool), p.group.Name) {
			return p.waitFor("The provider deleted the group; AgentPool %s still counts it", pool.Name)
		}
	}
	return false, nil
}

// left waits until the members have left the pools that the group filled. What the guard stops keeps the group as well: the
// decision may be that it stays.
func (p *pass) left(ctx context.Context) (bool, error) {
	picture, err := p.Book.Picture(ctx, p.view.Mirror)
	if err != nil {
		return true, err
	}
	waiting := 0
	for _, name := range p.Groups.Members(p.group.Name) {
		var u v1alpha1.ScimUser
		err := p.Get(ctx, types.NamespacedName{Namespace: p.group.Namespace, Name: name}, &u)
		if apierrors.IsNotFound(err) || err == nil && (u.Spec.Deleted || u.Spec.Suspend) {
			continue
		}
		if err != nil {
			return true, err
		}
		if a, _ := scimuser.Access(&u, picture, p.view.Mirror, p.Attributes); scimuser.Stays(&u, a, picture, p.view.Mirror, p.group.Status.Pools) {
			waiting++
		}
	}
	if waiting > 0 {
		return p.waitFor("The provider deleted the group; %d member(s) have not left its pools in the portal yet", waiting)
	}
	return false, nil
}

// finish removes the slices, releases the name and deletes the object.
func (p *pass) finish(ctx context.Context) (bool, error) {
	p.silent = true
	if err := p.Slices.Delete(ctx, p.group.Name); err != nil {
		return true, fmt.Errorf("delete the group's slices: %w", err)
	}
	if err := claims.Release(ctx, p.Client, p.Live, v1alpha1.ClaimGroup, p.group.Spec.DisplayName, p.group); err != nil {
		return true, fmt.Errorf("release the group's name: %w", err)
	}
	uid := p.group.UID
	return true, client.IgnoreNotFound(p.Delete(ctx, p.group, client.Preconditions{UID: &uid}))
}

// sweepEvery is how often slices are looked for whose group is gone, and leftoverAge how old they are at least: a webhook
// creates the slices of a group before the group.
const (
	sweepEvery  = time.Hour
	leftoverAge = 10 * time.Minute
)

// Sweep deletes the slices of groups that are not there: of POSTs that were cut off, and of groups whose object was deleted by
// force. In a restore window nothing is deleted: groups may come after their slices.
func (r *Reconciler) Sweep(ctx context.Context, namespace string) error {
	leftovers := r.Groups.Leftovers()
	if len(leftovers) == 0 {
		return nil
	}
	var ns corev1.Namespace
	if err := r.Live.Get(ctx, types.NamespacedName{Name: namespace}, &ns); err != nil {
		return fmt.Errorf("look for a restore window: %w", err)
	}
	if _, open := ns.Annotations[v1alpha1.AnnotationRestore]; open {
		return nil
	}
	for _, id := range leftovers {
		if err := r.sweep(ctx, namespace, id); err != nil {
			return err
		}
	}
	return nil
}

func (r *Reconciler) sweep(ctx context.Context, namespace, id string) error {
	if age := r.Clock.Since(r.Groups.NewestSlice(id)); age < leftoverAge {
		return nil
	}
	err := r.Live.Get(ctx, types.NamespacedName{Namespace: namespace, Name: id}, &v1alpha1.ScimGroup{})
	if !apierrors.IsNotFound(err) {
		return err
	}
	ctrl.LoggerFrom(ctx).Info("Deleting slices of a group that is gone", "group", id)
	if err := r.Slices.Delete(ctx, id); err != nil {
		return fmt.Errorf("delete the slices of group %s, which is gone: %w", id, err)
	}
	return nil
}
