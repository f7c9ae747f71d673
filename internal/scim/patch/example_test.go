// SPDX-License-Identifier: Apache-2.0

package patch_test

import (
	"fmt"

	"lightrun.com/scim-operator/internal/scim"
	"lightrun.com/scim-operator/internal/scim/patch"
	"lightrun.com/scim-operator/internal/scim/schema"
)

func ExampleApply() {
	operations, err := patch.Parse(scim.Object{
		"schemas":    []any{scim.SchemaPatchOp},
		"Operations": []any{scim.Object{"op": "replace", "path": "active", "value": false}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	user := scim.Object{"schemas": []any{scim.SchemaUser}, "userName": "ada@example.com", "active": true}
	after, err := patch.Apply(schema.User(), user, operations)
	fmt.Println(after["active"], err)
	// Output:
	// false <nil>
}
