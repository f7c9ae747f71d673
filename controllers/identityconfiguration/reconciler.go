// SPDX-License-Identifier: Apache-2.0

// Package identityconfiguration binds the namespace to one portal and one identity provider. It
// opens the session that the other controllers use, declares or mirrors the login methods, and
// writes digests of the portal's SCIM keys for the webhook.
package identityconfiguration

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"
	"unicode"
	"unicode/utf8"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	ctrl "sigs.k8s.io/controller-runtime"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/kernel/conditions"
	"lightrun.com/scim-operator/internal/kernel/portalapi"
	"lightrun.com/scim-operator/internal/kernel/provider"
	"lightrun.com/scim-operator/internal/operator/pass"
	"lightrun.com/scim-operator/internal/operator/portalclient/session"
	"lightrun.com/scim-operator/internal/operator/usercounts"
)

// resync is the time between two checks of credentials, binding and counts without an event.
const resync = 30 * time.Second

// retry is the pause after the portal did not respond, or refused a call.
const retry = 5 * time.Second

// Connect creates a client of the portal at spec.URL with this API key.
type Connect func(spec v1alpha1.Portal, key string) (portalapi.Client, error)

// Reconciler reconciles the one IdentityConfiguration.
type Reconciler struct {
	pass.Engine
	Counter *usercounts.Counter
	Connect Connect
	Cluster string // identity of this cluster in the binding
	// TokenWarning is the time before and after a token's expiry in which a condition warns
	// of it; 0 means DefaultTokenWarning.
	TokenWarning time.Duration
	// KeysConfirm is the time after which a portal that no longer lists any SCIM key is asked
	// again, before the earlier keys stop working; 0 takes DefaultKeysConfirm.
	KeysConfirm time.Duration

	connection connection
	ownBinding ownBinding
	strays     strays
	strayPools strayPools
	noKeys     time.Time   // when the portal first listed no SCIM key although some keys work; zero if it lists some
	counted    time.Time   // time of the last write of the counts
	headRead   time.Time   // time of the last reading of the head of the portal's audit
	decided    decidedTime // the decision about what has lost its object
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
	pass.Pass
	config *v1alpha1.IdentityConfiguration
	client portalapi.Client
	spec   *v1alpha1.IdentityConfigurationSpec // as it applies now: in a restore window, with the policy ReportOnly
	bound  provider.ID                         // for which the portal follows this configuration; the zero ID: not known

	accepted accepted
	headStep bool                // the pass came to the check of the portal's audit
	head     *v1alpha1.AuditHead // to record; nil: the recorded one stays

	searched  bool                // the pass came to the search for what has lost its object
	ownerGone *v1alpha1.OwnerGone // what the search found; nil if there is nothing
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
	p := &scope{Reconciler: r, config: &config, spec: config.Spec.DeepCopy(), Pass: r.Begin(&config, &config.Status.Conditions, v1alpha1.ConditionTokensSynced)}
	p.Last, p.Fill, p.Count, p.Resync = p.warn, p.fill, p.counts, resync
	ctx = portalapi.WithCause(ctx, portalapi.CauseGit)
	return p.Run(ctx, p.restoring, p.readTokens, p.connect, p.bind, p.open, p.loginMethods, p.defaultPool, p.tokens, p.auditHead, p.audit, p.auditPools)
}

// connect makes the client from the address and the credentials.
func (p *scope) connect(ctx context.Context) pass.Outcome {
	name, in := p.config.Spec.Portal.CredentialsSecretRef.Name, p.config.Spec.Portal.SecretKey()
	raw, err := p.secret(ctx, name, in)
	if errors.Is(err, errNoSecret) {
		return p.blocked(ctx, v1alpha1.ConditionPortalReachable, v1alpha1.ReasonCredentialsNotFound, err.Error())
	}
	if err != nil {
		return p.Retry(err)
	}
	key, err := portalapi.ParseKey(raw)
	if err != nil {
		return p.blocked(ctx, v1alpha1.ConditionPortalReachable, v1alpha1.ReasonCredentialsMalformed, fmt.Sprintf("Secret %s, key %q: %v", name, in, err))
	}
	portal, err := json.Marshal(p.config.Spec.Portal)
	if err != nil {
		return p.Retry(err)
	}
	accepted := p.config.Annotations[v1alpha1.AnnotationAcceptLoss] // a new connection lists at once
	digest := sha256.Sum256(fmt.Appendf(nil, "%s\n%s\n%s", portal, accepted, key))
	id := hex.EncodeToString(digest[:])
	if p.connection.key != id {
		c, err := p.Connect(p.config.Spec.Portal, key)
		if err != nil {
			return p.blocked(ctx, v1alpha1.ConditionPortalReachable, v1alpha1.ReasonInvalidConfiguration, err.Error())
		}
		p.connection.key, p.connection.client = id, c
	}
	p.client = p.connection.client
	return pass.Next()
}

