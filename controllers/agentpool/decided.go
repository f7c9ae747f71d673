package agentpool

import "lightrun.com/scim-operator/controllers/guard"

// decided reports, as an event, who took a decision about what is held.
func (p *pass) decided(d guard.Decision) {
	if reason, note := guard.Event(d, p.pool, p.pool.Status.Conditions); reason != "" {
		p.event(normal, reason, "Decide", "%s", note)
	}
}
