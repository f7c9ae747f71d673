// SPDX-License-Identifier: Apache-2.0

package store

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
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
	return scim.Conflict("Another User has the userName %q; userNames are compared regardless of case, width and Unicode composition.", name)
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
	u.users.storeWrite(r)
	return r.value.resource, nil
}

// Create implements server.Users. It writes the object first, under a new id, and then the claim on
// its name, which decides whether the user is created.
func (u users) Create(ctx context.Context, o scim.Object) (*server.Resource, error) {
	var spec v1alpha1.ScimUserSpec
	if err := specOf(o, &spec); err != nil {
		return nil, err
	}
	if err := bounded(&spec); err != nil {
		return nil, err
	}
	spec.Revision = u.next(0)
	user := &v1alpha1.ScimUser{ObjectMeta: u.fresh(ctx, spec.Revision), Spec: spec}
	if err := u.earlyConflict(ctx, spec.UserName); err != nil {
		return nil, err
	}
	begun := u.now()
	if err := u.create(ctx, user); err != nil {
		if !neverStored(err) {
			u.erase(ctx, user)
		}
		return nil, refused(err)
	}
	err := u.takeName(ctx, user, begun, func() error { return u.claimName(ctx, user, spec.UserName) })
	var refusal *scim.Error
	if err != nil && !errors.As(err, &refusal) {
		u.takeBack(ctx, user)
	}
	if err != nil {
		return nil, err
	}
	return u.resource(user)
}

// earlyConflict returns the conflict of a name that another user has already, so that such a
// request writes nothing. It asks the API server only if the cache contains a user of that name.
// Only the claim decides.
func (u users) earlyConflict(ctx context.Context, name string) error {
	if u.users.count(keyUserName+names.Fold(name)) == 0 {
		return nil
	}
	holder, err := u.holder(ctx, v1alpha1.ClaimUser, name)
	if err == nil && holder != nil {
		err = errNameTaken(name)
	}
	return err
}

// bounded refuses a user whose spec, or whose fields of it, is too large as JSON.
func bounded(spec any) error {
	body, err := compact(spec)
	if err != nil {
		return err
	}
	if len(body) > maxUser {
		return scim.Failure(http.StatusRequestEntityTooLarge, "The User is %d bytes large; at most %d are stored. Photos and certificates are what usually takes the room.", len(body), maxUser)
	}
	return nil
}

// changeUser returns a request's change of a user.
type changeUser = func(scim.Object) (scim.Object, error)

// Update implements server.Users.
func (u users) Update(ctx context.Context, id string, ifVersion server.Precondition, change changeUser) (*server.Resource, error) {
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

// updateKnown tries a change on the cache's copy, which saves a read of the API server. The patch
// has the cache's version, so it succeeds only if that is still the current one. In all other cases
// (nothing changes, the change or the precondition fails, a rename, a concurrent write) it returns
// nil without an error, and the caller decides on fresh data.
func (u users) updateKnown(ctx context.Context, id string, ifVersion server.Precondition, change changeUser) (*server.Resource, error) {
	known := u.users.get(id)
	if known == nil || matches(ifVersion, known.value.resource.Version) != nil {
		return nil, nil
	}
	e, err := known.value.edit(change)
	if err != nil || e.patch == nil {
		return nil, nil //nolint:nilerr // the cache may be behind
	}
	if _, needsClaim := e.renamed("userName"); needsClaim {
		return nil, nil
	}
	have := &v1alpha1.ScimUser{ObjectMeta: metav1.ObjectMeta{
		Namespace: u.namespace, Name: id, UID: types.UID(known.uid), ResourceVersion: strconv.FormatUint(known.version, 10),
	}}
	r, err := u.write(ctx, have, known.value, e)
	var refusal *scim.Error
	if apierrors.IsConflict(err) || errors.As(err, &refusal) {
		return nil, nil //nolint:nilerr // the cache is behind, or the refusal is repeated
	}
	return r, err
}

func (u users) updateOnce(ctx context.Context, id string, ifVersion server.Precondition, change changeUser) (*server.Resource, error) {
	have, err := u.live(ctx, id)
	if err != nil {
		return nil, err
	}
	if err := matches(ifVersion, userVersion(have)); err != nil {
		return nil, err
	}
	r, err := u.userRecord(have)
	if err != nil {
		return nil, err
	}
	e, err := r.value.edit(change)
	if err != nil {
		return nil, err
	}
	if e.patch == nil {
		if !awaitsPush(have) {
			u.users.storeWrite(r)
			return r.value.resource, nil
		}
		e.patch = map[string]any{} // only the revision changes
	}
	return u.write(ctx, have, r.value, e)
}

// awaitsPush reports whether a condition of the user waits until the provider pushes the user
// again. Then a request is stored although it changes nothing.
func awaitsPush(u *v1alpha1.ScimUser) bool {
	return slices.ContainsFunc(u.Status.Conditions, func(c metav1.Condition) bool {
		return (c.Type == v1alpha1.ConditionProvisioned || c.Type == v1alpha1.ConditionOwned) && // Owned before the user has an account
			(c.Reason == v1alpha1.ReasonDeactivatedLocally || c.Reason == v1alpha1.ReasonBackupOlder)
	})
}

// matches checks If-Match.
func matches(ifVersion server.Precondition, version string) error {
	if ifVersion == nil || ifVersion(version) {
		return nil
	}
	return scim.Failure(http.StatusPreconditionFailed, "The resource has changed since that version; its version is now %s. Read it again and repeat.", version)
}

// edit returns what a request changes in the user.
func (p *cachedUser) edit(change changeUser) (edit, error) {
	before, err := p.resource.Object("", true)
	if err != nil {
		return edit{}, err
	}
	after, err := change(before)
	if err != nil {
		return edit{}, err
	}
	return edited(before, after), nil
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

// write patches what changed, at the version of have, after taking the claim on a new name. The
// controller releases the old claim, once the account has the new name. p is the user before.
func (u users) write(ctx context.Context, have *v1alpha1.ScimUser, p *cachedUser, e edit) (*server.Resource, error) {
	data, err := json.Marshal(u.stamped(ctx, have, p.revision, e.patch))
	if err != nil {
		return nil, fmt.Errorf("encode a patch: %w", err)
	}
	if len(p.resource.JSON)+len(data) > maxUser { // otherwise the result can't be too large
		if err := bounded(e.after); err != nil {
			return nil, err
		}
	}
	if name, needsClaim := e.renamed("userName"); needsClaim {
		if err := u.claimName(ctx, have, name); err != nil {
			return nil, err
		}
	}
	err = u.send(ctx, have, data)
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
