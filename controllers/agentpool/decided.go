package agentpool

import (
	"lightrun.com/scim-operator/controllers/guard"
	"lightrun.com/scim-operator/internal/portal"
)

// decided reports, as an event, who took a decision about what is held; mark is the record's before.
func (p *pass) decided(a guard.Answer, mark *portal.Mark) {
	if reason, note := guard.Event(a, p.pool, mark); reason != "" {
		p.event(normal, reason, "Decide", "%s", note)
	}
}
