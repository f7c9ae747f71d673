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

// sweepEvery is how often leftovers are searched. leftoverAge is how old the slices of a group
// that is not there are at least, since a webhook creates them before the group, and how long
// requests can be under way that put a deleted user's id into a slice.
const (
	sweepEvery  = time.Hour
	leftoverAge = 10 * time.Minute
)

// sweeping calls Sweep at each sweepEvery until ctx ends.
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
			ctrl.LoggerFrom(ctx).Error(err, "Sweeping leftovers")
		}
	}
}

// Sweep deletes the slices of groups that are not there: of POSTs that were interrupted, and of
// groups whose object was deleted by hand. It takes out of groups the ids of users whose deletion
// was finished and that a request added after that. In a restore window it changes nothing: groups
// and users may come after the slices.
func (r *Reconciler) Sweep(ctx context.Context, namespace string) error {
	leftovers, finished := r.Groups.Leftovers(), r.Finished.All()
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
	ctrl.LoggerFrom(ctx).Info("Deleting slices of a group that is gone", "group", id)
	if err := r.Slices.Delete(ctx, id); err != nil {
		return fmt.Errorf("delete the slices of group %s, which is gone: %w", id, err)
	}
	return nil
}

// sweepUser takes a user whose deletion was finished at that time out of all groups. A user that
// vanished without a tombstone is never among them: their memberships wait for the object to be
// restored.
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
		ctrl.LoggerFrom(ctx).Info("Taking a user that is gone out of a group", "user", user, "group", group)
		err := r.Slices.Change(ctx, group, []groupslice.Change{{User: user}})
		if err != nil && !errors.Is(err, groupslice.ErrGroupGone) {
			return fmt.Errorf("take user %s, which is gone, out of group %s: %w", user, group, err)
		}
	}
	return nil
}
