// SPDX-License-Identifier: Apache-2.0

package pass_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/kernel/portalapi"
	"lightrun.com/scim-operator/internal/operator/pass"
	"lightrun.com/scim-operator/internal/operator/portalclient/breaker"
	"lightrun.com/scim-operator/internal/operator/portalclient/session"
)

func TestRefused(t *testing.T) {
	refusal := func(status int, code portalapi.Code) error {
		return fmt.Errorf("count removals: %w", &portalapi.Error{Status: status, Code: code, Message: "m"})
	}
	for name, tc := range map[string]struct {
		reason  string
		err     error
		says    string
		status  metav1.ConditionStatus
		backoff bool
		atLeast time.Duration // 0 if it has no pause
	}{
		"Transport":   {"A call that the portal did not answer is repeated with growing pauses.", errors.New("refused"), v1alpha1.ReasonPortalUnreachable, metav1.ConditionUnknown, true, 0},
		"Timeout":     {"A call that the portal did not answer in time is repeated with growing pauses.", context.DeadlineExceeded, v1alpha1.ReasonPortalUnreachable, metav1.ConditionUnknown, true, 0},
		"Internal":    {"An internal error of the portal is no refusal: the call is repeated with growing pauses.", refusal(500, portalapi.CodeInternal), v1alpha1.ReasonPortalUnreachable, metav1.ConditionUnknown, true, 0},
		"Limited":     {"After a rate limit without a time, the call is repeated with growing pauses.", refusal(429, portalapi.CodeRateLimited), v1alpha1.ReasonPortalUnreachable, metav1.ConditionUnknown, true, 0},
		"RetryAfter":  {"After a rate limit with a time, no call is made before that time.", &portalapi.Error{Status: 429, Code: portalapi.CodeRateLimited, RetryAfter: 7 * time.Second}, v1alpha1.ReasonPortalUnreachable, metav1.ConditionUnknown, false, 7 * time.Second},
		"BreakerOpen": {"While the breaker is open, no call is made: the pass waits without an error or a log line.", &breaker.OpenError{Until: time.Now().Add(9 * time.Second), Cause: errors.New("x")}, v1alpha1.ReasonPortalUnreachable, metav1.ConditionUnknown, false, 8 * time.Second},
		"Stale":       {"A precondition that failed means that the mirror is behind: the pass waits without a condition.", refusal(409, portalapi.CodeStaleRevision), v1alpha1.ReasonProgressing, metav1.ConditionFalse, false, time.Second},
		"Replaced":    {"A manager whose binding was replaced reports nothing: another manager leads, or this one has not bound the portal yet.", refusal(409, portalapi.CodeStaleLeader), v1alpha1.ReasonProgressing, metav1.ConditionFalse, false, time.Second},
		"LastManager": {"If the last manager would lose the role, an administrator must appoint another manager first.", refusal(409, portalapi.CodeLastManager), v1alpha1.ReasonLastManager, metav1.ConditionFalse, false, 30 * time.Second},
		"SCIMOff":     {"While SCIM is off, the pass waits for a change of the configuration, which enqueues all objects.", refusal(409, portalapi.CodeSCIMRequired), v1alpha1.ReasonSCIMOff, metav1.ConditionFalse, false, 30 * time.Second},
		"Key":         {"A revoked key is reported as a rejected key.", refusal(401, portalapi.CodeUnauthenticated), v1alpha1.ReasonCredentialsRejected, metav1.ConditionFalse, false, 30 * time.Second},
		"Invalid":     {"A call that the portal calls invalid is repeated seldom: the portal may accept it later.", refusal(400, portalapi.CodeInvalid), v1alpha1.ReasonRefusedByPortal, metav1.ConditionFalse, false, time.Minute},
		"NewCode":     {"A refusal with an unknown code is repeated seldom.", refusal(409, "TENANT_FROZEN"), v1alpha1.ReasonRefusedByPortal, metav1.ConditionFalse, false, time.Minute},
		"Proxy":       {"A response that is not the portal's is no refusal: the call is repeated with growing pauses.", &portalapi.InvalidResponseError{Status: 404, Problem: "it is not application/json"}, v1alpha1.ReasonPortalUnreachable, metav1.ConditionUnknown, true, 0},
		"ProxyPause":  {"After a proxy's Retry-After, no call is made before that time.", &portalapi.InvalidResponseError{Status: 503, RetryAfter: 7 * time.Second}, v1alpha1.ReasonPortalUnreachable, metav1.ConditionUnknown, false, 7 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			got := pass.Refused(v1alpha1.ConditionProvisioned, tc.err, nil, time.Now())
			leaf := got.Leaves[0]
			if leaf.Reason != tc.says || leaf.Status != tc.status || leaf.Type != v1alpha1.ConditionProvisioned {
				t.Errorf("%s\nleaf %+v", tc.reason, leaf)
			}
			if (got.Err != nil) != tc.backoff {
				t.Errorf("%s\nerror %v", tc.reason, got.Err)
			}
			if got.After < tc.atLeast || got.After > 2*tc.atLeast {
				t.Errorf("%s\nagain after %s", tc.reason, got.After)
			}
		})
	}
}

