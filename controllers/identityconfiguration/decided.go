// SPDX-License-Identifier: Apache-2.0

package identityconfiguration

import (
	"time"

	corev1 "k8s.io/api/core/v1"

	"lightrun.com/scim-operator/internal/operator/removals"
)

// warnAhead reports, once, decisions whose time is in the future: they have no effect before that
// time.
func (p *scope) warnAhead(annotations ...string) {
	for _, name := range annotations {
		value := p.config.Annotations[name]
		_, ahead := removals.ParseDecisionTime(value, p.Clock.Now())
		if ahead == 0 || p.ahead[name] == value {
			continue
		}
		if p.ahead == nil {
			p.ahead = map[string]string{}
		}
		p.ahead[name] = value
		p.Event(corev1.EventTypeWarning, "DecisionAhead", "Decide",
			"%s=%s is %s ahead of the manager's clock and has no effect until then; annotate with the current time and check the clocks", name, value, ahead.Round(time.Second))
	}
}
