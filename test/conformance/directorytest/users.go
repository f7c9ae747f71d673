// SPDX-License-Identifier: Apache-2.0

package directorytest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"lightrun.com/scim-operator/internal/gateway/server"
	"lightrun.com/scim-operator/internal/scim"
	"lightrun.com/scim-operator/internal/scim/path"
	"lightrun.com/scim-operator/internal/scim/schema"
)

func userRoundTrip(f *fixture) {
	created := f.user("ada@example.test", "active", true, "externalId", "00u1",
		"emails", []any{scim.Object{"value": "ada@example.test", "type": "work", "primary": true}},
		scim.SchemaEnterpriseUser, scim.Object{"department": "Payments", "manager": scim.Object{"value": "m1"}})
	read := must[*server.Resource](f)(f.Users.Get(f.ctx, created.ID))
	if read.Version == "" || read.Version != created.Version {
		f.Errorf("the version must be there and stay: %q, %q", created.Version, read.Version)
	}
	o := f.object(read)
	meta, _ := o["meta"].(scim.Object)
	if o["id"] != created.ID || o["active"] != true || o["externalId"] != "00u1" || meta["location"] != "http://base/Users/"+created.ID {
		f.Errorf("the user read back is %v", o)
	}
	enterprise, _ := o[scim.SchemaEnterpriseUser].(scim.Object)
	if enterprise["department"] != "Payments" || !scim.Equal(enterprise["manager"], scim.Object{"value": "m1"}) {
		f.Errorf("the enterprise attributes read back are %v", enterprise)
	}
	if !slices.Contains(o["schemas"].([]any), any(scim.SchemaEnterpriseUser)) {
		f.Errorf("schemas must name the extension: %v", o["schemas"])
	}
	if !strings.HasPrefix(string(read.AppendJSON(nil, "http://base")), "{") {
		f.Error("the JSON must be an object")
	}
}

func userNameIsUnique(f *fixture) {
	f.user("ada@example.test")
	_, err := f.Users.Create(f.ctx, scim.Object{"userName": "ADA@Example.test"})
	f.wantStatus(err, 409, scim.Uniqueness)
	page := must[server.Page](f)(f.Users.List(f.ctx, server.Query{Count: 10}))
	if page.Total != 1 {
		f.Errorf("the refused user must leave nothing behind; there are %d", page.Total)
	}
}

func userNameIsFreeAgain(f *fixture) {
	ada := f.user("ada@example.test")
	if err := f.Users.Delete(f.ctx, ada.ID, nil); err != nil {
		f.Fatal(err)
	}
	if _, err := f.Users.Get(f.ctx, ada.ID); err == nil {
		f.Error("a deleted user must not be found from the moment of the response")
	}
	if found := f.find(`userName eq "ada@example.test"`); len(found) != 0 {
		f.Errorf("a deleted user must not be found: %v", found)
	}
	f.wantStatus(f.Users.Delete(f.ctx, ada.ID, nil), 404, "")
	if again := f.user("ada@example.test"); again.ID == ada.ID {
		f.Error("an id must never be used again")
	}
}

func unknownIDs(f *fixture) {
	for _, id := range []string{"5171a35d82074e068ce2", "0e0f7a5c-0000-4000-8000-000000000000", "../secrets", "A b", strings.Repeat("x", 300)} {
		_, err := f.Users.Get(f.ctx, id)
		f.wantStatus(err, 404, "")
		_, err = f.Users.Update(f.ctx, id, nil, set("title", "x"))
		f.wantStatus(err, 404, "")
		f.wantStatus(f.Users.Delete(f.ctx, id, nil), 404, "")
		_, err = f.Groups.Get(f.ctx, id, true)
		f.wantStatus(err, 404, "")
		f.wantStatus(f.change(id), 404, "")
		f.wantStatus(f.Groups.Delete(f.ctx, id), 404, "")
	}
}

