package main

import (
	"encoding/json"
	"fmt"

	"github.com/google/uuid"

	"lightrun.com/scim-operator/api/v1alpha1"
)

// minPeople is the fewest that the operations need: two halves of more than a hundred.
const minPeople = 400

// space makes the ids of people: the same number has the same id on every side and in every run.
var space = uuid.MustParse("6f1d5f0c-2f0b-4a2e-9f6c-51d6f1f6a3b7")

func personID(i int) string { return uuid.NewSHA1(space, fmt.Appendf(nil, "%d", i)).String() }

func personName(i int) string { return fmt.Sprintf("person%06d@example.test", i) }

const (
	schemaUser       = "urn:ietf:params:scim:schemas:core:2.0:User"
	schemaEnterprise = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
	schemaGroup      = "urn:ietf:params:scim:schemas:core:2.0:Group"
	schemaPatch      = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
)

// person is a User as a provider pushes one: what most people's records hold, about 700 bytes as SCIM shows it.
func person(name string) map[string]any {
	return map[string]any{
		"schemas": []string{schemaUser, schemaEnterprise}, "userName": name, "externalId": "00u-" + name, "active": true,
		"displayName": "Person " + name, "title": "Engineer",
		"name":           map[string]any{"givenName": "Person", "familyName": name},
		"emails":         []any{map[string]any{"value": name, "type": "work", "primary": true}},
		schemaEnterprise: map[string]any{"department": "Payments", "employeeNumber": "4711"},
	}
}

// spec is the same person as the webhook stores them.
func spec(name string) v1alpha1.ScimUserSpec {
	yes := true
	return v1alpha1.ScimUserSpec{
		UserName: name, ExternalID: "00u-" + name, Active: &yes, DisplayName: "Person " + name, Title: "Engineer",
		Name:       &v1alpha1.Name{GivenName: "Person", FamilyName: name},
		Emails:     []v1alpha1.MultiValue{{Value: name, Type: "work", Primary: &yes}},
		Department: "Payments", EmployeeNumber: "4711",
	}
}

// body is v as JSON; everything that is sent here marshals.
func body(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}

func patchBody(op, path string, value any) []byte {
	return body(map[string]any{"schemas": []string{schemaPatch}, "Operations": []any{map[string]any{"op": op, "path": path, "value": value}}})
}

func memberValues(ids []string) []any {
	out := make([]any, len(ids))
	for i, id := range ids {
		out[i] = map[string]any{"value": id}
	}
	return out
}
