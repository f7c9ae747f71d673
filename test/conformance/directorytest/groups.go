// SPDX-License-Identifier: Apache-2.0

package directorytest

import (
	"errors"
	"fmt"
	"strings"
	"sync"

	"lightrun.com/scim-operator/internal/gateway/server"
	"lightrun.com/scim-operator/internal/scim"
	"lightrun.com/scim-operator/internal/scim/filter"
	"lightrun.com/scim-operator/internal/scim/patch"
)

func groupRoundTrip(f *fixture) {
	ada := f.user("ada@example.test")
	g := must[*server.Resource](f)(f.Groups.Create(f.ctx, scim.Object{"displayName": "Payments", "externalId": "g1"}, ids(ada)))
	o := f.object(must[*server.Resource](f)(f.Groups.Get(f.ctx, g.ID, true)))
	members, _ := o["members"].([]any)
	if o["displayName"] != "Payments" || o["externalId"] != "g1" || len(members) != 1 {
		f.Fatalf("the group read back is %v", o)
	}
	member := members[0].(scim.Object)
	if member["value"] != ada.ID || member["$ref"] != "http://base/Users/"+ada.ID || member["type"] != "User" {
		f.Errorf("the member is %v", member)
	}
	f.same("by name", f.findGroups(`displayName eq "payments"`), ids(g))
	f.same("by externalId", f.findGroups(`externalId eq "g1"`), ids(g))
	f.same("by id and member", f.findGroups(`id eq "`+g.ID+`" and members eq "`+ada.ID+`"`), ids(g))
	f.same("by member", f.findGroups(`members.value eq "`+ada.ID+`"`), ids(g))
	f.same("by an unknown member", f.findGroups(`members eq "unknown"`), nil)
	f.same("by part of the name", f.findGroups(`displayName co "aym"`), ids(g))
}

func groupNameIsUnique(f *fixture) {
	f.group("Payments")
	_, err := f.Groups.Create(f.ctx, scim.Object{"displayName": "PAYMENTS"}, nil)
	f.wantStatus(err, 409, scim.Uniqueness)
	if page := must[server.Page](f)(f.Groups.List(f.ctx, server.Query{Count: 10})); page.Total != 1 {
		f.Errorf("the refused group must leave nothing behind; there are %d", page.Total)
	}
}

func unknownMembers(f *fixture) {
	ada := f.user("ada@example.test")
	ghost := "0e0f7a5c-0000-4000-8000-000000000000"
	_, err := f.Groups.Create(f.ctx, scim.Object{"displayName": "Ghosts"}, []string{ada.ID, ghost})
	f.wantStatus(err, 400, scim.InvalidValue)
	if page := must[server.Page](f)(f.Groups.List(f.ctx, server.Query{Count: 10})); page.Total != 0 {
		f.Error("a group with an unknown member must not be created")
	}
	g := f.group("Payments")
	err = f.change(g.ID, patch.MemberChange{Op: patch.AddMembers, IDs: []string{ada.ID, ghost}})
	f.wantStatus(err, 400, scim.InvalidValue)
	if !strings.Contains(err.Error(), ghost) {
		f.Errorf("the error must name the unknown id: %v", err)
	}
	f.same("after a refused change", f.members(g.ID), nil)
	if err := f.change(g.ID, patch.MemberChange{Op: patch.RemoveMembers, IDs: []string{ghost}}); err != nil {
		f.Errorf("removing an unknown user must be no error: %v", err)
	}
}

func memberChangesInOrder(f *fixture) {
	ada, bob := f.user("ada@example.test"), f.user("bob@example.test")
	g := f.group("Payments", ada)
	add, remove := patch.AddMembers, patch.RemoveMembers
	for _, test := range []struct {
		changes []patch.MemberChange
		want    []string
	}{
		{[]patch.MemberChange{{Op: remove, IDs: ids(ada)}, {Op: add, IDs: ids(bob)}}, ids(bob)},
		{[]patch.MemberChange{{Op: add, IDs: ids(ada)}, {Op: remove, IDs: ids(ada)}}, ids(bob)},
		{[]patch.MemberChange{{Op: add, IDs: ids(bob)}}, ids(bob)},
		{[]patch.MemberChange{{Op: remove, IDs: ids(ada)}}, ids(bob)},
		{[]patch.MemberChange{{Op: patch.RemoveAll}, {Op: add, IDs: ids(ada)}}, ids(ada)},
		{[]patch.MemberChange{{Op: add, IDs: ids(ada, bob)}}, ids(ada, bob)},
	} {
		if err := f.change(g.ID, test.changes...); err != nil {
			f.Fatal(err)
		}
		f.same(fmt.Sprint(test.changes), f.members(g.ID), test.want)
	}
}

func replaceMembers(f *fixture) {
	ada, bob, eve := f.user("ada@example.test"), f.user("bob@example.test"), f.user("eve@example.test")
	g := f.group("Payments", ada, bob)
	other := f.group("Other", ada)
	if err := f.change(g.ID, patch.MemberChange{Op: patch.ReplaceMembers, IDs: ids(bob, eve)}); err != nil {
		f.Fatal(err)
	}
	f.same("replaced", f.members(g.ID), ids(bob, eve))
	if err := f.change(g.ID, patch.MemberChange{Op: patch.ReplaceMembers}); err != nil {
		f.Fatal(err)
	}
	f.same("emptied", f.members(g.ID), nil)
	f.same("the other group", f.members(other.ID), ids(ada))
}

