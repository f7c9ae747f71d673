// SPDX-License-Identifier: Apache-2.0

package scimgroup

import "lightrun.com/scim-operator/internal/operator/pass"

// count updates status.memberCount.
func (p *scope) count(writing bool) {
	n, complete := 0, p.Counter.Complete()
	if complete {
		n = p.Groups.Count(p.group.Name, p.Counter.Knows)
	}
	pass.RequeueWithin(&p.result, p.counted.Renew(p.group.Name, &p.group.Status.MemberCount, n, complete, writing, p.Clock.Now()))
}
