// SPDX-License-Identifier: Apache-2.0

// Package directorytest is the contract suite for directories of a SCIM server: the one in memory
// and the one in Kubernetes run the same cases.
package directorytest

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"lightrun.com/scim-operator/internal/gateway/server"
	"lightrun.com/scim-operator/internal/scim"
	"lightrun.com/scim-operator/internal/scim/filter"
	"lightrun.com/scim-operator/internal/scim/patch"
	"lightrun.com/scim-operator/internal/scim/schema"
)

// Directory is a directory under test.
type Directory struct {
	Users  server.Users
	Groups server.Groups
}

// Run runs the suite. fresh returns an empty directory for each case.
func Run(t *testing.T, fresh func(testing.TB) Directory) {
	for name, test := range map[string]func(*fixture){
		"UserRoundTrip":         userRoundTrip,
		"UserNameIsUnique":      userNameIsUnique,
		"UserNameIsFreeAgain":   userNameIsFreeAgain,
		"UnknownIDs":            unknownIDs,
		"UpdateWritesChanges":   updateWritesChanges,
		"UpdateThatIsNone":      updateThatIsNone,
		"UpdateThatFails":       updateThatFails,
		"Preconditions":         preconditions,
		"Rename":                rename,
		"ListPages":             listPages,
		"ListFilters":           listFilters,
		"ListSorts":             listSorts,
		"WalksReturnAll":        walksReturnAll,
		"GroupRoundTrip":        groupRoundTrip,
		"GroupNameIsUnique":     groupNameIsUnique,
		"UnknownMembers":        unknownMembers,
		"MemberChangesInOrder":  memberChangesInOrder,
		"ReplaceMembers":        replaceMembers,
		"RemoveWhere":           removeWhere,
		"GroupsOfAUser":         groupsOfAUser,
		"DeletedUserLeaves":     deletedUserLeaves,
		"DeletedGroupIsEmptied": deletedGroupIsEmptied,
		"GroupRename":           groupRename,
		"ParallelCreates":       parallelCreates,
		"ParallelMemberChanges": parallelMemberChanges,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(&fixture{T: t, Directory: fresh(t), ctx: t.Context()})
		})
	}
}

type fixture struct {
	*testing.T
	Directory
	ctx context.Context
}

// must ends the case on an error.
func must[V any](f *fixture) func(V, error) V {
	return func(v V, err error) V {
		f.Helper()
		if err != nil {
			f.Fatal(err)
		}
		return v
	}
}

func (f *fixture) user(name string, more ...any) *server.Resource {
	f.Helper()
	o := scim.Object{"schemas": []any{scim.SchemaUser}, "userName": name}
	for i := 0; i < len(more); i += 2 {
		o[more[i].(string)] = more[i+1]
	}
	return must[*server.Resource](f)(f.Users.Create(f.ctx, o))
}

func (f *fixture) group(name string, members ...*server.Resource) *server.Resource {
	f.Helper()
	o := scim.Object{"schemas": []any{scim.SchemaGroup}, "displayName": name}
	return must[*server.Resource](f)(f.Groups.Create(f.ctx, o, ids(members...)))
}

func ids(all ...*server.Resource) []string {
	out := []string{}
	for _, r := range all {
		out = append(out, r.ID)
	}
	return out
}

func (f *fixture) object(r *server.Resource) scim.Object {
	f.Helper()
	return must[scim.Object](f)(r.Object("http://base", true))
}

// status returns the status of a *scim.Error, 0 for other errors.
func (f *fixture) wantStatus(err error, status int, kind scim.ErrorType) {
	f.Helper()
	var e *scim.Error
	if !errors.As(err, &e) {
		f.Fatalf("the error must be a *scim.Error with status %d and is %v", status, err)
	}
	if e.Status != status || e.Type != kind {
		f.Errorf("the error must be %d %s and is %v", status, kind, e)
	}
}

func set(name string, v any) func(scim.Object) (scim.Object, error) {
	return func(have scim.Object) (scim.Object, error) {
		out := scim.Object{}
		for k, v := range have {
			out[k] = v
		}
		out[name] = v
		return out, nil
	}
}

func (f *fixture) filter(rt *schema.ResourceType, text string) *filter.Matcher {
	f.Helper()
	return must[*filter.Matcher](f)(filter.Compile(text, rt))
}

// find returns the ids of the matching users, sorted.
func (f *fixture) find(text string) []string {
	f.Helper()
	page := must[server.Page](f)(f.Users.List(f.ctx, server.Query{Filter: f.filter(schema.User(), text), Count: 100}))
	return slices.Sorted(slices.Values(ids(page.Resources...)))
}

func (f *fixture) findGroups(text string) []string {
	f.Helper()
	page := must[server.Page](f)(f.Groups.List(f.ctx, server.Query{Filter: f.filter(schema.Group(), text), Count: 100}))
	return slices.Sorted(slices.Values(ids(page.Resources...)))
}

// members reads a group's members, sorted.
func (f *fixture) members(id string) []string {
	f.Helper()
	r := must[*server.Resource](f)(f.Groups.Get(f.ctx, id, true))
	return links(r)
}

func links(r *server.Resource) []string {
	out := []string{}
	if r.Links != nil {
		for l := range r.Links {
			out = append(out, l.ID)
		}
	}
	slices.Sort(out)
	return out
}

func (f *fixture) change(id string, changes ...patch.MemberChange) error {
	_, err := f.Groups.Update(f.ctx, id, func(have scim.Object) (scim.Object, []patch.MemberChange, error) {
		return have, changes, nil
	})
	return err
}

func (f *fixture) same(what string, have, want []string) {
	f.Helper()
	want = slices.Sorted(slices.Values(want))
	if !slices.Equal(have, want) {
		f.Errorf("%s: have %s, want %s", what, strings.Join(have, " "), strings.Join(want, " "))
	}
}
