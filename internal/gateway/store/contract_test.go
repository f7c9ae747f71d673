// SPDX-License-Identifier: Apache-2.0

package store_test

import (
	"testing"

	"lightrun.com/scim-operator/test/conformance/directorytest"
)

func TestContract(t *testing.T) {
	directorytest.Run(t, func(tb testing.TB) directorytest.Directory {
		d := newWorld(tb).replica(tb)
		return directorytest.Directory{Users: d.Users(), Groups: d.Groups()}
	})
}
