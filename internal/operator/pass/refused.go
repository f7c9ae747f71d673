// SPDX-License-Identifier: Apache-2.0

package pass

import (
	"errors"
	"math/rand/v2"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/kernel/conditions"
	"lightrun.com/scim-operator/internal/kernel/portalapi"
	"lightrun.com/scim-operator/internal/operator/portalclient/breaker"
)

// Pauses before a retry that no event triggers.
const (
	retryFeed   = time.Second      // the mirror is behind; usually an event of the feed comes sooner
	retryPerson = 30 * time.Second // a person must change something in the portal

	// firstRetry is for a refusal without a known remedy, so that no refusal is final.
	firstRetry = time.Minute
	lastRetry  = 10 * time.Minute
)

// Refused ends the pass because a call to the portal failed; see the function Refused.
func (p *Pass) Refused(err error) Outcome { return p.RefusedAs(p.Condition, err) }

// RefusedAs is Refused for the condition of another type.
func (p *Pass) RefusedAs(typ string, err error) Outcome {
	return Refused(typ, err, *p.Conditions, p.engine.Clock.Now())
}

// Call calls the portal, and ends the pass if that fails.
func (p *Pass) Call(do func() error) Outcome {
	if err := do(); err != nil {
		return p.Refused(err)
	}
	return Next()
}

// meaning of a code: the condition's reason and when to try again.
type meaning struct {
	reason string
	after  time.Duration
}

// meanings of the codes that a write of an account or a pool is refused with.
func meanings() map[portalapi.Code]meaning {
	behind := meaning{v1alpha1.ReasonProgressing, retryFeed}
	return map[portalapi.Code]meaning{
		portalapi.CodeStaleRevision: behind,
		portalapi.CodeReleasedSince: behind,
		portalapi.CodeStaleLeader:   behind,
		portalapi.CodeDuplicateUser: behind,
		portalapi.CodeDuplicatePool: behind,
		portalapi.CodeLocalAccount:  behind,
		portalapi.CodeUnknownPool:   behind,
		portalapi.CodeNotFound:      behind,

		portalapi.CodeUnknownRole:      {v1alpha1.ReasonUnknownRole, retryPerson},
		portalapi.CodeRoleNotGrantable: {v1alpha1.ReasonRoleNotGrantable, retryPerson},
		portalapi.CodeLastManager:      {v1alpha1.ReasonLastManager, retryPerson},
		portalapi.CodePlanChanged:      {v1alpha1.ReasonPlanChanged, retryPerson},
		portalapi.CodeSCIMRequired:     {v1alpha1.ReasonSCIMOff, retryPerson},
		portalapi.CodeSSORequired:      {v1alpha1.ReasonSCIMOff, retryPerson},
		portalapi.CodeUnauthenticated:  {v1alpha1.ReasonCredentialsRejected, retryPerson},
		portalapi.CodeForbidden:        {v1alpha1.ReasonCredentialsRejected, retryPerson},
	}
}

// Refused is how a pass ends because of the error of a call to the portal: with a condition of the
// type, and a time to try again. Failures, and answers that are not the portal's, are retried with
// growing pauses; if the portal asks for a pause, or the breaker is open, after that pause. A
// refusal with a known remedy waits for that; any other is retried with pauses that grow with its
// age, which is read from have, the object's conditions.
func Refused(typ string, err error, have []metav1.Condition, now time.Time) Outcome {
	refused := func(l conditions.Leaf, after time.Duration, err error) Outcome {
		o := Wait(after, l)
		o.Err, o.Refused = err, true
		return o
	}
	unreachable := func(message string, after time.Duration, err error) Outcome {
		return refused(conditions.Unknown(typ, v1alpha1.ReasonPortalUnreachable, message), after, err)
	}
	var open *breaker.OpenError
	if errors.As(err, &open) {
		return unreachable("The portal fails or asked for a pause; the call is retried automatically", spread(time.Until(open.Until)), nil)
	}
	pause, failed := portalapi.Failure(err)
	if failed && pause > 0 {
		return unreachable("The portal asked for a pause; the call is retried automatically", spread(pause), nil)
	}
	var refusal *portalapi.Error
	if !errors.As(err, &refusal) {
		return unreachable(noAnswer(err), 0, err)
	}
	if m, ok := meanings()[refusal.Code]; ok {
		message := refusal.Message
		if m.reason == v1alpha1.ReasonProgressing {
			message = "Portal state changed concurrently; waiting for the change feed: " + message
		}
		return refused(conditions.False(typ, m.reason, message), m.after, nil)
	}
	if failed {
		return unreachable("The portal failed: "+refusal.Message, 0, err)
	}
	message := refusal.Error() + "; retried after 1 to 10 minutes, and at once when the object changes"
	return refused(conditions.False(typ, v1alpha1.ReasonRefusedByPortal, message), growing(typ, have, now), nil)
}

// noAnswer describes why there was no response from the portal. The text is the same at each try,
// so that the status is written once.
func noAnswer(err error) string {
	var bad *portalapi.InvalidResponseError
	if errors.As(err, &bad) {
		return "Retried automatically: " + bad.Error()
	}
	return "The portal did not answer"
}

// growing returns the pause before a refused call is tried again: as long as the refusal has
// lasted. The time of the condition shows when it began, so that a restart of the manager does not
// reset it.
func growing(typ string, have []metav1.Condition, now time.Time) time.Duration {
	c := conditions.Find(have, typ)
	if c == nil || c.Reason != v1alpha1.ReasonRefusedByPortal {
		return firstRetry
	}
	return min(max(now.Sub(c.LastTransitionTime.Time), firstRetry), lastRetry)
}

// spread adds jitter, so that objects that wait for the same moment do not all retry at once.
func spread(d time.Duration) time.Duration {
	d = max(d, 10*time.Millisecond)
	return d + rand.N(d/4+100*time.Millisecond)
}
