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

func TestWithoutUser(t *testing.T) {
	m := mirror.New(func(mirror.Event) {})
	m.PutConfiguration(&portalapi.Configuration{Binding: &portalapi.Binding{ID: "binding"}})
	for id, owner := range map[string]portalapi.Owner{
		"1": {UID: "uid-ada", Name: "ada", Binding: "binding"},
		"2": {UID: "before the restore", Name: "bob", Binding: "binding"},
		"3": {UID: "another operator's", Name: "carl", Binding: "another"},
		"4": {UID: "uid-eve", Name: "eve", Binding: "binding"},
		"5": {},
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
		t.Errorf("A restored user owns the account of the same SCIM id, under the same binding alone (-want +got):\n%s", diff)
	}
}
