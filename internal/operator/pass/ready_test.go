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
		atLeast time.Duration // 0: no pause of its own
	}{
		"Transport":   {"A portal that did not answer is tried again, with growing pauses.", errors.New("refused"), v1alpha1.ReasonPortalUnreachable, metav1.ConditionUnknown, true, 0},
		"Timeout":     {"So is one that did not answer in time.", context.DeadlineExceeded, v1alpha1.ReasonPortalUnreachable, metav1.ConditionUnknown, true, 0},
		"Internal":    {"A portal that fails is no portal that refuses.", refusal(500, portalapi.CodeInternal), v1alpha1.ReasonPortalUnreachable, metav1.ConditionUnknown, true, 0},
		"Limited":     {"A rate limit without a time is waited out with growing pauses.", refusal(429, portalapi.CodeRateLimited), v1alpha1.ReasonPortalUnreachable, metav1.ConditionUnknown, true, 0},
		"RetryAfter":  {"The portal says when; no call is made before.", &portalapi.Error{Status: 429, Code: portalapi.CodeRateLimited, RetryAfter: 7 * time.Second}, v1alpha1.ReasonPortalUnreachable, metav1.ConditionUnknown, false, 7 * time.Second},
		"BreakerOpen": {"Nothing was called, so nothing failed: no error, no log, wait.", &breaker.OpenError{Until: time.Now().Add(9 * time.Second), Cause: errors.New("x")}, v1alpha1.ReasonPortalUnreachable, metav1.ConditionUnknown, false, 8 * time.Second},
		"Stale":       {"The mirror is behind, not the person wrong.", refusal(409, portalapi.CodeStaleRevision), v1alpha1.ReasonProgressing, metav1.ConditionFalse, false, time.Second},
		"Replaced":    {"Another manager leads, and says what is true; or this one has not bound the portal yet.", refusal(409, portalapi.CodeStaleLeader), v1alpha1.ReasonProgressing, metav1.ConditionFalse, false, time.Second},
		"LastManager": {"A person must make another manager first.", refusal(409, portalapi.CodeLastManager), v1alpha1.ReasonLastManager, metav1.ConditionFalse, false, 30 * time.Second},
		"SCIMOff":     {"The configuration's change enqueues all objects.", refusal(409, portalapi.CodeSCIMRequired), v1alpha1.ReasonSCIMOff, metav1.ConditionFalse, false, 30 * time.Second},
		"Key":         {"A revoked key is named as such.", refusal(401, portalapi.CodeUnauthenticated), v1alpha1.ReasonCredentialsRejected, metav1.ConditionFalse, false, 30 * time.Second},
		"Invalid":     {"What the portal calls invalid may be fixed in the portal: it is tried again, seldom.", refusal(400, portalapi.CodeInvalid), v1alpha1.ReasonRefusedByPortal, metav1.ConditionFalse, false, time.Minute},
		"NewCode":     {"So is what it refuses with a code that we do not know.", refusal(409, "TENANT_FROZEN"), v1alpha1.ReasonRefusedByPortal, metav1.ConditionFalse, false, time.Minute},
		"Proxy":       {"What is not the portal's answer refuses nothing.", &portalapi.InvalidResponseError{Status: 404, Problem: "it is not application/json"}, v1alpha1.ReasonPortalUnreachable, metav1.ConditionUnknown, true, 0},
		"ProxyPause":  {"A proxy that says when is asked no earlier.", &portalapi.InvalidResponseError{Status: 503, RetryAfter: 7 * time.Second}, v1alpha1.ReasonPortalUnreachable, metav1.ConditionUnknown, false, 7 * time.Second},
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
		"First":     {"The first pause is a minute.", nil, time.Minute},
		"Other":     {"Another condition's age does not count.", refusedFor(v1alpha1.ReasonGuardHeld, now, time.Hour), time.Minute},
		"Young":     {"A refusal of ten seconds still waits a minute.", refusedFor(v1alpha1.ReasonRefusedByPortal, now, 10*time.Second), time.Minute},
		"Growing":   {"The pause is as long as the refusal has lasted.", refusedFor(v1alpha1.ReasonRefusedByPortal, now, 4*time.Minute), 4 * time.Minute},
		"Longest":   {"It stays below ten minutes: nothing is final.", refusedFor(v1alpha1.ReasonRefusedByPortal, now, time.Hour), 10 * time.Minute},
		"ClockBack": {"A clock that was set back does not make it longer.", refusedFor(v1alpha1.ReasonRefusedByPortal, now, -time.Hour), time.Minute},
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

func TestWhatABlockMeansForDeletion(t *testing.T) {
	for name, tc := range map[string]struct {
		reason string
		view   session.View
		leave  bool
	}{
		"NoConfiguration": {"Without a configuration there is no portal to write to.", session.View{Block: &session.Block{Reason: v1alpha1.ReasonNoConfiguration}}, true},
		"Foreign":         {"The portal follows another operator; the account is that one's.", session.View{Block: &session.Block{Reason: v1alpha1.ReasonConfigurationNotOK, Foreign: true}}, true},
		"ReportOnly":      {"Who only reports releases nothing.", session.View{Spec: &v1alpha1.IdentityConfigurationSpec{ManagementPolicy: v1alpha1.PolicyReportOnly}}, true},
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
		"There":     {reason: "It took this one.", err: apierrors.NewAlreadyExists(pools, "default")},
		"EndingForbidden": {
			reason: "Newer API servers refuse the creation as forbidden.", want: true,
			err: apierrors.NewForbidden(pools, "default", errors.New("create not allowed while custom resource definition is terminating")),
		},
		"Ending":      {reason: "The API server allows no creation while a definition is terminating.", err: apierrors.NewMethodNotSupported(pools, "create"), want: true},
		"Unreachable": {reason: "Nothing is known, and nothing is decided.", err: errors.New("no route"), fails: true},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := pass.KindsEnding(t.Context(), creator{err: c.err}, "company")
			if got != c.want || (err != nil) != c.fails {
				t.Errorf("%v, %v: %s", got, err, c.reason)
			}
		})
	}
}
