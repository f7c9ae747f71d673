// SPDX-License-Identifier: Apache-2.0

package path_test

import (
	"fmt"

	"lightrun.com/scim-operator/internal/scim"
	"lightrun.com/scim-operator/internal/scim/path"
	"lightrun.com/scim-operator/internal/scim/schema"
)

func ExampleParse() {
	p, err := path.Parse(`EMAILS[type eq "work"].VALUE`, schema.User())
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(p)
	// Output:
	// emails[type eq "work"].value
}

func ExampleParseProjection() {
	p, err := path.ParseProjection("userName", "", schema.User())
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(p.Apply(scim.Object{"id": "1", "userName": "ada@example.com", "title": "Engineer"}))
	// Output:
	// map[id:1 userName:ada@example.com]
}
