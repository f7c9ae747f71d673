// SPDX-License-Identifier: Apache-2.0

package agentpool

import (
	"lightrun.com/scim-operator/internal/kernel/portalapi"
	"lightrun.com/scim-operator/internal/operator/removals"
)

// decided reports in an event who decided about a held removal. mark is the record's mark before
// this pass.
func (p *scope) decided(a removals.Answer, mark *portalapi.Mark) {
	if reason, note := removals.Event(a, p.pool, mark); reason != "" {
		p.event(normal, reason, "Decide", "%s", note)
	}
}
