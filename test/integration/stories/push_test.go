// SPDX-License-Identifier: Apache-2.0

package stories_test

import (
	"context"
	"slices"
	"sync"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/kernel/groupslice"
	"lightrun.com/scim-operator/internal/scim"
	"lightrun.com/scim-operator/internal/scim/patch"
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

// group pushes a group of users through the webhook's directory.
func (w *world) group(name string, users ...*v1alpha1.ScimUser) *v1alpha1.ScimGroup {
	w.t.Helper()
	var ids []string
	for _, u := range users {
		ids = append(ids, u.Name)
	}
	made, err := w.webhook.Groups().Create(w.t.Context(), groupObject(&v1alpha1.ScimGroupSpec{DisplayName: name, ExternalID: "x-" + name}), ids)
	w.must(err)
	g := &v1alpha1.ScimGroup{ObjectMeta: metav1Name(w.namespace, made.ID)}
	w.must(w.client.Get(w.t.Context(), client.ObjectKeyFromObject(g), g))
	return g
}

// groupObject is a group as the provider sends it.
func groupObject(s *v1alpha1.ScimGroupSpec) scim.Object {
	return scim.Object{"schemas": []any{scim.SchemaGroup}, "displayName": s.DisplayName, "externalId": s.ExternalID}
}

// changeGroup edits a group through the webhook's directory.
func (w *world) changeGroup(g *v1alpha1.ScimGroup, edit func(*v1alpha1.ScimGroupSpec)) {
	w.t.Helper()
	w.changeGroupBy(w.t.Context(), g, edit)
}

func (w *world) changeGroupBy(ctx context.Context, g *v1alpha1.ScimGroup, edit func(*v1alpha1.ScimGroupSpec)) {
	w.t.Helper()
	w.must(w.client.Get(ctx, client.ObjectKeyFromObject(g), g))
	spec := g.Spec.DeepCopy()
	edit(spec)
	if spec.Deleted {
		w.must(w.webhook.Groups().Delete(ctx, g.Name))
	} else {
		_, err := w.webhook.Groups().Update(ctx, g.Name, func(scim.Object) (scim.Object, []patch.MemberChange, error) {
			return groupObject(spec), nil, nil
		})
		w.must(err)
	}
	w.must(client.IgnoreNotFound(w.client.Get(ctx, client.ObjectKeyFromObject(g), g)))
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
	change := patch.MemberChange{Op: patch.AddMembers}
	if !in {
		change.Op = patch.RemoveMembers
	}
	for _, u := range users {
		change.IDs = append(change.IDs, u.Name)
	}
	_, err := w.webhook.Groups().Update(w.t.Context(), g.Name, func(o scim.Object) (scim.Object, []patch.MemberChange, error) {
		return o, []patch.MemberChange{change}, nil
	})
	w.must(err)
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
