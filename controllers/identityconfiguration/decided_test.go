// SPDX-License-Identifier: Apache-2.0

package identityconfiguration

import (
	"testing"
	"time"

	"k8s.io/client-go/tools/events"
	clocktesting "k8s.io/utils/clock/testing"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/operator/pass"
	"lightrun.com/scim-operator/internal/operator/portalclient/mirror"
	"lightrun.com/scim-operator/internal/operator/portalclient/session"
)

// TestDecidedAt: the manager reads a decision at noon, and again later.
func TestDecidedAt(t *testing.T) {
	noon := time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)
	for name, tc := range map[string]struct {
		reason string
		value  string
		want   time.Time
		ahead  bool // an event says that it has no effect
	}{
		"None":     {reason: "Without an annotation there is no decision."},
		"NoTime":   {reason: "What is not a time covers nothing.", value: "true"},
		"Past":     {reason: "A decision covers what was found by its time.", value: "2026-01-02T11:59:00Z", want: noon.Add(-time.Minute)},
		"OtherTZ":  {reason: "The time can be in another zone.", value: "2026-01-02T12:59:00+01:00", want: noon.Add(-time.Minute)},
		"Ahead":    {reason: "A person's clock can be a little ahead, but the decision covers nothing that is found later.", value: "2026-01-02T12:00:50Z", want: noon},
		"FarAhead": {reason: "A decision in the future has no effect, now or then.", value: "2026-01-02T12:02:00Z", ahead: true},
	} {
		t.Run(name, func(t *testing.T) {
			clock, recorder := clocktesting.NewFakePassiveClock(noon), events.NewFakeRecorder(10)
			r := &Reconciler{Engine: pass.Engine{Session: session.New(mirror.Options{}), Clock: clock, Recorder: recorder}}
			c := &v1alpha1.IdentityConfiguration{}
			c.Annotations = map[string]string{v1alpha1.AnnotationReleaseOwnerGone: tc.value}
			for _, later := range []time.Duration{0, time.Minute, time.Hour} {
				clock.SetTime(noon.Add(later))
				p := &scope{Reconciler: r, config: c, Pass: r.Begin(c, &c.Status.Conditions, v1alpha1.ConditionReady)}
				if got := p.decidedAt(v1alpha1.AnnotationReleaseOwnerGone); !got.Equal(tc.want) {
					t.Errorf("%s After %s it covers what was found by %s, want %s", tc.reason, later, got, tc.want)
				}
			}
			if got := len(recorder.Events) > 0; got != tc.ahead || len(recorder.Events) > 1 {
				t.Errorf("%s There are %d events", tc.reason, len(recorder.Events))
			}
		})
	}
}
