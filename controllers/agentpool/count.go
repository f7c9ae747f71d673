package agentpool

import (
	"time"

	"lightrun.com/scim-operator/controllers/gate"
)

// count renews status.memberCount, while the portal is known.
func (p *pass) count(writing bool) {
	n, complete := p.Book.Count(p.pool.Name)
	if complete && (p.view.Block != nil || p.view.Unknown) {
		return
	}
	p.lookAgain(p.counted.Renew(p.pool.Name, &p.pool.Status.MemberCount, n, complete, writing, p.Clock.Now()))
}

func (p *pass) lookAgain(wait time.Duration) { gate.LookAgain(&p.result, wait) }
