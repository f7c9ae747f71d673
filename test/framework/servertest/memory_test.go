// SPDX-License-Identifier: Apache-2.0

package servertest_test

import (
	"testing"

	"lightrun.com/scim-operator/test/conformance/directorytest"
	"lightrun.com/scim-operator/test/framework/servertest"
)

func TestContract(t *testing.T) {
	directorytest.Run(t, func(testing.TB) directorytest.Directory {
		m := servertest.New()
		return directorytest.Directory{Users: m.Users(), Groups: m.Groups()}
	})
}
