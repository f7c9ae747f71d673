// SPDX-License-Identifier: Apache-2.0

package identityconfiguration

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/kernel/conditions"
	"lightrun.com/scim-operator/internal/kernel/portalapi"
	"lightrun.com/scim-operator/internal/kernel/tokenfile"
	"lightrun.com/scim-operator/internal/operator/pass"
)

// DefaultTokenWarning is the time before and after the expiry of a token in which a condition
// warns.
const DefaultTokenWarning = 14 * 24 * time.Hour

// DefaultKeysConfirm is the time after which a portal that no longer lists any SCIM key is asked
// again.
const DefaultKeysConfirm = 30 * time.Second

// tokensKey is the key in the Secret of the portal's tokens, and so the file's name where it is
// mounted.
const tokensKey = "tokens"

// accepted contains the tokens that the webhook accepts: they are in the Secrets that it mounts, as
// digests. The webhook may not write a status, so the manager reads them and warns.
type accepted struct {
	secret   *corev1.Secret // the Secret of the portal's tokens; nil if it does not exist yet
	portal   []tokenfile.Entry
	declared []tokenfile.Entry
	problem  error // lines that can't be parsed
	known    bool  // both Secrets were read

	listed bool     // the portal has listed its keys
	rotate []string // the portal's keys whose makers left
}

// maxNamedTokens is the maximum number of tokens that a condition or an event names.
const maxNamedTokens = 8

// readTokens reads both Secrets, live: Secrets are not watched, so that the right to list them is
// not needed.
func (p *scope) readTokens(ctx context.Context) pass.Outcome {
	synced, err := p.tokenSecret(ctx, v1alpha1.PortalTokensSecret)
	if err != nil {
		return p.Retry(err)
	}
	if p.accepted.secret = synced; synced != nil {
		p.accepted.portal, _ = tokenfile.Parse(synced.Data[tokensKey]) // written by the manager; its next write removes all other lines
	}
	declared, err := p.tokenSecret(ctx, v1alpha1.DeclaredTokensSecret)
	p.accepted.known = err == nil
	if err != nil || declared == nil {
		return p.Retry(err)
	}
	var problems []string
	for _, file := range slices.Sorted(maps.Keys(declared.Data)) {
		entries, err := tokenfile.Parse(declared.Data[file])
		p.accepted.declared = append(p.accepted.declared, entries...)
		if err != nil {
			problems = append(problems, file+", "+strings.ReplaceAll(err.Error(), "\n", "; "))
		}
	}
	if len(problems) > 0 {
		p.accepted.problem = fmt.Errorf("the Secret %s: %s", declared.Name, strings.Join(problems, "; "))
	}
	return pass.Next()
}

// tokenSecret reads a Secret of token digests. It returns nil if the Secret does not exist.
func (p *scope) tokenSecret(ctx context.Context, name string) (*corev1.Secret, error) {
	var s corev1.Secret
	err := p.Live.Get(ctx, types.NamespacedName{Namespace: p.config.Namespace, Name: name}, &s)
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read Secret %s: %w", name, err)
	}
	return &s, nil
}

// tokens writes the digests of the portal's keys with the scope scim to the Secret that the webhook
// has mounted.
func (p *scope) tokens(ctx context.Context) pass.Outcome {
	keys, err := p.client.SCIMKeys(ctx)
	if portalapi.CodeOf(err) == portalapi.CodeUnsupported { // all tokens are declared in a Secret
		keys, err = nil, nil
	}
	if err != nil {
		return p.refused(v1alpha1.ConditionTokensSynced, fmt.Errorf("read the portal's SCIM keys: %w", err))
	}
	if left := p.doubtful(keys); left > 0 {
		message := fmt.Sprintf("The portal lists no SCIM key any more. The earlier keys work until a second response confirms this, %s later", cmp.Or(p.KeysConfirm, DefaultKeysConfirm))
		return pass.Next(conditions.Unknown(v1alpha1.ConditionTokensSynced, v1alpha1.ReasonKeysUnconfirmed, message)).Within(min(left, resync))
	}
	p.accepted.listed, p.accepted.rotate = true, toRotate(keys)
	entries, unnamed := entriesOf(keys)
	p.accepted.portal = slices.Concat(entries, p.ended(entries))
	if err := p.putTokens(ctx, tokenfile.Format(p.accepted.portal)); err != nil {
		return p.Retry(err)
	}
	if err := p.accepted.problem; err != nil {
		return pass.Next(conditions.False(v1alpha1.ConditionTokensSynced, v1alpha1.ReasonInvalidConfiguration, "Some declared tokens are not accepted: "+err.Error()))
	}
	if len(unnamed) > 0 {
		return pass.Next(conditions.False(v1alpha1.ConditionTokensSynced, v1alpha1.ReasonInvalidConfiguration,
			fmt.Sprintf("%d portal key(s) name no identity provider and are not accepted: %s. Make a new key for %s in the portal, and delete these", len(unnamed), abridged(unnamed), p.bound)))
	}
	message, others := fmt.Sprintf("%d portal key(s) work as SCIM tokens", len(entries)), 0
	for _, e := range entries {
		if !p.bound.Accepts(e.Provider) {
			others++
		}
	}
	if others > 0 {
		message = fmt.Sprintf("%d portal key(s) work as SCIM tokens; %d more are for other identity providers than %s and are refused", len(entries)-others, others, p.bound)
	}
	return pass.Next(conditions.True(v1alpha1.ConditionTokensSynced, v1alpha1.ReasonSynced, message))
}

