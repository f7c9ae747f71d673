// SPDX-License-Identifier: Apache-2.0

package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/google/uuid"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/kernel/claims"
	"lightrun.com/scim-operator/internal/kernel/retry"
	"lightrun.com/scim-operator/internal/scim"
)

// An object is created under a new id first, and then its name is claimed. Before the response is
// sent, controllers see the object too. They may take the claim for the object, so that other
// clients find and change it; or they may treat the object as abandoned and delete it. Therefore a
// cleanup deletes the object only at the resourceVersion that is known. If that fails, the
// controllers clean up, and the client gets an error other than a conflict, because a controller
// may still take the claim for the object when the other holder releases it.

// takeName gives a new object its name by calling claim, which may be repeated. A *scim.Error means
// that the name was refused and the object is deleted; after any other error the object may have
// the name.
func (d *Directory) takeName(ctx context.Context, o client.Object, begun time.Time, claim func() error) error {
	err := errBusy("claim the name of a new object")
	for attempt := range retry.Attempts {
		if err = retry.Pause(ctx, attempt); err != nil {
			break
		}
		err = claim()
		var refusal *scim.Error
		if !errors.As(err, &refusal) {
			break
		}
		if again, failed := d.withdraw(ctx, o); !again {
			return cmp.Or(failed, err)
		}
		err = errBusy("claim the name of a new object")
	}
	if err == nil {
		err = d.confirm(ctx, o, begun)
	}
	return err
}

// confirm writes to an object if taking its claim took long: a controller may have treated the
// object as abandoned and deleted it. After this write, a deletion at an older resourceVersion
// fails.
func (d *Directory) confirm(ctx context.Context, o client.Object, begun time.Time) error {
	if d.now().Sub(begun) < claims.ResponseDeadline {
		return nil
	}
	err := d.patch(ctx, o, map[string]any{"metadata": map[string]any{
		"uid":         o.GetUID(),
		"annotations": map[string]any{claims.AnnotationAttempt: uuid.NewString()},
	}})
	if err == nil && claims.Gone(o) {
		err = errors.New("a controller treated it as abandoned and deleted it")
	}
	if err != nil {
		return fmt.Errorf("confirm %s, which took long to create: %w", o.GetName(), err)
	}
	return nil
}

// takeBack deletes a user who has the name, provided that no client wrote to the object since it
// was created. It leaves a tombstone, because the controller may have begun its work. Otherwise the
// object stays, and the client, which got an error, finds it when it repeats the request.
// (A group is never taken back: a change of its members does not change its version.)
func (d *Directory) takeBack(ctx context.Context, o *v1alpha1.ScimUser) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTime)
	defer cancel()
	err := d.bury(ctx, o)
	if err != nil {
		d.log.Info("Leaving an object that was not completed to the controller", "object", client.ObjectKeyFromObject(o).String(), "error", err.Error())
	}
}

// withdraw deletes an object whose name was refused, at the version that was read. If again is
// true, the object has changed: the other holder left, a controller claimed the name for this
// object, and a client may have found it by name. The object was then read again.
func (d *Directory) withdraw(ctx context.Context, o client.Object) (again bool, err error) {
	err = d.eraseAt(ctx, o, o.GetResourceVersion())
	if !apierrors.IsConflict(err) {
		return false, client.IgnoreNotFound(err)
	}
	return d.read(ctx, o.GetName(), o)
}

// neverStored reports whether a create call failed with an answer that excludes that the object
// exists. A timeout does not exclude it, and AlreadyExists can be the answer to a repeated call.
func neverStored(err error) bool {
	var status apierrors.APIStatus
	if !errors.As(err, &status) {
		return false
	}
	code := status.Status().Code
	return code >= 400 && code < 500 && code != http.StatusRequestTimeout && code != http.StatusConflict
}

// erase deletes an object that may exist although the create call failed. It has no claim. erased
// is false if the object may exist afterwards: the deletion failed, or it found no object because
// the create call takes effect later.
func (d *Directory) erase(ctx context.Context, o client.Object) (erased bool) {
	err := d.eraseAt(ctx, o, "")
	if client.IgnoreNotFound(err) != nil {
		d.log.Info("Leaving an object that was not created to the controller", "object", client.ObjectKeyFromObject(o).String(), "error", err.Error())
	}
	return err == nil
}

// eraseAt deletes an object. If at is not empty, it deletes the object only at that
// resourceVersion. It continues after the request has ended. If there is no object, it returns
// NotFound and leaves the cache unchanged, because the object may be created later.
func (d *Directory) eraseAt(ctx context.Context, o client.Object, at string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTime)
	defer cancel()
	var only client.DeleteOption = client.Preconditions{}
	if at != "" {
		uid := o.GetUID()
		only = client.Preconditions{UID: &uid, ResourceVersion: &at}
	}
	if err := d.client.Delete(ctx, o, only); err != nil {
		return fmt.Errorf("remove %s, which was not completed: %w", o.GetName(), err)
	}
	d.forget(o, untilDeleted)
	return nil
}

// forget removes an object that this replica deleted from the cache.
func (d *Directory) forget(o client.Object, version uint64) {
	switch o := o.(type) {
	case *v1alpha1.ScimUser:
		d.users.removed(o.Name, version)
	case *v1alpha1.ScimGroup:
		d.groups.removed(o.Name, version)
	}
}

// bury writes the tombstone of a user or group at the version that was read, so that only one of
// two concurrent deletions succeeds.
func (d *Directory) bury(ctx context.Context, o client.Object) error {
	var old int64
	switch o := o.(type) {
	case *v1alpha1.ScimUser:
		old = o.Spec.Revision
	case *v1alpha1.ScimGroup:
		old = o.Spec.Revision
	}
	if err := d.patch(ctx, o, d.stamped(ctx, o, old, map[string]any{"deleted": true})); err != nil {
		return err
	}
	v, err := version(o.GetResourceVersion())
	if err != nil {
		return err
	}
	d.forget(o, v)
	return nil
}