func updateWritesChanges(f *fixture) {
	ada := f.user("ada@example.test", "title", "Engineer", "nickName", "A")
	changed := must[*server.Resource](f)(f.Users.Update(f.ctx, ada.ID, nil, func(have scim.Object) (scim.Object, error) {
		out, err := set("title", "Director")(have)
		delete(out, "nickName")
		return out, err
	}))
	o := f.object(must[*server.Resource](f)(f.Users.Get(f.ctx, ada.ID)))
	if o["title"] != "Director" || o["nickName"] != nil || o["userName"] != "ada@example.test" {
		f.Errorf("the user must be as changed: %v", o)
	}
	if changed.Version == ada.Version {
		f.Error("a change must give a new version")
	}
}

func updateThatIsNone(f *fixture) {
	ada := f.user("ada@example.test", "title", "Engineer")
	same := must[*server.Resource](f)(f.Users.Update(f.ctx, ada.ID, nil, set("title", "Engineer")))
	before, after := f.object(ada)["meta"].(scim.Object), f.object(same)["meta"].(scim.Object)
	if same.Version != ada.Version || before["lastModified"] != after["lastModified"] {
		f.Errorf("a change that changes nothing must leave version and lastModified: %v, %v", before, after)
	}
}

func updateThatFails(f *fixture) {
	ada := f.user("ada@example.test")
	want := errors.New("no")
	if _, err := f.Users.Update(f.ctx, ada.ID, nil, func(scim.Object) (scim.Object, error) { return nil, want }); !errors.Is(err, want) {
		f.Errorf("the change's error must be returned, not %v", err)
	}
}

func preconditions(f *fixture) {
	ada := f.user("ada@example.test")
	is := func(v string) server.Precondition { return func(have string) bool { return have == v } }
	changed := must[*server.Resource](f)(f.Users.Update(f.ctx, ada.ID, is(ada.Version), set("title", "x")))
	_, err := f.Users.Update(f.ctx, ada.ID, is(ada.Version), set("title", "y"))
	f.wantStatus(err, 412, "")
	f.wantStatus(f.Users.Delete(f.ctx, ada.ID, is(ada.Version)), 412, "")
	if err := f.Users.Delete(f.ctx, ada.ID, is(changed.Version)); err != nil {
		f.Error(err)
	}
}

func rename(f *fixture) {
	ada, bob := f.user("ada@example.test"), f.user("bob@example.test")
	_, err := f.Users.Update(f.ctx, bob.ID, nil, set("userName", "Ada@example.test"))
	f.wantStatus(err, 409, scim.Uniqueness)
	must[*server.Resource](f)(f.Users.Update(f.ctx, ada.ID, nil, set("userName", "ada.new@example.test")))
	f.same("by the new name", f.find(`userName eq "ada.new@example.test"`), []string{ada.ID})
	f.same("by the old name", f.find(`userName eq "ada@example.test"`), nil)
	must[*server.Resource](f)(f.Users.Update(f.ctx, ada.ID, nil, set("userName", "ADA.new@example.test")))
	f.same("by another case", f.find(`userName eq "ada.new@example.test"`), []string{ada.ID})
}

func listPages(f *fixture) {
	want := map[string]bool{}
	for i := range 5 {
		want[f.user(fmt.Sprintf("user%d@example.test", i)).ID] = true
	}
	whole := must[server.Page](f)(f.Users.List(f.ctx, server.Query{Count: 10}))
	if whole.Total != 5 || len(whole.Resources) != 5 || whole.More {
		f.Fatalf("the whole list is total %d, %d resources, more %v", whole.Total, len(whole.Resources), whole.More)
	}
	if !slices.IsSortedFunc(whole.Resources, func(a, b *server.Resource) int { return strings.Compare(a.Key, b.Key) }) {
		f.Error("a list must be in the order of Key")
	}
	for i := range 5 {
		byOffset := must[server.Page](f)(f.Users.List(f.ctx, server.Query{Offset: i, Count: 1}))
		if byOffset.Total != 5 || byOffset.Resources[0].ID != whole.Resources[i].ID || byOffset.More != (i < 4) {
			f.Errorf("page %d is not the list's", i)
		}
	}
	after := must[server.Page](f)(f.Users.List(f.ctx, server.Query{After: &server.Mark{Key: whole.Resources[2].Key}, Count: 10}))
	f.same("behind the third", slices.Sorted(slices.Values(ids(after.Resources...))), ids(whole.Resources[3:]...))
	none := must[server.Page](f)(f.Users.List(f.ctx, server.Query{Count: 0}))
	if none.Total != 5 || len(none.Resources) != 0 || none.More {
		f.Error("count 0 must give the total alone")
	}
	beyond := must[server.Page](f)(f.Users.List(f.ctx, server.Query{Offset: 99, Count: 10}))
	if beyond.Total != 5 || len(beyond.Resources) != 0 {
		f.Error("a page beyond the end must be empty")
	}
}

