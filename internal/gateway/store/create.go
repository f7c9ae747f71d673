// SPDX-License-Identifier: Apache-2.0

package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/kernel/claims"
	"lightrun.com/scim-operator/internal/scim"
)

// How an object comes to be: it is created under an id that nobody knows, and then its name is
// claimed, which decides. Until the answer, controllers see it too: they may give it the name, and
// others then find it and build on it; or take it for abandoned, and remove it. So what is taken
// back is taken back at the version that is known. What can't be is left to the controllers, and
// then the client is told of an error, never that the name is another's: a controller may give the
// object the name when the holder leaves.

// nameBy gives an object that was just created its name by claim, which may be repeated, or says
// why not. A *scim.Error is the refusal of the name, and says that nothing is left; after any other
// error the object may have the name.
func (d *Directory) nameBy(ctx context.Context, o client.Object, begun time.Time, claim func() error) error {
	err := errBusy("name what was created")
	for attempt := range attempts {
		if err = pause(ctx, attempt); err != nil {
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
		err = errBusy("name what was created")
	}
	if err == nil {
		err = d.confirm(ctx, o, begun)
	}
	return err
}

// confirm writes to an object that took long to get its name: a controller may have taken it for
// abandoned meanwhile, and removed it. One that was about to fails on its version.
func (d *Directory) confirm(ctx context.Context, o client.Object, begun time.Time) error {
	if d.now().Sub(begun) < claims.AnswerTime {
		return nil
	}
	err := d.patch(ctx, o, map[string]any{"metadata": map[string]any{
		"uid":         o.GetUID(),
		"annotations": map[string]any{claims.AnnotationAttempt: uuid.NewString()},
	}})
	if err == nil && claims.Gone(o) {
		err = errors.New("it was taken for abandoned and removed")
	}
	if err != nil {
		return fmt.Errorf("confirm %s, which took long to create: %w", o.GetName(), err)
	}
	return nil
}

// takeBack gives up a user who has the name, by which others may have found them, provided that
// nobody wrote to the object since. The controller may have begun its work, so a tombstone is left
// for it. Otherwise the object stays, and the client, which got an error, finds it when it repeats.
// (A group is never taken back: a change of its members does not show in its version.)
func (d *Directory) takeBack(ctx context.Context, o *v1alpha1.ScimUser) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTime)
	defer cancel()
	err := d.bury(ctx, o)
	if err != nil {
		d.log.Info("Leaving an object that was not completed to the controller", "object", client.ObjectKeyFromObject(o).String(), "error", err.Error())
	}
}

// withdraw erases an object that was refused its name, as it was read. again says that somebody
// wrote to it meanwhile, who may have found it under the name after all: its holder left, and a
// controller gave it the name. It is read anew then.
func (d *Directory) withdraw(ctx context.Context, o client.Object) (again bool, err error) {
	err = d.eraseAt(ctx, o, o.GetResourceVersion())
	if !apierrors.IsConflict(err) {
		return false, err
	}
	return d.read(ctx, o.GetName(), o)
}

// erase removes an object that may have been created though the answer was lost. It has no claim.
func (d *Directory) erase(ctx context.Context, o client.Object) {
	if err := d.eraseAt(ctx, o, ""); err != nil {
		d.log.Info("Leaving an object that was not created to the controller", "object", client.ObjectKeyFromObject(o).String(), "error", err.Error())
	}
}

// eraseAt deletes an object, at that version only unless it is empty. It works on after the request
// is over.
func (d *Directory) eraseAt(ctx context.Context, o client.Object, at string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTime)
	defer cancel()
	var only client.DeleteOption = client.Preconditions{}
	if at != "" {
		uid := o.GetUID()
		only = client.Preconditions{UID: &uid, ResourceVersion: &at}
	}
	if err := d.client.Delete(ctx, o, only); client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("remove %s, which was not completed: %w", o.GetName(), err)
	}
	d.forget(o, untilDeleted)
	return nil
}

// forget takes an object out of the cache that was removed by this replica.
func (d *Directory) forget(o client.Object, version uint64) {
	switch o := o.(type) {
	case *v1alpha1.ScimUser:
		d.people.removed(o.Name, version)
	case *v1alpha1.ScimGroup:
		d.groups.removed(o.Name, version)
	}
}

// bury writes the tombstone of a user or group, on top of the version that was read: of two
// deletions only one wins.
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
