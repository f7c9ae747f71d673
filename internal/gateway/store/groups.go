// SPDX-License-Identifier: Apache-2.0

package store

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/gateway/server"
	"lightrun.com/scim-operator/internal/kernel/groupslice"
	"lightrun.com/scim-operator/internal/kernel/names"
	"lightrun.com/scim-operator/internal/kernel/retry"
	"lightrun.com/scim-operator/internal/scim"
	"lightrun.com/scim-operator/internal/scim/patch"
)

// groups implements server.Groups.
type groups struct{ *Directory }

// changeGroup returns a request's changes to a group's attributes and members.
type changeGroup = func(scim.Object) (scim.Object, []patch.MemberChange, error)

func errNoGroup(id string) error {
	return scim.NotFound("There is no Group with the id %q.", clip(id))
}

func errGroupTaken(name string) error {
	return scim.Conflict("Another Group has the displayName %q; displayNames are compared regardless of case, width and Unicode composition.", name)
}

// storeError turns an error of the member store into the error for the client.
func storeError(id string, err error) error {
	switch {
	case errors.Is(err, groupslice.ErrGroupGone):
		return errNoGroup(id)
	case errors.Is(err, groupslice.ErrIncomplete):
		return scim.Failure(http.StatusServiceUnavailable, "A part of the members of the Group %q is missing in the cluster: restore its ScimGroupSlices, or delete the group and push it again.", clip(id))
	case errors.Is(err, groupslice.ErrBusy):
		return scim.Failure(http.StatusServiceUnavailable, "The members of this group could not be stored in time: many requests change it, or the API server is slow. Repeat the request: it is safe.")
	}
	return refused(err)
}

// Get implements server.Groups. It reads the group and its members from the API server.
func (g groups) Get(ctx context.Context, id string, members bool) (*server.Resource, error) {
	have, err := g.live(ctx, id)
	if err != nil {
		return nil, err
	}
	r, err := g.resource(have)
	if err != nil || !members {
		return r, err
	}
	links, err := g.liveMembers(ctx, id)
	if err != nil {
		return nil, err
	}
	shown := *r
	shown.Links = slices.Values(links)
	return &shown, nil
}

// live reads one group from the API server, or returns a 404.
func (g groups) live(ctx context.Context, id string) (*v1alpha1.ScimGroup, error) {
	var have v1alpha1.ScimGroup
	found, err := g.read(ctx, id, &have)
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, cmp.Or(g.gone(ctx, g.ofGroups, g.groups.get(id) != nil, &have), errNoGroup(id))
	}
	return &have, nil
}

// resource stores the API server's response in the cache and returns the group, with its members
// from the cache.
func (g groups) resource(have *v1alpha1.ScimGroup) (*server.Resource, error) {
	r, err := g.groupRecord(have)
	if err != nil {
		return nil, err
	}
	g.groups.storeWrite(r)
	return r.value.resource, nil
}

// Create implements server.Groups. It writes the slices first, so that a group that can be found is
// complete. Then it writes the group, under a new id, and then the claim on its name, which decides
// whether the group is created.
func (g groups) Create(ctx context.Context, o scim.Object, members []string) (*server.Resource, error) {
	var spec v1alpha1.ScimGroupSpec
	if err := specOf(o, &spec); err != nil {
		return nil, err
	}
	if err := g.knownUsers(ctx, members); err != nil {
		return nil, err
	}
	if err := g.earlyConflict(ctx, spec.DisplayName); err != nil {
		return nil, err
	}
	spec.Revision = g.next(0)
	have := &v1alpha1.ScimGroup{ObjectMeta: g.fresh(ctx, spec.Revision), Spec: spec}
	if err := g.store.Create(ctx, have.Name, members); err != nil {
		g.sweep(ctx, have.Name)
		return nil, storeError(have.Name, err)
	}
	if err := g.createNamed(ctx, have); err != nil {
		return nil, err
	}
	g.makeOwnPool(ctx, have)
	return g.resource(have)
}

// createNamed creates the group and claims its name. If the create fails or the name is refused,
// the group is deleted. After any other error of the claim the group stays, because a client may
// find it by name and it is complete. The slices are deleted only if no group with this id can
// exist.
func (g groups) createNamed(ctx context.Context, have *v1alpha1.ScimGroup) error {
	begun := g.now()
	if err := g.create(ctx, have); err != nil {
		if neverStored(err) || g.erase(ctx, have) {
			g.sweep(ctx, have.Name)
		}
		return refused(err)
	}
	err := g.takeName(ctx, have, begun, func() error { return g.claimName(ctx, have, have.Spec.DisplayName) })
	var refusal *scim.Error
	if errors.As(err, &refusal) {
		g.sweep(ctx, have.Name)
	}
	return err
}