// toRotate returns the names of the keys whose makers left.
func toRotate(keys []portalapi.KeyDigest) (named []string) {
	for _, k := range keys {
		if !k.RotateSince.IsZero() {
			named = append(named, fmt.Sprintf("portal-key-%s since %s", k.ID, k.RotateSince.UTC().Format(time.RFC3339)))
		}
	}
	slices.Sort(named)
	return named
}

// entriesOf converts the portal's keys to tokens, each for the provider that it was made for.
// unnamed lists the names of the keys that have no provider.
func entriesOf(keys []portalapi.KeyDigest) (entries []tokenfile.Entry, unnamed []string) {
	for _, k := range keys {
		if k.Provider.Validate() != nil {
			unnamed = append(unnamed, "portal-key-"+k.ID)
			continue
		}
		entries = append(entries, tokenfile.Entry{Digest: k.SHA256, Name: "portal-key-" + k.ID, Expires: k.ExpiresAt, Provider: k.Provider})
	}
	return entries, unnamed
}

// abridged joins names, up to maxNamedTokens of them.
func abridged(all []string) string {
	if more := len(all) - maxNamedTokens; more > 0 {
		all = append(slices.Clone(all[:maxNamedTokens]), fmt.Sprintf("and %d more", more))
	}
	return strings.Join(all, ", ")
}

// doubtful returns the time for which the manager does not act on the list keys yet. A list without
// keys would cut the provider off. So if earlier keys are valid, it takes two such responses,
// KeysConfirm apart, and no response with a key between them. The doubt is in memory only: after a
// restart it begins again, so the last key may remain valid longer, but never shorter. Without the
// change feed, the last key is invalid at most resync and KeysConfirm after its deletion.
func (p *scope) doubtful(keys []portalapi.KeyDigest) time.Duration {
	now := p.Clock.Now()
	working := slices.ContainsFunc(p.accepted.portal, func(e tokenfile.Entry) bool { return e.Expires.IsZero() || e.Expires.After(now) })
	if len(keys) > 0 || !working {
		p.noKeys = time.Time{}
		return 0
	}
	if p.noKeys.IsZero() || p.noKeys.After(now) { // After: the clock was set back
		p.noKeys = now
	}
	left := cmp.Or(p.KeysConfirm, DefaultKeysConfirm) - now.Sub(p.noKeys)
	if left <= 0 {
		p.noKeys = time.Time{}
		return 0
	}
	return left
}

// ended returns the tokens in the Secret whose portal key expired recently, but not tokens whose
// key was deleted. The portal no longer lists them. They stay in the Secret, so that the response
// to a SCIM request with such a token reports that it expired, and not that it is unknown.
func (p *scope) ended(now []tokenfile.Entry) []tokenfile.Entry {
	var out []tokenfile.Entry
	for _, e := range p.accepted.portal {
		listed := slices.ContainsFunc(now, func(n tokenfile.Entry) bool { return n.Digest == e.Digest })
		if !listed && !e.Expires.After(p.Clock.Now()) && p.expiring(e) {
			out = append(out, e)
		}
	}
	return out
}

