// SPDX-License-Identifier: Apache-2.0

package stories_test

import (
	"slices"
	"sync"

	"github.com/google/uuid"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/kernel/groupslice"
)

// pushed are the groups that the provider has pushed, by name.
type pushed struct {
	slices *groupslice.Store
	mu     sync.Mutex
	byName map[string]*v1alpha1.ScimGroup
	of     map[string][]string // user → names of groups
}

// groupNames returns all groups that contain a user.
type groupNames []string

// in sets the groups that contain the user, and removes the user from all others; a missing group
// is pushed.
func in(groups ...string) groupNames { return groups }

// group pushes a group of users as the webhook does: slices first, then the object, then the claim.
func (w *world) group(name string, users ...*v1alpha1.ScimUser) *v1alpha1.ScimGroup {
	w.t.Helper()
	g := &v1alpha1.ScimGroup{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: uuid.NewString()},
		Spec:       v1alpha1.ScimGroupSpec{DisplayName: name, ExternalID: "x-" + name, Revision: revision(0)},
	}
	var ids []string
	for _, u := range users {
		ids = append(ids, u.Name)
	}
	w.must(w.groups.slices.Create(w.t.Context(), g.Name, ids))
	w.must(w.client.Create(w.t.Context(), g, client.FieldOwner(v1alpha1.FieldManagerWebhook)))
	w.claimGroup(g, name)
	return g
}

func (w *world) claimGroup(g *v1alpha1.ScimGroup, name string) {
	w.t.Helper()
	other, err := registry(w.client).Keep(w.t.Context(), v1alpha1.ClaimGroup, name, g)
	w.must(err)
	if other != nil {
		w.t.Fatalf("the name %s is taken by %s", name, other.GetName())
	}
}

// changeGroup edits a group as the webhook does: it claims a new name first.
func (w *world) changeGroup(g *v1alpha1.ScimGroup, edit func(*v1alpha1.ScimGroupSpec)) {
	w.t.Helper()
	w.must(w.client.Get(w.t.Context(), client.ObjectKeyFromObject(g), g))
	before := g.DeepCopy()
	edit(&g.Spec)
	if g.Spec.DisplayName != before.Spec.DisplayName {
		w.claimGroup(g, g.Spec.DisplayName)
	}
	g.Spec.Revision = revision(g.Spec.Revision)
	w.must(w.client.Patch(w.t.Context(), g, client.MergeFrom(before), client.FieldOwner(v1alpha1.FieldManagerWebhook)))
}

// add and leave change a group's members by name.
func (w *world) add(g *v1alpha1.ScimGroup, users ...*v1alpha1.ScimUser) {
	w.t.Helper()
	w.members(g, true, users)
}

func (w *world) leave(g *v1alpha1.ScimGroup, users ...*v1alpha1.ScimUser) {
	w.t.Helper()
	w.members(g, false, users)
}

func (w *world) members(g *v1alpha1.ScimGroup, in bool, users []*v1alpha1.ScimUser) {
	w.t.Helper()
	var changes []groupslice.Change
	for _, u := range users {
		changes = append(changes, groupslice.Change{User: u.Name, In: in})
	}
	w.must(w.groups.slices.Change(w.t.Context(), g.Name, changes))
}

// regroup makes exactly those groups contain the user that an edit names, if one does.
func (w *world) regroup(u *v1alpha1.ScimUser, edit []any) {
	w.t.Helper()
	i := slices.IndexFunc(edit, func(e any) bool { _, ok := e.(groupNames); return ok })
	if i < 0 {
		return
	}
	want := edit[i].(groupNames)
	w.groups.mu.Lock()
	defer w.groups.mu.Unlock()
	if w.groups.of == nil {
		w.groups.of = map[string][]string{}
	}
	have := w.groups.of[u.Name]
	w.groups.of[u.Name] = want
	for _, name := range want {
		if g := w.groupNamed(name); !slices.Contains(have, name) {
			w.add(g, u)
		}
	}
	for _, name := range have {
		if !slices.Contains(want, name) {
			w.leave(w.groups.byName[name], u)
		}
	}
}

// groupNamed returns the group with this name in the story; a missing group is pushed. The caller
// has the lock of the groups.
func (w *world) groupNamed(name string) *v1alpha1.ScimGroup {
	w.t.Helper()
	if w.groups.byName == nil {
		w.groups.byName = map[string]*v1alpha1.ScimGroup{}
	}
	if w.groups.byName[name] == nil {
		w.groups.byName[name] = w.group(name)
	}
	return w.groups.byName[name]
}
