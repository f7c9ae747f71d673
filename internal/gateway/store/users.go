// SPDX-License-Identifier: Apache-2.0

package store

import (
	"cmp"
	"context"
	"errors"
	"net/http"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/gateway/server"
	"lightrun.com/scim-operator/internal/kernel/claims"
	"lightrun.com/scim-operator/internal/kernel/names"
	"lightrun.com/scim-operator/internal/kernel/retry"
	"lightrun.com/scim-operator/internal/scim"
)

// users implements server.Users.
type users struct{ *Directory }

func errNoUser(id string) error {
	return scim.NotFound("There is no User with the id %q.", clip(id))
}

func errNameTaken(name string) error {
	return scim.Conflict("Another User has the userName %q; userNames are compared without regard to case.", name)
}

// clip shortens a client's value for an error message.
func clip(s string) string {
	if r := []rune(s); len(r) > 80 {
		return string(r[:80]) + "…"
	}
	return s
}

// Get implements server.Users. It asks the API server, so that it is linearizable.
func (u users) Get(ctx context.Context, id string) (*server.Resource, error) {
	if r, err := u.current(ctx, id); err != nil {
		return nil, err
	} else if r != nil {
		return r.value.resource, nil
	}
	have, err := u.live(ctx, id)
	if err != nil {
		return nil, err
	}
	return u.resource(have)
}

// live reads one user from the API server, or returns 404.
func (u users) live(ctx context.Context, id string) (*v1alpha1.ScimUser, error) {
	var have v1alpha1.ScimUser
	found, err := u.read(ctx, id, &have)
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, cmp.Or(u.gone(ctx, u.ofUsers, u.users.get(id) != nil, &have), errNoUser(id))
	}
	return &have, nil
}

// gone is called for an object that does not exist. It returns an error if the kind is not served:
// an object that the cache contains, and that has no tombstone, may have been deleted together with
// its kind.
func (d *Directory) gone(ctx context.Context, from *source, known bool, read client.Object) error {
	if !known || read.GetUID() != "" {
		return nil
	}
	return from.confirm(ctx)
}

// resource stores the API server's response in the cache and returns the user.
func (u users) resource(have *v1alpha1.ScimUser) (*server.Resource, error) {
	r, err := u.userRecord(have)
	if err != nil {
		return nil, err
	}
	u.users.wrote(r)
	return r.value.resource, nil
}

// Create implements server.Users. It writes the object first, under a new id, and then the claim on
// its name, which decides whether the user is created.
func (u users) Create(ctx context.Context, o scim.Object) (*server.Resource, error) {
	spec, err := userFrom(o, &v1alpha1.ScimUserSpec{})
	if err != nil {
		return nil, err
	}
	spec.Revision = u.next(0)
	user := &v1alpha1.ScimUser{ObjectMeta: u.fresh(ctx, spec.Revision), Spec: spec}
	if err := bounded(user); err != nil {
		return nil, err
	}
	if err := u.probablyTaken(ctx, spec.UserName); err != nil {
		return nil, err
	}
	begun := u.now()
	if err := u.create(ctx, user); err != nil {
		if !apierrors.IsInvalid(err) {
			u.erase(ctx, user)
		}
		return nil, refused(err)
	}
	err = u.takeName(ctx, user, begun, func() error { return u.claimName(ctx, user, spec.UserName) })
	var refusal *scim.Error
	if err != nil && !errors.As(err, &refusal) {
		u.takeBack(ctx, user)
	}
	if err != nil {
		return nil, err
	}
	return u.resource(user)
}

// probablyTaken returns the usual conflict before anything is written: the cache contains a user of
// that name, and the API server confirms it.
func (u users) probablyTaken(ctx context.Context, name string) error {
	if u.users.count(keyUserName+names.Fold(name)) == 0 {
		return nil
	}
	holder, err := u.holder(ctx, v1alpha1.ClaimUser, name)
	if err == nil && holder != nil {
		err = errNameTaken(name)
	}
	return err
}

// bounded refuses a user whose JSON is too large.
func bounded(u *v1alpha1.ScimUser) error {
	body, err := encodeUser(u, "")
	if err != nil {
		return err
	}
	if len(body) > maxUser {
		return scim.Failure(http.StatusRequestEntityTooLarge, "The User is %d bytes large; at most %d are stored. Photos and certificates are what usually takes the room.", len(body), maxUser)
	}
	return nil
}

