// SPDX-License-Identifier: Apache-2.0

package agentpool

import (
	"lightrun.com/scim-operator/internal/kernel/portalapi"
	"lightrun.com/scim-operator/internal/operator/removals"
)

// decided reports, as an event, who took a decision about what is held; mark is the record's
// before.
func (p *scope) decided(a removals.Answer, mark *portalapi.Mark) {
	if reason, note := removals.Event(a, p.pool, mark); reason != "" {
		p.event(normal, reason, "Decide", "%s", note)
	}
}
