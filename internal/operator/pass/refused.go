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

// Refusal is what a failed call means for the object of the pass.
type Refusal struct {
	Leaf  conditions.Leaf
	After time.Duration // pause before the next try; 0 if an event triggers it
	Err   error         // if not nil, Reconcile returns it, and the next try comes after growing pauses
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
		portalapi.CodeStaleLeader:   behind,
		portalapi.CodeDuplicateUser: behind,
		portalapi.CodeDuplicatePool: behind,
		portalapi.CodeLocalAccount:  behind,
		portalapi.CodeUnknownPool:   behind,
		portalapi.CodeNotFound:      behind,

		portalapi.CodeUnknownRole:      {v1alpha1.ReasonUnknownRole, retryPerson},
		portalapi.CodeRoleNotGrantable: {v1alpha1.ReasonRoleNotGrantable, retryPerson},
		portalapi.CodeLastManager:      {v1alpha1.ReasonLastManager, retryPerson},
		portalapi.CodeSCIMRequired:     {v1alpha1.ReasonSCIMOff, retryPerson},
		portalapi.CodeSSORequired:      {v1alpha1.ReasonSCIMOff, retryPerson},
		portalapi.CodeUnauthenticated:  {v1alpha1.ReasonCredentialsRejected, retryPerson},
		portalapi.CodeForbidden:        {v1alpha1.ReasonCredentialsRejected, retryPerson},
	}
}

// Refused converts the error of a call to the portal to a condition of the type typ and a time to
// retry. Failures, and responses that are not the portal's, are retried with growing pauses. If the
// portal asks for a pause, or the breaker is open, the retry comes after that pause. A refusal with
// a known remedy waits for the remedy. Any other refusal is retried with pauses that grow with its
// age, which is read from have, the object's conditions.
func Refused(typ string, err error, have []metav1.Condition, now time.Time) Refusal {
	unreachable := func(message string, after time.Duration, err error) Refusal {
		return Refusal{Leaf: conditions.Unknown(typ, v1alpha1.ReasonPortalUnreachable, message), After: after, Err: err}
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
		return Refusal{Leaf: conditions.False(typ, m.reason, message), After: m.after}
	}
	if failed {
		return unreachable("The portal failed: "+refusal.Message, 0, err)
	}
	message := refusal.Error() + "; retried after 1 to 10 minutes, and at once when the object changes"
	return Refusal{Leaf: conditions.False(typ, v1alpha1.ReasonRefusedByPortal, message), After: growing(typ, have, now)}
}

// noAnswer describes why there was no response from the portal. The text is the same at each try,
// so that the status is written once.
func noAnswer(err error) string {
	var bad *portalapi.BadAnswerError
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
