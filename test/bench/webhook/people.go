// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/test/bench/internal/seed"
	"lightrun.com/scim-operator/test/framework/idp"
)

// minPeople is the smallest number of users for the operations: two halves of more than a hundred.
const minPeople = 400

func personID(i int) string { return seed.ID(i) }

func personName(i int) string { return seed.Name(i) }

func person(name string) map[string]any { return seed.Resource(name) }

func spec(name string) v1alpha1.ScimUserSpec { return seed.Spec(name) }

// body returns v as JSON. Every value that is sent here can be marshalled.
func body(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}

func patchBody(op, path string, value any) []byte {
	return body(idp.Patch(idp.Object{"op": op, "path": path, "value": value}))
}
