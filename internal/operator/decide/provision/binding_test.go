// SPDX-License-Identifier: Apache-2.0

package provision

import (
	"strings"
	"testing"

	"lightrun.com/scim-operator/internal/kernel/provider"
)

func TestDescribeReplacement(t *testing.T) {
	got := DescribeReplacement("lightrun", provider.ID{Type: provider.Okta, Name: "a `id` $HOME"}, provider.ID{Type: provider.EntraID}, 3)
	if want := ": kubectl scim provider --replace 'Okta/a `id` $HOME' -n lightrun"; !strings.HasSuffix(got, want) {
		t.Errorf("the message must end with a command that a shell does not expand: %s", got)
	}
}
