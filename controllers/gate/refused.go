package gate

import (
	"errors"
	"math/rand/v2"
	"time"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/conditions"
	"lightrun.com/scim-operator/internal/portal"
	"lightrun.com/scim-operator/internal/portal/breaker"
)

// Pauses before something is tried again that no event announces.
const (
	retryNews   = time.Second      // the mirror is behind; the feed usually brings the object back sooner
	retryPerson = 30 * time.Second // somebody must do something in the portal
)

// Refusal is what a failed call means for the object that it was made for.
type Refusal struct {
	Leaf  conditions.Leaf
	After time.Duration // when to try again; 0: an event brings the object back
	Err   error         // not nil: try again with growing pauses
}

// meaning of a code: the condition's reason and when to try again.
type meaning struct {
	reason string
	after  time.Duration
}

// meanings of the codes that a write of an account or a pool is refused with.
func meanings() map[portal.Code]meaning {
	news := meaning{v1alpha1.ReasonProgressing, retryNews}
	return map[portal.Code]meaning{
		portal.CodeStaleRevision: news,
		portal.CodeStaleLeader:   news,
		portal.CodeDuplicateUser: news,
		portal.CodeDuplicatePool: news,
		portal.CodeLocalAccount:  news,
		portal.CodeUnknownPool:   news,
		portal.CodeNotFound:      news,

		portal.CodeUnknownRole:      {v1alpha1.ReasonUnknownRole, retryPerson},
		portal.CodeRoleNotGrantable: {v1alpha1.ReasonRoleNotGrantable, retryPerson},
		portal.CodeLastManager:      {v1alpha1.ReasonLastManager, retryPerson},
		portal.CodeSCIMRequired:     {v1alpha1.ReasonSCIMOff, retryPerson},
		portal.CodeSSORequired:      {v1alpha1.ReasonSCIMOff, retryPerson},
		portal.CodeUnauthenticated:  {v1alpha1.ReasonCredentialsRejected, retryPerson},
		portal.CodeForbidden:        {v1alpha1.ReasonCredentialsRejected, retryPerson},
	}
}

// Refused classifies the error of a call to the portal, as a condition of the type and a way to go on. Transport
// failures and failures of the portal itself are tried again with growing pauses; a portal that asks to be left alone, or
// a breaker that is open, with the pause that was asked for; a refusal waits for what would end it.
func Refused(typ string, err error) Refusal {
	unreachable := func(message string, after time.Duration, err error) Refusal {
		return Refusal{Leaf: conditions.Unknown(typ, v1alpha1.ReasonPortalUnreachable, message), After: after, Err: err}
	}
	var open *breaker.OpenError
	if errors.As(err, &open) {
		return unreachable("The portal fails or asked to be left alone; it is tried again by itself", spread(time.Until(open.Until)), nil)
	}
	var refusal *portal.Error
	if !errors.As(err, &refusal) {
		return unreachable("The portal did not answer", 0, err)
	}
	if m, ok := meanings()[refusal.Code]; ok {
		message := refusal.Message
		if m.reason == v1alpha1.ReasonProgressing {
			message = "The portal has news that are on their way: " + message
		}
		return Refusal{Leaf: conditions.False(typ, m.reason, message), After: m.after}
	}
	switch {
	case refusal.RetryAfter > 0:
		return unreachable("The portal asked to be left alone for a while", spread(refusal.RetryAfter), nil)
	case refusal.Status >= 500 || refusal.Code == portal.CodeRateLimited:
		return unreachable("The portal failed: "+refusal.Message, 0, err)
	}
	return Refusal{Leaf: conditions.False(typ, v1alpha1.ReasonRefusedByPortal, refusal.Error())}
}

// spread keeps those who wait for the same moment from all coming at once.
func spread(d time.Duration) time.Duration {
	d = max(d, 10*time.Millisecond)
	return d + rand.N(d/4+100*time.Millisecond)
}