func (p *scope) putTokens(ctx context.Context, data []byte) error {
	secret := p.accepted.secret
	if secret == nil {
		secret = &corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Namespace: p.config.Namespace, Name: v1alpha1.PortalTokensSecret},
			Data:       map[string][]byte{tokensKey: data},
		}
		if err := p.Create(ctx, secret); err != nil {
			return fmt.Errorf("create Secret %s: %w", secret.Name, err)
		}
		return nil
	}
	if bytes.Equal(secret.Data[tokensKey], data) {
		return nil
	}
	before := secret.DeepCopy()
	secret.Data = map[string][]byte{tokensKey: data}
	if err := p.Patch(ctx, secret, client.MergeFrom(before)); err != nil {
		return fmt.Errorf("write Secret %s: %w", secret.Name, err)
	}
	return nil
}

// expiring reports whether a token expires soon, or expired recently.
func (p *scope) expiring(e tokenfile.Entry) bool {
	window := p.TokenWarning
	if window == 0 {
		window = DefaultTokenWarning
	}
	return !e.Expires.IsZero() && e.Expires.Sub(p.Clock.Now()).Abs() <= window
}

// warn names the tokens that people must replace and what a SCIM target cannot do. It keeps the
// warning about the audit if the pass ended before it was checked.
func (p *scope) warn(ctx context.Context) pass.Outcome {
	o := p.warnOfExpiry(ctx).And(p.warnToRotate()).And(p.warnOfLimits()).And(p.warnOwnerGone())
	if !p.headStep {
		o = o.And(keep(conditions.Find(p.config.Status.Conditions, v1alpha1.ConditionAuditChanged)))
	}
	return o
}

// warnToRotate names the tokens that a person who left may know, in a condition and, whenever that
// says something new, in an event.
func (p *scope) warnToRotate() pass.Outcome {
	have := conditions.Find(p.config.Status.Conditions, v1alpha1.ConditionTokensToRotate)
	switch {
	case !p.accepted.listed:
		return keep(have) // the last known state
	case len(p.accepted.rotate) == 0:
		return pass.Next()
	}
	message := "The users who made these tokens were deactivated in the portal and may know them: " + abridged(p.accepted.rotate) +
		". Rotate each on the page API Keys of the portal, and put the new token into " + p.config.ProviderName()
	if have == nil || have.Message != message {
		p.Event(corev1.EventTypeWarning, v1alpha1.ReasonTokenMakerLeft, "Warn", "%s", message)
	}
	return pass.Warn(conditions.True(v1alpha1.ConditionTokensToRotate, v1alpha1.ReasonTokenMakerLeft, message))
}

// warnOfExpiry names the tokens whose end is near, in a condition and, whenever that says something
// new, in an event.
func (p *scope) warnOfExpiry(context.Context) pass.Outcome {
	have := conditions.Find(p.config.Status.Conditions, v1alpha1.ConditionTokensExpiring)
	if !p.accepted.known {
		if have == nil {
			return pass.Next()
		}
		return pass.Warn(conditions.True(have.Type, have.Reason, have.Message)) // keep the last known state
	}
	reason, message := p.expiry()
	if reason == "" {
		return pass.Next()
	}
	if have == nil || have.Message != message {
		p.Event(corev1.EventTypeWarning, reason, "Warn", "%s", message)
	}
	return pass.Warn(conditions.True(v1alpha1.ConditionTokensExpiring, reason, message))
}

// expiry returns a condition reason and a message that names the tokens that expire soon or expired
// recently. reason is empty if there are none.
func (p *scope) expiry() (reason, message string) {
	var named []string
	for _, e := range slices.Concat(p.accepted.portal, p.accepted.declared) {
		if !p.expiring(e) {
			continue
		}
		verb := "expires"
		if reason == "" {
			reason = v1alpha1.ReasonTokenExpiresSoon
		}
		if !e.Expires.After(p.Clock.Now()) {
			verb, reason = "expired", v1alpha1.ReasonTokenExpired
		}
		named = append(named, fmt.Sprintf("%s %s on %s", label(e), verb, e.Expires.UTC().Format(time.RFC3339)))
	}
	slices.Sort(named)
	return reason, abridged(named) + ". Make a new token, put it into " + p.config.ProviderName() + ", then remove the old one"
}

// label returns a token's name and provider for messages, in at most 60 bytes.
func label(e tokenfile.Entry) string {
	if e.Name == "" {
		return "sha256:" + e.Digest[:8]
	}
	return strings.ToValidUTF8(e.Name[:min(len(e.Name), 60)], "")
}