// sweep deletes the slices of a group that was not created. The manager deletes what remains.
func (g groups) sweep(ctx context.Context, id string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTime)
	defer cancel()
	if err := g.store.Delete(ctx, id); err != nil {
		g.log.Info("Leaving the slices of a group that was not created to the manager", "group", id, "error", err.Error())
	}
}

// earlyConflict returns the conflict of a name that another group has already, so that such a
// request writes nothing. Only the claim decides.
func (g groups) earlyConflict(ctx context.Context, name string) error {
	if g.groups.count(keyName+names.Fold(name)) == 0 {
		return nil
	}
	holder, err := g.holder(ctx, v1alpha1.ClaimGroup, name)
	if err == nil && holder != nil {
		err = errGroupTaken(name)
	}
	return err
}

// claimName takes the claim on a name for a group, or returns a conflict if another group has the
// name.
func (g groups) claimName(ctx context.Context, have *v1alpha1.ScimGroup, name string) error {
	taken, err := g.claim(ctx, v1alpha1.ClaimGroup, name, have)
	if err == nil && taken != nil {
		err = errGroupTaken(name)
	}
	return err
}

// ownPool returns the pool of a group that no other pool names.
func ownPool(namespace, group string) *v1alpha1.AgentPool {
	return &v1alpha1.AgentPool{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: group},
		Spec:       v1alpha1.AgentPoolSpec{Groups: []v1alpha1.GroupReference{{ID: group}}},
	}
}

// makeOwnPool creates the own pool of a group that no pool names. The manager does the same later,
// so a failure is only logged: groups do not depend on pools.
func (g groups) makeOwnPool(ctx context.Context, have *v1alpha1.ScimGroup) {
	if !g.ofPools.isFilled() || g.ofPools.isMissing() || g.named(have) {
		return
	}
	if err := g.create(ctx, ownPool(g.namespace, have.Name)); err != nil && !apierrors.IsAlreadyExists(err) {
		g.log.Info("Leaving a group's own pool to the manager", "group", have.Name, "error", err.Error())
	}
}

// Update implements server.Groups: it reads and checks everything first, then writes the attributes
// if they change, and then the members.
func (g groups) Update(ctx context.Context, id string, change changeGroup) (*server.Resource, error) {
	for attempt := range retry.Attempts {
		if err := retry.Pause(ctx, attempt); err != nil {
			return nil, err
		}
		r, err := g.updateOnce(ctx, id, change)
		if !apierrors.IsConflict(err) {
			return r, err
		}
	}
	return nil, errBusy("update a group")
}

func (g groups) updateOnce(ctx context.Context, id string, change changeGroup) (*server.Resource, error) {
	have, err := g.live(ctx, id)
	if err != nil {
		return nil, err
	}
	e, changes, err := g.changed(have, change)
	if err != nil {
		return nil, err
	}
	if err := g.knownUsers(ctx, mentioned(changes)); err != nil {
		return nil, err
	}
	m, err := g.planned(ctx, id, changes)
	if err != nil {
		return nil, err
	}
	if err := g.write(ctx, have, e); err != nil {
		return nil, err
	}
	if err := g.apply(ctx, have, m); err != nil {
		return nil, storeError(id, err)
	}
	return g.resource(have)
}

// changed returns what a request changes in a group's attributes and in its members.
func (g groups) changed(have *v1alpha1.ScimGroup, change changeGroup) (edit, []patch.MemberChange, error) {
	r, err := g.groupRecord(have)
	if err != nil {
		return edit{}, nil, err
	}
	before, err := r.value.resource.Object("", false)
	if err != nil {
		return edit{}, nil, err
	}
	after, changes, err := change(before)
	return edited(before, after), changes, err
}

// write patches the changed attributes at the version that was read, after taking the claim on a
// new name. The controller releases the old claim.
func (g groups) write(ctx context.Context, have *v1alpha1.ScimGroup, e edit) error {
	if e.patch == nil {
		return nil
	}
	if name, needsClaim := e.renamed("displayName"); needsClaim {
		if err := g.claimName(ctx, have, name); err != nil {
			return err
		}
	}
	err := g.patch(ctx, have, g.stamped(ctx, have, have.Spec.Revision, e.patch))
	if apierrors.IsNotFound(err) {
		return errNoGroup(have.Name)
	}
	return refused(err)
}

// Delete implements server.Groups: it writes the tombstone. The manager removes the members from
// pools, and then deletes the slices and the object.
func (g groups) Delete(ctx context.Context, id string) error {
	for attempt := range retry.Attempts {
		if err := retry.Pause(ctx, attempt); err != nil {
			return err
		}
		have, err := g.live(ctx, id)
		if err == nil {
			err = g.bury(ctx, have)
		}
		switch {
		case apierrors.IsNotFound(err):
			return errNoGroup(id)
		case !apierrors.IsConflict(err):
			return err
		}
	}
	return errBusy("delete a group")
}