func listFilters(f *fixture) {
	ada := f.user("ada@example.test", "displayName", "Ada", "externalId", "x1", "active", true,
		"emails", []any{scim.Object{"value": "Ada@Work.test", "type": "work"}, scim.Object{"value": "ada@home.test", "type": "home"}})
	bob := f.user("bob@example.test", "displayName", "Bob", "externalId", "X1", "active", false,
		scim.SchemaEnterpriseUser, scim.Object{"department": "Payments"})
	for filter, want := range map[string][]string{
		`userName eq "ADA@example.test"`:                             {ada.ID},
		`userName eq "unknown@example.test"`:                         nil,
		`externalId eq "x1"`:                                         {ada.ID},
		`displayName eq "bob"`:                                       {bob.ID},
		`id eq "` + bob.ID + `"`:                                     {bob.ID},
		`emails eq "ada@work.test"`:                                  {ada.ID},
		`emails.value eq "ada@home.test"`:                            {ada.ID},
		`emails[type eq "work"].value eq "ada@work.test"`:            {ada.ID},
		`emails[type eq "work"].value eq "ada@home.test"`:            nil,
		`emails[type eq "home" and value eq "ada@home.test"]`:        {ada.ID},
		`userName sw "b"`:                                            {bob.ID},
		`active eq false`:                                            {bob.ID},
		`userName eq "ada@example.test" and active eq false`:         nil,
		`userName eq "ada@example.test" or displayName eq "Bob"`:     {ada.ID, bob.ID},
		`not (userName eq "ada@example.test")`:                       {bob.ID},
		scim.SchemaEnterpriseUser + `:department eq "payments"`:      {bob.ID},
		scim.SchemaUser + `:userName eq "bob@example.test"`:          {bob.ID},
		`externalId eq "X1" and ` + `userName eq "bob@example.test"`: {bob.ID},
		`userName pr`: {ada.ID, bob.ID},
	} {
		f.same(filter, f.find(filter), want)
	}
}

func listSorts(f *fixture) {
	carol := f.user("carol@example.test", "displayName", "b")
	ada := f.user("ada@example.test", "displayName", "C")
	bob := f.user("bob@example.test")
	for _, test := range []struct {
		order string
		want  []string
	}{{"ascending", ids(carol, ada, bob)}, {"descending", ids(bob, ada, carol)}} {
		sort := must[path.Sort](f)(path.ParseSort("displayName", test.order, schema.User()))
		page := must[server.Page](f)(f.Users.List(f.ctx, server.Query{SortBy: &sort, Count: 10}))
		if have := ids(page.Resources...); !slices.Equal(have, test.want) {
			f.Errorf("sorted, %s: have %v, want %v", test.order, have, test.want)
		}
	}
}

func parallelCreates(f *fixture) {
	const writers = 6
	var wg sync.WaitGroup
	var mu sync.Mutex
	created := 0
	for range writers {
		wg.Go(func() {
			_, err := f.Users.Create(f.ctx, scim.Object{"userName": "ada@example.test"})
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				created++
				return
			}
			f.wantStatusInGoroutine(err, 409)
		})
	}
	wg.Wait()
	if created != 1 {
		f.Errorf("of %d who want one name exactly one must get it, not %d", writers, created)
	}
	if found := f.find(`userName eq "ada@example.test"`); len(found) != 1 {
		f.Errorf("exactly one must be found: %v", found)
	}
}

func (f *fixture) wantStatusInGoroutine(err error, status int) {
	var e *scim.Error
	if !errors.As(err, &e) || e.Status != status {
		f.Errorf("the error must be a %d and is %v", status, err)
	}
}
