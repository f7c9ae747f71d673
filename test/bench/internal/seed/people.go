// SPDX-License-Identifier: Apache-2.0

package seed

import (
	"fmt"

	"github.com/google/uuid"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/test/framework/idp"
)

// space generates the ids of users: the same number has the same ids in every run.
var space = uuid.MustParse("6f1d5f0c-2f0b-4a2e-9f6c-51d6f1f6a3b7")

// ID returns the SCIM id of the i-th user.
func ID(i int) string { return uuid.NewSHA1(space, fmt.Appendf(nil, "%d", i)).String() }

// Name returns the user name of the i-th user.
func Name(i int) string { return fmt.Sprintf("person%06d@example.test", i) }

// Person is the data in which a copy differs from the template.
type Person struct {
	ID, Name      string
	UID, ClaimUID string // of the ScimUser, and of the NameClaim of its user name
	Account       string // the portal's id of the account; empty means the template's
}

// Nth returns the i-th user, without an account.
func Nth(i int) Person {
	id := ID(i)
	return Person{
		ID: id, Name: Name(i),
		UID:      uuid.NewSHA1(space, []byte("uid"+id)).String(),
		ClaimUID: uuid.NewSHA1(space, []byte("claim"+id)).String(),
	}
}

// Resource returns a User as a provider pushes it, with typical attributes: about 700 bytes as SCIM
// shows it.
func Resource(name string) map[string]any {
	return map[string]any{
		"schemas": []string{idp.SchemaUser, idp.SchemaEnterprise}, "userName": name, "externalId": "00u-" + name, "active": true,
		"displayName": "Person " + name, "title": "Engineer",
		"name":               map[string]any{"givenName": "Person", "familyName": name},
		"emails":             []any{map[string]any{"value": name, "type": "work", "primary": true}},
		idp.SchemaEnterprise: map[string]any{"department": "Payments", "employeeNumber": "4711"},
	}
}

// Spec returns the same user as the webhook stores it.
func Spec(name string) v1alpha1.ScimUserSpec {
	yes := true
	return v1alpha1.ScimUserSpec{
		UserName: name, ExternalID: "00u-" + name, Active: &yes, DisplayName: "Person " + name, Title: "Engineer",
		Name:       &v1alpha1.Name{GivenName: "Person", FamilyName: name},
		Emails:     []v1alpha1.MultiValue{{Value: name, Type: "work", Primary: &yes}},
		Department: "Payments", EmployeeNumber: "4711",
	}
}
