// SPDX-License-Identifier: Apache-2.0

package filter_test

import (
	"fmt"

	"lightrun.com/scim-operator/internal/scim"
	"lightrun.com/scim-operator/internal/scim/filter"
	"lightrun.com/scim-operator/internal/scim/schema"
)

func ExampleCompile() {
	matcher, err := filter.Compile(`userName sw "ada" and emails[type eq "work"]`, schema.User())
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(matcher.Match(scim.Object{"userName": "Ada@example.com", "emails": []any{scim.Object{"type": "work", "value": "ada@example.com"}}}))
	fmt.Println(matcher.Match(scim.Object{"userName": "ada@example.com"}))
	// Output:
	// true
	// false
}

func ExampleCompile_error() {
	_, err := filter.Compile(`userName eq`, schema.User())
	fmt.Println(err != nil)
	// Output:
	// true
}
