// SPDX-License-Identifier: Apache-2.0

package userplan_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/kernel/portalapi"
	"lightrun.com/scim-operator/internal/operator/portalclient/mirror"
	"lightrun.com/scim-operator/internal/operator/userplan"
)

// TestWithoutUser: ada, bob and carl are the users. Accounts without an owner are not listed.
func TestWithoutUser(t *testing.T) {
	m := mirror.New(func(mirror.Event) {})
	m.PutConfiguration(&portalapi.Configuration{Binding: &portalapi.Binding{ID: "binding"}})
	for id, owner := range map[string]portalapi.Owner{
		"1": {UID: "uid-ada", Name: "ada", Binding: "binding"},             // of ada
		"2": {UID: "before the restore", Name: "bob", Binding: "binding"},  // of bob, who was restored from a backup
		"3": {UID: "another operator's", Name: "carl", Binding: "another"}, // of a user with carl's name under another binding
		"4": {UID: "uid-eve", Name: "eve", Binding: "binding"},             // of eve, who is none of the users
		"5": {},                                                            // a local account
	} {
		m.PutAccount(&portalapi.Account{ID: id, UserName: "user" + id, Owner: owner, Revision: 1})
	}
	user := func(name string) v1alpha1.ScimUser {
		return v1alpha1.ScimUser{ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID("uid-" + name)}}
	}
	users := []v1alpha1.ScimUser{user("ada"), user("bob"), user("carl")}

	var got []string
	for _, a := range userplan.WithoutUser(m, users) {
		got = append(got, a.ID)
	}
	if diff := cmp.Diff([]string{"3", "4"}, got); diff != "" {
		t.Errorf("accounts without a user (-want +got):\n%s", diff)
	}
}
