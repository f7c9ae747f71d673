// SPDX-License-Identifier: Apache-2.0

package stories_test

import (
	"net/http"
	"slices"
	"sync"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/kernel/scimattrs"
	"lightrun.com/scim-operator/test/framework/idp"
)

// pushed contains the groups that the provider has created, by name.
type pushed struct {
	mu     sync.Mutex
	byName map[string]*v1alpha1.ScimGroup
	of     map[string][]string // user → names of groups
}

// groupNames returns all groups that contain a user.
type groupNames []string

// in sets the groups that contain the user, and removes the user from all others; a missing group
// is pushed.
func in(groups ...string) groupNames { return groups }

// group pushes a group of users through the webhook.
func (w *world) group(name string, users ...*v1alpha1.ScimUser) *v1alpha1.ScimGroup {
	w.t.Helper()
	body := idp.Group(name, idsOf(users)...)
	body["externalId"] = "x-" + name
	g := &v1alpha1.ScimGroup{ObjectMeta: metav1Name(w.namespace, w.send(http.MethodPost, "/Groups", body).ID())}
	w.must(w.client.Get(w.t.Context(), client.ObjectKeyFromObject(g), g))
	return g
}

func idsOf(users []*v1alpha1.ScimUser) []string {
	var ids []string
	for _, u := range users {
		ids = append(ids, u.Name)
	}
	return ids
}

// changeGroup renames or deletes a group through the webhook. Headers are name, value.
func (w *world) changeGroup(g *v1alpha1.ScimGroup, edit func(*v1alpha1.ScimGroupSpec), headers ...string) {
	w.t.Helper()
	w.must(w.client.Get(w.t.Context(), client.ObjectKeyFromObject(g), g))
	spec := g.Spec.DeepCopy()
	edit(spec)
	if spec.Deleted {
		w.send(http.MethodDelete, "/Groups/"+g.Name, nil, headers...)
	} else {
		w.send(http.MethodPatch, "/Groups/"+g.Name, idp.Patch(idp.Replace("displayName", spec.DisplayName)), headers...)
	}
	w.must(client.IgnoreNotFound(w.client.Get(w.t.Context(), client.ObjectKeyFromObject(g), g)))
}

// add and leave change a group's members.
func (w *world) add(g *v1alpha1.ScimGroup, users ...*v1alpha1.ScimUser) {
	w.t.Helper()
	w.send(http.MethodPatch, "/Groups/"+g.Name, idp.Patch(idp.AddMembers(idsOf(users)...)))
}

func (w *world) leave(g *v1alpha1.ScimGroup, users ...*v1alpha1.ScimUser) {
	w.t.Helper()
	w.send(http.MethodPatch, "/Groups/"+g.Name, idp.Patch(idp.RemoveMembers(idsOf(users)...)))
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

// push creates a user through the webhook, and then adds it to groups. An edit changes
// the specification, or says which groups contain the user (in).
func (w *world) push(userName string, edit ...any) *v1alpha1.ScimUser {
	w.t.Helper()
	spec := v1alpha1.ScimUserSpec{UserName: userName}
	edited(&spec, edit)
	made := w.send(http.MethodPost, "/Users", scimattrs.Attributes(&spec))
	u := &v1alpha1.ScimUser{ObjectMeta: metav1Name(w.namespace, made.ID())}
	w.must(w.client.Get(w.t.Context(), client.ObjectKeyFromObject(u), u))
	w.suspend(u, spec.Suspend)
	w.regroup(u, edit)
	return u
}

// suspend writes spec.suspend, which people write.
func (w *world) suspend(u *v1alpha1.ScimUser, suspend bool) {
	w.t.Helper()
	if u.Spec.Suspend == suspend {
		return
	}
	before := u.DeepCopy()
	u.Spec.Suspend = suspend
	w.must(w.client.Patch(w.t.Context(), u, client.MergeFrom(before)))
}

func revision(old int64) int64 { return max(old+1, time.Now().UnixMilli()) }

// edited applies the edits that change the specification.
func edited(s *v1alpha1.ScimUserSpec, edit []any) (any bool) {
	for _, f := range edit {
		if f, ok := f.(func(*v1alpha1.ScimUserSpec)); ok {
			f(s)
			any = true
		}
	}
	return any
}

func inactive(s *v1alpha1.ScimUserSpec) { no := false; s.Active = &no }
func active(s *v1alpha1.ScimUserSpec)   { yes := true; s.Active = &yes }

// change edits a user, or the user's groups, through the webhook.
func (w *world) change(u *v1alpha1.ScimUser, edit ...any) {
	w.t.Helper()
	w.must(w.client.Get(w.t.Context(), client.ObjectKeyFromObject(u), u))
	w.regroup(u, edit)
	spec := u.Spec.DeepCopy()
	if !edited(spec, edit) {
		return
	}
	if spec.Deleted {
		w.send(http.MethodDelete, "/Users/"+u.Name, nil)
	} else {
		w.send(http.MethodPut, "/Users/"+u.Name, scimattrs.Attributes(spec))
	}
	w.must(client.IgnoreNotFound(w.client.Get(w.t.Context(), client.ObjectKeyFromObject(u), u)))
	w.suspend(u, spec.Suspend)
}

// rename gives a user another name.
func (w *world) rename(u *v1alpha1.ScimUser, userName string, edit ...any) {
	w.t.Helper()
	w.change(u, func(s *v1alpha1.ScimUserSpec) {
		s.UserName = userName
		edited(s, edit)
	})
}

// remove deletes a user or a group as the provider does, and any other object as people do.
func (w *world) remove(o client.Object) {
	w.t.Helper()
	switch o := o.(type) {
	case *v1alpha1.ScimUser:
		w.change(o, func(s *v1alpha1.ScimUserSpec) { s.Deleted = true })
	case *v1alpha1.ScimGroup:
		w.changeGroup(o, func(s *v1alpha1.ScimGroupSpec) { s.Deleted = true })
	default:
		w.erase(o)
	}
}
