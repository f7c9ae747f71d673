package scimgroup

import "lightrun.com/scim-operator/controllers/gate"

// count renews status.memberCount.
func (p *pass) count(writing bool) {
	n, complete := 0, p.Tally.Complete()
	if complete {
		n = p.Groups.Count(p.group.Name, p.Tally.Knows)
	}
	gate.LookAgain(&p.result, p.counted.Renew(p.group.Name, &p.group.Status.MemberCount, n, complete, writing, p.Clock.Now()))
}
