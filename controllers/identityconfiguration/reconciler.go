// SPDX-License-Identifier: Apache-2.0

// Package identityconfiguration binds the namespace to one portal and one identity provider. It
// opens the session that the other controllers use, declares or mirrors the login methods, and
// writes digests of the portal's SCIM keys for the webhook.
package identityconfiguration

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"time"
	"unicode"
	"unicode/utf8"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/controllers/scimuser"
	"lightrun.com/scim-operator/internal/kernel/conditions"
	"lightrun.com/scim-operator/internal/kernel/portalapi"
	"lightrun.com/scim-operator/internal/kernel/provider"
	"lightrun.com/scim-operator/internal/operator/pass"
	"lightrun.com/scim-operator/internal/operator/portalclient/session"
	"lightrun.com/scim-operator/internal/operator/removals"
)

// resync is the time between two checks of credentials, binding and counts without an event.
const resync = 30 * time.Second

// retry is the pause after the portal did not respond, or refused a call.
const retry = 5 * time.Second

// Connect creates a client of the portal at spec.URL with this API key.
type Connect func(spec v1alpha1.Portal, key string) (portalapi.Client, error)

// Reconciler reconciles the one IdentityConfiguration.
type Reconciler struct {
	client.Client
	Live     client.Reader
	Session  *session.Session
	Counter  *scimuser.Counter
	Guard    *removals.Guard
	Recorder events.EventRecorder
	Clock    clock.PassiveClock
	Connect  Connect
	Cluster  string // identity of this cluster in the binding
	// TokenWarning is the time before and after the expiry of a SCIM token in which a condition
	// warns; 0 takes DefaultTokenWarning.
	TokenWarning time.Duration
	// KeysConfirm is the time after which a portal that no longer lists any SCIM key is asked
	// again, before the earlier keys stop working; 0 takes DefaultKeysConfirm.
	KeysConfirm time.Duration

	connection connection
	ownBinding ownBinding
	strays     strays
	strayPools strayPools
	noKeys     time.Time         // when the portal first listed no SCIM key although some keys work; zero if it lists some
	counted    time.Time         // time of the last write of the counts
	ahead      map[string]string // annotation → value that was reported as a time in the future
}

// connection is the current client. It is kept while address and credentials stay the same.
type connection struct {
	key    string
	client portalapi.Client
}

// ownBinding is the binding that this process made. It is released when the configuration is
// deleted.
type ownBinding struct {
	client portalapi.Client
	uid    string
}

type scope struct {
	*Reconciler
	config *v1alpha1.IdentityConfiguration
	client portalapi.Client
	spec   *v1alpha1.IdentityConfigurationSpec // the effective spec: with ReportOnly while a restore window is open
	view   session.View
	bound  provider.ID // the provider that the portal is bound for by this configuration; zero if not known

	accepted accepted

	leaves   []conditions.Leaf
	abnormal []conditions.Leaf
	result   ctrl.Result
	silent   bool // do not write the status: another manager leads and reports, or there is nothing new to report
}

// Reconcile opens, blocks or closes the session, and reports the state of the portal.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	var config v1alpha1.IdentityConfiguration
	if err := r.Get(ctx, req.NamespacedName, &config); err != nil {
		if apierrors.IsNotFound(err) {
			return ctrl.Result{}, r.release(ctx, req.Namespace)
		}
		return ctrl.Result{}, err
	}
	if !config.DeletionTimestamp.IsZero() { // a finalizer of another program keeps it
		return ctrl.Result{}, r.release(ctx, req.Namespace)
	}
	p := &scope{Reconciler: r, config: &config, spec: config.Spec.DeepCopy(), result: ctrl.Result{RequeueAfter: resync}}
	return p.report(ctx, pass.Run(ctx, p.restoring, p.readTokens, p.connect, p.bind, p.open, p.loginMethods, p.defaultPool, p.tokens, p.audit, p.auditPools))
}

// connect makes the client from the address and the credentials.
func (p *scope) connect(ctx context.Context) (bool, error) {
	name := p.config.Spec.Portal.CredentialsSecretRef.Name
	raw, err := p.secret(ctx, name, "token")
	if errors.Is(err, errNoSecret) {
		return true, p.blocked(ctx, v1alpha1.ConditionPortalReachable, v1alpha1.ReasonCredentialsNotFound, err.Error())
	}
	if err != nil {
		return false, err
	}
	key, err := portalapi.ParseKey(raw)
	if err != nil {
		return true, p.blocked(ctx, v1alpha1.ConditionPortalReachable, v1alpha1.ReasonCredentialsMalformed, fmt.Sprintf("Secret %s, key \"token\": %v", name, err))
	}
	digest := sha256.Sum256(fmt.Appendf(nil, "%s\n%s\n%s", p.config.Spec.Portal.URL, p.config.Spec.Portal.CABundle, key))
	id := hex.EncodeToString(digest[:])
	if p.connection.key != id {
		c, err := p.Connect(p.config.Spec.Portal, key)
		if err != nil {
			return true, p.blocked(ctx, v1alpha1.ConditionPortalReachable, v1alpha1.ReasonInvalidConfiguration, err.Error())
		}
		p.connection.key, p.connection.client = id, c
	}
	p.client = p.connection.client
	return false, nil
}

