// SPDX-License-Identifier: Apache-2.0

package scimgroup

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/kernel/groupslice"
)

// sweepEvery is the time between two sweeps. leftoverAge is the minimum age of slices without a
// ScimGroup before a sweep deletes them, because a webhook creates them before the ScimGroup. It is
// also the maximum duration of a request that adds a deleted user's id to a slice.
const (
	sweepEvery  = time.Hour
	leftoverAge = 10 * time.Minute
)

// sweeping calls Sweep every sweepEvery until ctx ends.
func (r *Reconciler) sweeping(ctx context.Context, namespace string) error {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if err := r.Sweep(ctx, namespace); err != nil {
			ctrl.LoggerFrom(ctx).Error(err, "Cannot sweep slices without a group, trying again later")
		}
	}
}

// Sweep deletes slices without a ScimGroup: their POST was interrupted, or the ScimGroup was
// deleted by hand. It also removes from groups the ids of deleted users that a request added after
// the deletion was finished. In a restore window it changes nothing, because groups and users may
// be restored after the slices.
func (r *Reconciler) Sweep(ctx context.Context, namespace string) error {
	leftovers, finished := r.Groups.WithoutScimGroup(), r.Finished.All()
	if len(leftovers)+len(finished) == 0 {
		return nil
	}
	var ns corev1.Namespace
	if err := r.Live.Get(ctx, types.NamespacedName{Name: namespace}, &ns); err != nil {
		return fmt.Errorf("read the restore window: %w", err)
	}
	if _, open := ns.Annotations[v1alpha1.AnnotationRestore]; open {
		return nil
	}
	var failed error
	for _, id := range leftovers {
		failed = errors.Join(failed, r.sweepGroup(ctx, namespace, id))
	}
	for id, at := range finished {
		failed = errors.Join(failed, r.sweepUser(ctx, namespace, id, at))
	}
	return failed
}

func (r *Reconciler) sweepGroup(ctx context.Context, namespace, id string) error {
	if age := r.Clock.Since(r.Groups.NewestSlice(id)); age < leftoverAge {
		return nil
	}
	err := r.Live.Get(ctx, types.NamespacedName{Namespace: namespace, Name: id}, &v1alpha1.ScimGroup{})
	if !apierrors.IsNotFound(err) {
		return err
	}
	ctrl.LoggerFrom(ctx).Info("Deleting slices without a ScimGroup", "group", id)
	if err := r.Slices.Delete(ctx, id); err != nil {
		return fmt.Errorf("delete the slices of group %s, which does not exist: %w", id, err)
	}
	return nil
}

// sweepUser removes a user whose deletion was finished at this time from all groups. It is never
// called for a ScimUser that disappeared without a tombstone: the memberships of such a user wait
// until the object is restored.
func (r *Reconciler) sweepUser(ctx context.Context, namespace, id string, at time.Time) error {
	if r.Clock.Since(at) < leftoverAge {
		return nil
	}
	if groups := r.Groups.Containing(id); len(groups) > 0 {
		err := r.Live.Get(ctx, types.NamespacedName{Namespace: namespace, Name: id}, &v1alpha1.ScimUser{})
		if apierrors.IsNotFound(err) {
			err = r.takeOut(ctx, id, groups)
		}
		if err != nil {
			return err
		}
	}
	r.Finished.Forget(id)
	return nil
}

func (r *Reconciler) takeOut(ctx context.Context, user string, groups []string) error {
	for _, group := range groups {
		ctrl.LoggerFrom(ctx).Info("Removing a deleted user from a group", "user", user, "group", group)
		err := r.Slices.Change(ctx, group, []groupslice.Change{{User: user}})
		if err != nil && !errors.Is(err, groupslice.ErrGroupGone) {
			return fmt.Errorf("remove the deleted user %s from group %s: %w", user, group, err)
		}
	}
	return nil
}