func TestRefusedPauses(t *testing.T) {
	now := time.Now()
	for name, tc := range map[string]struct {
		reason string
		have   []metav1.Condition
		want   time.Duration
	}{
		"First":     {"The first pause after a refusal is a minute.", nil, time.Minute},
		"Other":     {"The age of a condition with another reason does not count.", refusedFor(v1alpha1.ReasonGuardHeld, now, time.Hour), time.Minute},
		"Young":     {"A refusal of ten seconds still waits a minute.", refusedFor(v1alpha1.ReasonRefusedByPortal, now, 10*time.Second), time.Minute},
		"Growing":   {"The pause is as long as the refusal has already lasted.", refusedFor(v1alpha1.ReasonRefusedByPortal, now, 4*time.Minute), 4 * time.Minute},
		"Longest":   {"The pause is at most ten minutes: no refusal is final.", refusedFor(v1alpha1.ReasonRefusedByPortal, now, time.Hour), 10 * time.Minute},
		"ClockBack": {"A clock that was set back does not make the pause longer.", refusedFor(v1alpha1.ReasonRefusedByPortal, now, -time.Hour), time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			got := pass.Refused(v1alpha1.ConditionProvisioned, &portalapi.Error{Status: 400, Code: portalapi.CodeInvalid}, tc.have, now)
			if got.After != tc.want || got.Err != nil || !strings.Contains(got.Leaves[0].Message, "retried after 1 to 10 minutes") {
				t.Errorf("%s\ngot %+v", tc.reason, got)
			}
		})
	}
}

func refusedFor(reason string, now time.Time, age time.Duration) []metav1.Condition {
	return []metav1.Condition{{Type: v1alpha1.ConditionProvisioned, Status: metav1.ConditionFalse, Reason: reason, LastTransitionTime: metav1.NewTime(now.Add(-age))}}
}

func TestLeaveAsIs(t *testing.T) {
	for name, tc := range map[string]struct {
		reason string
		view   session.View
		leave  bool
	}{
		"NoConfiguration": {"Without a configuration there is no portal to write to.", session.View{Block: &session.Block{Reason: v1alpha1.ReasonNoConfiguration}}, true},
		"Foreign":         {"If the portal follows another operator, a deletion leaves the account to that operator.", session.View{Block: &session.Block{Reason: v1alpha1.ReasonConfigurationNotOK, Foreign: true}}, true},
		"ReportOnly":      {"Under ReportOnly, a deletion releases nothing in the portal.", session.View{Spec: &v1alpha1.IdentityConfigurationSpec{ManagementPolicy: v1alpha1.PolicyReportOnly}}, true},
	} {
		t.Run(name, func(t *testing.T) {
			p := pass.Pass{View: tc.view, Object: &v1alpha1.AgentPool{}}
			leave, err := p.LeaveAsIs(t.Context())
			if err != nil || leave != tc.leave {
				t.Errorf("%s\ngot %v, %v", tc.reason, leave, err)
			}
		})
	}
	p := pass.Pass{View: session.View{Unknown: true}}
	if got := p.Releasable(); !reflect.DeepEqual(got, pass.Quiet(0)) {
		t.Errorf("nothing is known yet, so a deletion waits silently; got %+v", got)
	}
}

// creator answers a dry run as the API server does.
type creator struct {
	client.Writer
	err error
}

func (c creator) Create(_ context.Context, _ client.Object, opts ...client.CreateOption) error {
	if len(opts) != 1 || opts[0] != client.DryRunAll {
		return errors.New("it would create something")
	}
	return c.err
}

func TestKindsEnding(t *testing.T) {
	pools := schema.GroupResource{Group: v1alpha1.GroupVersion.Group, Resource: "agentpools"}
	for name, c := range map[string]struct {
		reason string
		err    error
		want   bool
		fails  bool
	}{
		"Creatable": {reason: "The kind takes new objects."},
		"There":     {reason: "The API server of a kind in use reports that the object exists already.", err: apierrors.NewAlreadyExists(pools, "default")},
		"EndingForbidden": {
			reason: "Newer API servers refuse the creation as forbidden.", want: true,
			err: apierrors.NewForbidden(pools, "default", errors.New("create not allowed while custom resource definition is terminating")),
		},
		"Ending":      {reason: "The API server allows no creation while a definition is terminating.", err: apierrors.NewMethodNotSupported(pools, "create"), want: true},
		"Unreachable": {reason: "If the API server does not respond, it is not known whether the kind is ending.", err: errors.New("no route"), fails: true},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := pass.KindsEnding(t.Context(), creator{err: c.err}, "company")
			if got != c.want || (err != nil) != c.fails {
				t.Errorf("%v, %v: %s", got, err, c.reason)
			}
		})
	}
}