// bind binds the portal to this operator, this provider and this process. From then on the portal
// refuses writes of earlier processes. Each pass repeats the call, which also shows that the portal
// responds and accepts the key. While this configuration has integrated another provider, bind
// binds that one, and the condition names the provider that is refused.
func (p *scope) bind(ctx context.Context) (bool, error) {
	var conflict error
	err := p.replaceOperator(ctx, p.bindAs(ctx, p.binding()))
	if portalapi.CodeOf(err) == portalapi.CodeIDPConfigured {
		conflict, err = p.conflict(ctx, err)
	}
	if err == nil {
		p.leaf(conditions.True(v1alpha1.ConditionPortalReachable, v1alpha1.ReasonReachable, "The portal responds"))
		if conflict != nil {
			p.leaf(conditions.False(v1alpha1.ConditionBound, v1alpha1.ReasonProviderConflict, said(conflict)))
			return false, nil
		}
		p.leaf(conditions.True(v1alpha1.ConditionBound, v1alpha1.ReasonBound, "The portal is bound to this namespace and "+p.bound.String()))
		return false, nil
	}
	if portalapi.CodeOf(err) == portalapi.CodeStaleLeader {
		p.silent = true
		ctrl.LoggerFrom(ctx).Error(err, "Another manager leads: nothing that this one writes reaches the portal any more")
		return true, nil
	}
	reason, refused := bindReason(err)
	if !refused {
		return true, p.unreachable(ctx, err)
	}
	typ := v1alpha1.ConditionBound
	if reason == v1alpha1.ReasonCredentialsRejected {
		typ = v1alpha1.ConditionPortalReachable
	} else {
		p.leaf(conditions.True(v1alpha1.ConditionPortalReachable, v1alpha1.ReasonReachable, "The portal responds"))
	}
	return true, p.blocked(ctx, typ, reason, said(err))
}

// said returns the message of a refusal by the portal, as a sentence. For any other error it
// returns the whole text.
func said(err error) string {
	var refusal *portalapi.Error
	if !errors.As(err, &refusal) || refusal.Message == "" {
		return err.Error()
	}
	first, size := utf8.DecodeRuneInString(refusal.Message)
	return string(unicode.ToUpper(first)) + refusal.Message[size:]
}

func bindReason(err error) (reason string, refused bool) {
	switch portalapi.CodeOf(err) {
	case portalapi.CodeOperatorBound:
		return v1alpha1.ReasonBoundElsewhere, true
	case portalapi.CodeIDPConfigured:
		return v1alpha1.ReasonProviderConflict, true
	case portalapi.CodeUnauthenticated, portalapi.CodeForbidden:
		return v1alpha1.ReasonCredentialsRejected, true
	case portalapi.CodeInvalid, portalapi.CodeNotFound:
		return v1alpha1.ReasonRefusedByPortal, true
	}
	if _, failed := portalapi.Failure(err); !failed { // a code that this version does not know
		return v1alpha1.ReasonRefusedByPortal, true
	}
	return "", false
}

// open opens the session for the other controllers.
func (p *scope) open(ctx context.Context) (bool, error) {
	p.warnAhead(v1alpha1.AnnotationReleaseHeld, v1alpha1.AnnotationDropHeld, v1alpha1.AnnotationReleaseStrays)
	p.Session.Decide(removals.Decisions(p.config.Annotations, p.Clock.Now()))
	p.view = p.Session.Open(ctx, p.connection.key, p.client, p.spec)
	return false, nil
}

// blocked stops all writes to the portal, and reports the reason.
func (p *scope) blocked(ctx context.Context, typ, reason, message string) error {
	p.leaf(conditions.False(typ, reason, message))
	p.result.RequeueAfter = retry
	why := session.Block{
		Reason: v1alpha1.ReasonConfigurationNotOK, Message: "IdentityConfiguration default: " + message,
		Foreign: reason == v1alpha1.ReasonBoundElsewhere,
	}
	if p.client == nil {
		p.Session.Close(why)
		return nil
	}
	p.view = p.Session.OpenReadOnly(ctx, p.connection.key, p.client, p.spec, why)
	return nil
}

