// SPDX-License-Identifier: Apache-2.0

package identityconfiguration

import (
	"time"

	corev1 "k8s.io/api/core/v1"
)

// skew is the maximum time by which a person's clock may be ahead of the manager's.
const skew = time.Minute

// decidedTime is the value of an annotation that decides about what was found by a time (RFC 3339).
type decidedTime struct {
	value string
	at    time.Time // the time that the decision covers; zero if it covers nothing
}

// decidedAt returns the time that the decision in the annotation covers, and zero if it covers
// nothing. A decision is about what a person has seen, so it never covers what is found after the
// manager first read it: also if the person's clock is ahead. If that is ahead by more than skew,
// the decision has no effect, now or later, and an event says so.
func (p *scope) decidedAt(annotation string) time.Time {
	value, now := p.config.Annotations[annotation], p.Clock.Now()
	if p.decided.value == value {
		return p.decided.at
	}
	p.decided = decidedTime{value: value}
	at, err := time.Parse(time.RFC3339, value)
	if err != nil {
		return time.Time{}
	}
	if ahead := at.Sub(now); ahead > skew {
		p.Event(corev1.EventTypeWarning, "DecisionAhead", "Decide",
			"%s=%s is %s ahead of the manager's clock and has no effect; check the clocks, then annotate with the current time", annotation, value, ahead.Round(time.Second))
		return time.Time{}
	}
	if at.After(now) {
		at = now
	}
	p.decided.at = at.UTC()
	return p.decided.at
}