// bind binds the portal to this operator, provider and manager; from then on the portal refuses
// writes of an earlier manager. It is repeated with each pass, which also proves that the portal
// answers and accepts the key. While another provider is integrated by this configuration, that one
// is bound, and the condition says which is refused.
func (p *scope) bind(ctx context.Context) pass.Outcome {
	var conflict error
	err := p.replaceOperator(ctx, p.bindAs(ctx, p.binding()))
	if portalapi.CodeOf(err) == portalapi.CodeIDPConfigured {
		conflict, err = p.conflict(ctx, err)
	}
	answers := pass.Next(conditions.True(v1alpha1.ConditionPortalReachable, v1alpha1.ReasonReachable, "The portal responds"))
	if portalapi.CodeOf(err) == portalapi.CodeTargetChanged {
		err = p.lossRemedy(err)
	}
	switch reason, refused := bindReason(err); {
	case err == nil && conflict != nil:
		return answers.And(pass.Next(conditions.False(v1alpha1.ConditionBound, v1alpha1.ReasonProviderConflict, said(conflict))))
	case err == nil:
		return answers.And(pass.Next(conditions.True(v1alpha1.ConditionBound, v1alpha1.ReasonBound, "The portal is bound to this namespace and "+p.bound.String())))
	case portalapi.CodeOf(err) == portalapi.CodeStaleLeader:
		ctrl.LoggerFrom(ctx).Error(err, "Another manager leads: nothing that this one writes reaches the portal any more")
		return pass.Quiet(0)
	case !refused:
		return p.unreachable(ctx, err)
	case reason == v1alpha1.ReasonCredentialsRejected:
		return p.blocked(ctx, v1alpha1.ConditionPortalReachable, reason, said(err))
	default:
		return answers.And(p.blocked(ctx, v1alpha1.ConditionBound, reason, said(err)))
	}
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
	case portalapi.CodeTargetChanged:
		return v1alpha1.ReasonTargetChanged, true
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
func (p *scope) open(ctx context.Context) pass.Outcome {
	p.View = p.Session.Open(ctx, p.connection.key, p.client, p.spec)
	return pass.Next()
}

// blocked stops all writes to the portal, and says why.
func (p *scope) blocked(ctx context.Context, typ, reason, message string) pass.Outcome {
	why := session.Block{
		Reason: v1alpha1.ReasonConfigurationNotOK, Message: "IdentityConfiguration default: " + message,
		Foreign: reason == v1alpha1.ReasonBoundElsewhere,
	}
	if p.client == nil {
		p.Session.Close(why)
		p.View = p.Session.View()
	} else {
		p.View = p.Session.OpenReadOnly(ctx, p.connection.key, p.client, p.spec, why)
	}
	return pass.Wait(retry, conditions.False(typ, reason, message))
}

// unreachable leaves an open session unchanged: users keep what they have, and work resumes when
// the portal answers.
func (p *scope) unreachable(ctx context.Context, err error) pass.Outcome {
	p.View = p.Session.Open(ctx, p.connection.key, p.client, p.spec)
	pause, _ := portalapi.Failure(err)
	return pass.Wait(cmp.Or(pause, retry), conditions.Unknown(v1alpha1.ConditionPortalReachable, v1alpha1.ReasonPortalUnreachable, "The portal does not respond: "+err.Error()))
}

// refused reports a failed call, and lets the next step follow. It is repeated with the next pass
// at the latest.
func (p *scope) refused(typ string, err error) pass.Outcome {
	o := p.RefusedAs(typ, err).Continue()
	o.After = min(o.After, resync)
	return o
}

// fill mirrors the portal's provider and login methods. While the portal can't be read, what was
// known last remains.
func (p *scope) fill() {
	s := &p.config.Status
	s.ObservedGeneration = p.config.Generation
	if p.head != nil {
		s.AuditHead = p.head
	}
	if p.searched {
		s.OwnerGone = p.ownerGone
	}
	if p.bound != (provider.ID{}) {
		s.Provider = &v1alpha1.BoundProvider{Type: v1alpha1.ProviderType(p.bound.Type), Name: p.bound.Name}
	}
	m := p.View.Mirror
	if m == nil || !m.Listed() || p.View.Block != nil {
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

// counts renews how many people are in which state: along with another change, or by itself at most
// twice a minute, since a pass costs calls to the portal and its own write triggers another pass.
func (p *scope) counts(writing bool) time.Duration {
	if !p.Counter.Complete() {
		return whileLoading
	}
	s, n, now := &p.config.Status, p.Counter.Counts(), p.Clock.Now()
	local := s.LocalAccounts
	if m := p.View.Mirror; m != nil && m.Listed() {
		_, all := m.Counts()
		local = int64(all)
	}
	if s.Users == n.Users && s.ReadyUsers == n.Ready && s.WaitingUsers == n.Waiting && s.HeldUsers == n.Held && s.LocalAccounts == local {
		return 0
	}
	if wait := countEvery - now.Sub(p.counted); wait > 0 && !writing {
		return wait
	}
	s.Users, s.ReadyUsers, s.WaitingUsers, s.HeldUsers, s.LocalAccounts = n.Users, n.Ready, n.Waiting, n.Held, local
	p.counted = now
	return 0
}