// unreachable leaves an open session unchanged: users keep what they have, and the controllers
// continue when the portal responds.
func (p *scope) unreachable(ctx context.Context, err error) error {
	p.leaf(conditions.Unknown(v1alpha1.ConditionPortalReachable, v1alpha1.ReasonPortalUnreachable, "The portal does not respond: "+err.Error()))
	p.result.RequeueAfter = retry
	if pause, _ := portalapi.Failure(err); pause > 0 {
		p.result.RequeueAfter = pause
	}
	p.view = p.Session.Open(ctx, p.connection.key, p.client, p.spec)
	return nil
}

func (p *scope) leaf(l conditions.Leaf) { p.leaves = append(p.leaves, l) }

// report writes the status once, if it changed.
func (p *scope) report(ctx context.Context, failed error) (ctrl.Result, error) {
	if failed != nil && apierrors.IsConflict(failed) {
		return ctrl.Result{RequeueAfter: time.Second / 20}, nil
	}
	if failed != nil && (len(p.leaves) == 0 || p.leaves[len(p.leaves)-1].Status == metav1.ConditionTrue) { // else a leaf reports it already
		p.leaf(conditions.Unknown(v1alpha1.ConditionTokensSynced, v1alpha1.ReasonProgressing, "Retrying after an error; see the manager's log"))
	}
	if p.silent {
		return p.result, failed
	}
	p.warnOfExpiry()
	before := p.config.DeepCopy()
	s := &p.config.Status
	p.inForce(s)
	s.ObservedGeneration = p.config.Generation
	s.Conditions = conditions.Compute(s.Conditions, p.config.Generation, metav1.NewTime(p.Clock.Now()), p.leaves, p.abnormal)
	p.counts(s, !equality.Semantic.DeepEqual(before.Status, *s))
	if !equality.Semantic.DeepEqual(before.Status, *s) {
		if err := p.Status().Patch(ctx, p.config, client.MergeFrom(before)); client.IgnoreNotFound(err) != nil {
			return ctrl.Result{}, errors.Join(failed, fmt.Errorf("write the status: %w", err))
		}
	}
	if failed != nil {
		return ctrl.Result{}, failed
	}
	return p.result, nil
}

// inForce copies the portal's provider and login methods to the status. While the portal can't be
// read, the status keeps the last ones.
func (p *scope) inForce(s *v1alpha1.IdentityConfigurationStatus) {
	if p.bound != (provider.ID{}) {
		s.Provider = &v1alpha1.BoundProvider{Type: v1alpha1.ProviderType(p.bound.Type), Name: p.bound.Name}
	}
	m := p.view.Mirror
	if m == nil || !m.Listed() || p.view.Block != nil {
		return
	}
	c := m.Configuration()
	s.LoginMethods = &v1alpha1.EffectiveLoginMethods{
		SSO: c.SSO.Enabled, SCIM: c.SCIMEnabled, ProvisionExistingUsers: c.ProvisionExistingUsers, ProvisionGroups: c.ProvisionGroups,
	}
}

// Pauses between two renewals of the counts alone, and while they are not complete yet.
const (
	countEvery   = 30 * time.Second
	whileLoading = 200 * time.Millisecond
)

// counts updates the numbers of users by state. It does so together with another change of the
// status, or alone at most twice a minute: its write triggers another pass, which makes calls to
// the portal.
func (p *scope) counts(s *v1alpha1.IdentityConfigurationStatus, writing bool) {
	if !p.Counter.Complete() {
		p.result.RequeueAfter = min(p.result.RequeueAfter, whileLoading)
		return
	}
	n, now := p.Counter.Counts(), p.Clock.Now()
	local := s.LocalAccounts
	if m := p.view.Mirror; m != nil && m.Listed() {
		_, all := m.Counts()
		local = int64(all)
	}
	if s.Users == n.Users && s.ReadyUsers == n.Ready && s.WaitingUsers == n.Waiting && s.HeldUsers == n.Held && s.LocalAccounts == local {
		return
	}
	if wait := countEvery - now.Sub(p.counted); wait > 0 && !writing {
		p.result.RequeueAfter = min(p.result.RequeueAfter, wait)
		return
	}
	s.Users, s.ReadyUsers, s.WaitingUsers, s.HeldUsers, s.LocalAccounts = n.Users, n.Ready, n.Waiting, n.Held, local
	p.counted = now
}