func removeWhere(f *fixture) {
	ada, bob := f.user("ada@example.test"), f.user("bob@example.test")
	g := f.group("Payments", ada, bob)
	where := must[*filter.Matcher](f)(bindElement(`not (value eq "` + ada.ID + `")`))
	if err := f.change(g.ID, patch.MemberChange{Op: patch.RemoveWhere, Filter: where}); err != nil {
		f.Fatal(err)
	}
	f.same("the remaining members", f.members(g.ID), ids(ada))
}

func bindElement(text string) (*filter.Matcher, error) {
	ops := []patch.Operation{{Op: patch.Remove, Path: "members[" + text + "]"}}
	_, changes, err := patch.GroupOps(ops)
	if err != nil || len(changes) != 1 || changes[0].Op != patch.RemoveWhere {
		return nil, errors.Join(err, fmt.Errorf("%q is not read as a removal by filter", text))
	}
	return changes[0].Filter, nil
}

func groupsOfAUser(f *fixture) {
	ada := f.user("ada@example.test")
	g := f.group("Payments", ada)
	o := f.object(must[*server.Resource](f)(f.Users.Get(f.ctx, ada.ID)))
	groups, _ := o["groups"].([]any)
	if len(groups) != 1 {
		f.Fatalf("the user must show the group: %v", o)
	}
	link := groups[0].(scim.Object)
	if link["value"] != g.ID || link["display"] != "Payments" || link["type"] != "direct" || link["$ref"] != "http://base/Groups/"+g.ID {
		f.Errorf("the user's group is %v", link)
	}
	f.same("by group", f.find(`groups.value eq "`+g.ID+`"`), ids(ada))
}

func deletedUserLeaves(f *fixture) {
	ada, bob := f.user("ada@example.test"), f.user("bob@example.test")
	g := f.group("Payments", ada, bob)
	if err := f.Users.Delete(f.ctx, ada.ID, nil); err != nil {
		f.Fatal(err)
	}
	f.same("without the deleted user", f.members(g.ID), ids(bob))
	err := f.change(g.ID, patch.MemberChange{Op: patch.AddMembers, IDs: ids(ada)})
	f.wantStatus(err, 400, scim.InvalidValue)
}

func deletedGroupIsEmptied(f *fixture) {
	ada := f.user("ada@example.test")
	g := f.group("Payments", ada)
	if err := f.Groups.Delete(f.ctx, g.ID); err != nil {
		f.Fatal(err)
	}
	_, err := f.Groups.Get(f.ctx, g.ID, true)
	f.wantStatus(err, 404, "")
	f.wantStatus(f.Groups.Delete(f.ctx, g.ID), 404, "")
	f.same("by name", f.findGroups(`displayName eq "Payments"`), nil)
	if groups := f.object(must[*server.Resource](f)(f.Users.Get(f.ctx, ada.ID)))["groups"]; groups != nil {
		f.Errorf("the user must be out of the deleted group: %v", groups)
	}
	if again := f.group("Payments"); len(f.members(again.ID)) != 0 {
		f.Error("a group that is created again must be empty")
	}
}

func groupRename(f *fixture) {
	ada := f.user("ada@example.test")
	g := f.group("Payments", ada)
	f.group("Fraud")
	renameTo := func(name string) error {
		_, err := f.Groups.Update(f.ctx, g.ID, func(have scim.Object) (scim.Object, []patch.MemberChange, error) {
			out, err := set("displayName", name)(have)
			return out, nil, err
		})
		return err
	}
	f.wantStatus(renameTo("FRAUD"), 409, scim.Uniqueness)
	if err := renameTo("Payments and Billing"); err != nil {
		f.Fatal(err)
	}
	f.same("by the new name", f.findGroups(`displayName eq "payments and billing"`), ids(g))
	f.same("by the old name", f.findGroups(`displayName eq "Payments"`), nil)
	f.same("the members", f.members(g.ID), ids(ada))
}

func parallelMemberChanges(f *fixture) {
	const people = 8
	g := f.group("Payments")
	var all []*server.Resource
	for i := range people {
		all = append(all, f.user(fmt.Sprintf("user%d@example.test", i)))
	}
	other := f.group("Other", all...)
	var wg sync.WaitGroup
	for _, u := range all {
		wg.Go(func() {
			if err := f.change(g.ID, patch.MemberChange{Op: patch.AddMembers, IDs: ids(u)}); err != nil {
				f.Error(err)
			}
		})
		wg.Go(func() {
			if err := f.change(other.ID, patch.MemberChange{Op: patch.RemoveMembers, IDs: ids(u)}); err != nil {
				f.Error(err)
			}
		})
	}
	wg.Wait()
	f.same("all added users", f.members(g.ID), ids(all...))
	f.same("no user is left", f.members(other.ID), nil)
}
