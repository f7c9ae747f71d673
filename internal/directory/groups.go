package directory

import (
	"context"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/names"
	"lightrun.com/scim-operator/internal/scim"
	"lightrun.com/scim-operator/internal/scim/patch"
	"lightrun.com/scim-operator/internal/scim/server"
)

// groups implements server.Groups.
type groups struct{ *Directory }

func errNoGroup(id string) error {
	return scim.NotFound("There is no Group with the id %q.", clip(id))
}

// Get implements server.Groups. The group itself is read from the API server, its members come from the cache.
func (g groups) Get(ctx context.Context, id string) (*server.Resource, error) {
	have, err := g.live(ctx, id)
	if err != nil {
		return nil, err
	}
	return g.resource(have)
}

// live reads one visible pool from the API server, or 404.
func (g groups) live(ctx context.Context, id string) (*v1alpha1.AgentPool, error) {
	var have v1alpha1.AgentPool
	found, err := g.read(ctx, id, &have)
	if err != nil {
		return nil, err
	}
	if _, visible := have.SCIMName(); !found || !visible {
		return nil, errNoGroup(id)
	}
	return &have, nil
}

// resource notes what the API server answered in the cache and shows it as a Group.
func (g groups) resource(have *v1alpha1.AgentPool) (*server.Resource, error) {
	r, err := g.poolRecord(have)
	if err != nil {
		return nil, err
	}
	if have.DeletionTimestamp != nil || r.value.resource == nil {
		return nil, errNoGroup(have.Name)
	}
	g.pools.wrote(r)
	return r.value.resource, nil
}

// Create implements server.Groups. A declared pool that waits for a group of this name is linked to it; otherwise there will be a new pool.
func (g groups) Create(ctx context.Context, o scim.Object, members []string) (*server.Resource, error) {
	idp, err := groupFrom(o)
	if err != nil {
		return nil, err
	}
	if err := g.knownPeople(ctx, members); err != nil {
		return nil, err
	}
	if err := g.roomFor(plan([]patch.MemberChange{{Op: patch.AddMembers, IDs: members}}, nil), ""); err != nil {
		return nil, err
	}
	for attempt := range attempts {
		if err := pause(ctx, attempt); err != nil {
			return nil, err
		}
		r, err := g.createOnce(ctx, idp, members)
		if !lost(err) {
			return r, err
		}
	}
	return nil, errBusy("create a group")
}

func (g groups) createOnce(ctx context.Context, idp v1alpha1.IDPGroup, members []string) (*server.Resource, error) {
	waiting, err := g.waiting(ctx, idp.DisplayName)
	if err != nil {
		return nil, err
	}
	if waiting != nil {
		return g.link(ctx, waiting, idp, members)
	}
	have := &v1alpha1.AgentPool{
		ObjectMeta: g.fresh(ctx, v1alpha1.FinalizerPool),
		Spec:       v1alpha1.AgentPoolSpec{IDP: &idp},
	}
	begun := g.now()
	if err := g.create(ctx, have); err != nil {
		if !apierrors.IsInvalid(err) {
			g.takeBack(ctx, have)
		}
		return nil, refused(err)
	}
	if err := g.complete(ctx, have, members, begun); err != nil {
		return nil, err
	}
	return g.resource(have)
}

// complete gives a pool that was just created its name and its members, or takes it back.
func (g groups) complete(ctx context.Context, have *v1alpha1.AgentPool, members []string, begun time.Time) error {
	if err := g.named(ctx, have, begun, func() error { return g.claimNames(ctx, have, have.Names()) }); err != nil {
		return err
	}
	err := g.add(ctx, have, members)
	if err != nil && g.takeBack(ctx, have) {
		g.strip(ctx, have)
	}
	return err
}

// waiting finds the pool that a new group of this name fills: one that offers the name by groupName, or one whose group the provider
// deleted and now creates anew. A name that a pool bears otherwise is a 409 that says what to do.
func (g groups) waiting(ctx context.Context, name string) (*v1alpha1.AgentPool, error) {
	holder, err := g.holder(ctx, v1alpha1.ClaimPool, name)
	if err != nil {
		return nil, err
	}
	if have, ok := holder.(*v1alpha1.AgentPool); ok {
		if fills(have, name) {
			return have, nil
		}
		return nil, errGroupTaken(have, name)
	}
	for _, r := range g.pools.under(keyOffered + names.Fold(name)) { // declared a moment ago, its claim is yet to be made
		var have v1alpha1.AgentPool
		found, err := g.read(ctx, r.id(), &have)
		if err != nil {
			return nil, err
		}
		if found && fills(&have, name) {
			return &have, nil
		}
	}
	return nil, nil
}

// fills says whether the pool waits for a group of that name.
func fills(p *v1alpha1.AgentPool, name string) bool {
	if linked(p) || p.Name == v1alpha1.DefaultName {
		return false
	}
	folded := names.Fold(name)
	return p.Spec.GroupName != "" && names.Fold(p.Spec.GroupName) == folded ||
		p.Spec.IDP != nil && p.Spec.IDP.Unlinked && names.Fold(p.Spec.IDP.DisplayName) == folded
}