// Update implements server.Users.
func (u users) Update(ctx context.Context, id string, ifVersion server.Precondition, change func(scim.Object) (scim.Object, error)) (*server.Resource, error) {
	if r, err := u.updateKnown(ctx, id, ifVersion, change); r != nil || err != nil {
		return r, err
	}
	for attempt := range retry.Attempts {
		if err := retry.Pause(ctx, attempt); err != nil {
			return nil, err
		}
		r, err := u.updateOnce(ctx, id, ifVersion, change)
		if !apierrors.IsConflict(err) {
			return r, err
		}
	}
	return nil, errBusy("update a user")
}

func (u users) updateOnce(ctx context.Context, id string, ifVersion server.Precondition, change func(scim.Object) (scim.Object, error)) (*server.Resource, error) {
	have, err := u.live(ctx, id)
	if err != nil {
		return nil, err
	}
	if err := matches(ifVersion, userVersion(have)); err != nil {
		return nil, err
	}
	spec, err := u.changed(have, change)
	if err != nil {
		return nil, err
	}
	difference, err := mergePatch(&have.Spec, spec)
	if err != nil {
		return nil, err
	}
	if difference == nil {
		if !awaitsPush(have) {
			return u.resource(have)
		}
		difference = map[string]any{} // only the revision changes
	}
	if err := u.rename(ctx, have, spec.UserName); err != nil {
		return nil, err
	}
	return u.write(ctx, have, difference)
}

// awaitsPush reports whether a condition of the user waits until the provider pushes the user
// again. Then a request is stored although it changes nothing.
func awaitsPush(u *v1alpha1.ScimUser) bool {
	c := meta.FindStatusCondition(u.Status.Conditions, v1alpha1.ConditionProvisioned)
	return c != nil && (c.Reason == v1alpha1.ReasonDeactivatedLocally || c.Reason == v1alpha1.ReasonBackupOlder)
}

// matches checks If-Match.
func matches(ifVersion server.Precondition, version string) error {
	if ifVersion == nil || ifVersion(version) {
		return nil
	}
	return scim.Failure(http.StatusPreconditionFailed, "The resource has changed since that version; its version is now %s. Read it again and repeat.", version)
}

// changed returns a user's spec after change.
func (u users) changed(have *v1alpha1.ScimUser, change func(scim.Object) (scim.Object, error)) (*v1alpha1.ScimUserSpec, error) {
	r, err := u.userRecord(have)
	if err != nil {
		return nil, err
	}
	before, err := r.value.resource.Object("", true)
	if err != nil {
		return nil, err
	}
	after, err := change(before)
	if err != nil {
		return nil, err
	}
	spec, err := userFrom(after, &have.Spec)
	if err != nil {
		return nil, err
	}
	return &spec, bounded(&v1alpha1.ScimUser{ObjectMeta: have.ObjectMeta, Spec: spec})
}

// rename takes the claim on the new name. The controller releases the old claim, once the account
// has the new name.
func (u users) rename(ctx context.Context, have *v1alpha1.ScimUser, name string) error {
	if names.Fold(name) == names.Fold(have.Spec.UserName) {
		return nil
	}
	return u.claimName(ctx, have, name)
}

// claimName takes the claim on a name for a user, or returns a conflict if another user has the
// name.
func (u users) claimName(ctx context.Context, have *v1alpha1.ScimUser, name string) error {
	taken, err := u.claim(ctx, v1alpha1.ClaimUser, name, have)
	if err == nil && taken != nil {
		err = errNameTaken(name)
	}
	return err
}

// write patches what changed, at the resourceVersion that was read.
func (u users) write(ctx context.Context, have *v1alpha1.ScimUser, spec map[string]any) (*server.Resource, error) {
	err := u.patch(ctx, have, u.stamped(ctx, have, have.Spec.Revision, spec))
	switch {
	case apierrors.IsNotFound(err):
		return nil, errNoUser(have.Name)
	case err != nil:
		return nil, refused(err)
	case claims.Gone(have):
		return nil, errNoUser(have.Name)
	}
	return u.resource(have)
}

// Delete implements server.Users. A tombstone keeps the object until its account is deprovisioned;
// SCIM clients no longer see the user.
func (u users) Delete(ctx context.Context, id string, ifVersion server.Precondition) error {
	for attempt := range retry.Attempts {
		if err := retry.Pause(ctx, attempt); err != nil {
			return err
		}
		err := u.deleteOnce(ctx, id, ifVersion)
		if !apierrors.IsConflict(err) {
			return err
		}
	}
	return errBusy("delete a user")
}

func (u users) deleteOnce(ctx context.Context, id string, ifVersion server.Precondition) error {
	have, err := u.live(ctx, id)
	if err != nil {
		return err
	}
	if err := matches(ifVersion, userVersion(have)); err != nil {
		return err
	}
	err = u.bury(ctx, have)
	if apierrors.IsNotFound(err) {
		return errNoUser(id)
	}
	return err
}
