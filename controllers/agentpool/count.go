// SPDX-License-Identifier: Apache-2.0

package agentpool

import (
	"time"

	"lightrun.com/scim-operator/internal/operator/pass"
)

// count updates status.memberCount, if the portal's state is known.
func (p *scope) count(writing bool) {
	n, complete := p.Pools.Count(p.pool.Name)
	if complete && (p.view.Block != nil || p.view.Unknown) {
		return
	}
	p.requeueWithin(p.counted.Renew(p.pool.Name, &p.pool.Status.MemberCount, n, complete, writing, p.Clock.Now()))
}

func (p *scope) requeueWithin(wait time.Duration) { pass.RequeueWithin(&p.result, wait) }