func errGroupTaken(p *v1alpha1.AgentPool, name string) error {
	if _, visible := p.SCIMName(); visible {
		return scim.Conflict("Another Group has the displayName %q; its id is %q. displayNames are compared without regard to case.", name, p.Name)
	}
	return scim.Conflict("The agent pool %q already bears the name %q and is not filled by a group. Set spec.groupName: %q on it to let this group fill it, or give the group another name.", p.Name, name, name)
}

// link lets a group of the provider fill a pool that people declared.
func (g groups) link(ctx context.Context, have *v1alpha1.AgentPool, idp v1alpha1.IDPGroup, members []string) (*server.Resource, error) {
	want := have.DeepCopy()
	want.Spec.IDP = &idp
	if err := g.claimNames(ctx, have, added(want.Names(), nil)); err != nil {
		return nil, err
	}
	if err := g.writeIDP(ctx, have, &idp); err != nil {
		return nil, err
	}
	if err := g.add(ctx, have, members); err != nil {
		return nil, err
	}
	return g.resource(have)
}

// writeIDP patches what the provider says of the pool, on top of the version that was read.
func (g groups) writeIDP(ctx context.Context, have *v1alpha1.AgentPool, idp *v1alpha1.IDPGroup) error {
	before := have.DeepCopy().Spec
	after := before
	after.IDP = idp
	difference, err := mergePatch(&before, &after)
	if err != nil || difference == nil {
		return err
	}
	return refused(g.patch(ctx, have, map[string]any{"metadata": g.stamped(ctx, have), "spec": difference}))
}

// claimNames claims names for a pool, or says who has one of them.
func (g groups) claimNames(ctx context.Context, have *v1alpha1.AgentPool, wanted []string) error {
	for _, name := range added(wanted, nil) {
		taken, err := g.claim(ctx, v1alpha1.ClaimPool, name, have)
		if err != nil {
			return err
		}
		if p, ok := taken.(*v1alpha1.AgentPool); ok {
			return errGroupTaken(p, name)
		}
	}
	return nil
}

// added lists the names of wanted that are not in have, each once, compared folded.
func added(wanted, have []string) []string {
	seen := map[string]bool{}
	for _, n := range have {
		seen[names.Fold(n)] = true
	}
	var out []string
	for _, n := range wanted {
		if f := names.Fold(n); !seen[f] {
			seen[f] = true
			out = append(out, n)
		}
	}
	return out
}

// Update implements server.Groups: first everything is read and checked, then the pool is written, if it changes, and then each person.
func (g groups) Update(ctx context.Context, id string, change func(scim.Object) (scim.Object, []patch.MemberChange, error)) (*server.Resource, error) {
	for attempt := range attempts {
		if err := pause(ctx, attempt); err != nil {
			return nil, err
		}
		r, err := g.updateOnce(ctx, id, change)
		if !apierrors.IsConflict(err) {
			return r, err
		}
	}
	return nil, errBusy("update a group")
}

func (g groups) updateOnce(ctx context.Context, id string, change func(scim.Object) (scim.Object, []patch.MemberChange, error)) (*server.Resource, error) {
	have, err := g.live(ctx, id)
	if err != nil {
		return nil, err
	}
	idp, changes, err := g.changed(have, change)
	if err != nil {
		return nil, err
	}
	if err := g.knownPeople(ctx, mentioned(changes)); err != nil {
		return nil, err
	}
	if err := g.rename(ctx, have, idp); err != nil {
		return nil, err
	}
	if err := g.change(ctx, have, changes); err != nil {
		return nil, err
	}
	return g.resource(have)
}

// changed is what change makes of a pool's attributes, and of its members.
func (g groups) changed(have *v1alpha1.AgentPool, change func(scim.Object) (scim.Object, []patch.MemberChange, error)) (*v1alpha1.IDPGroup, []patch.MemberChange, error) {
	name, _ := have.SCIMName()
	r, err := g.groupResource(have, name, "")
	if err != nil {
		return nil, nil, err
	}
	before, err := r.Object("", false)
	if err != nil {
		return nil, nil, err
	}
	after, changes, err := change(before)
	if err != nil {
		return nil, nil, err
	}
	idp, err := groupFrom(after)
	if err != nil {
		return nil, nil, err
	}
	if idp.DisplayName == name && have.Spec.IDP == nil && idp.ExternalID == "" {
		return nil, changes, nil // a declared pool whose attributes nobody changed stays unlinked
	}
	return &idp, changes, nil
}

// rename writes what the provider says of the pool, after the claims on its new names.
func (g groups) rename(ctx context.Context, have *v1alpha1.AgentPool, idp *v1alpha1.IDPGroup) error {
	if idp == nil || have.Spec.IDP != nil && *have.Spec.IDP == *idp {
		return nil
	}
	want := have.DeepCopy()
	want.Spec.IDP = idp
	if err := g.claimNames(ctx, have, added(want.Names(), have.Names())); err != nil {
		return err
	}
	err := g.writeIDP(ctx, have, idp)
	if apierrors.IsNotFound(err) {
		return errNoGroup(have.Name)
	}
	return err
}
