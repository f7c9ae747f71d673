// SPDX-License-Identifier: Apache-2.0

package scimtarget

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"reflect"
	"slices"

	"github.com/google/uuid"

	"lightrun.com/scim-operator/internal/kernel/portalapi"
)

// maxFormer is the number of former leaders that the ledger remembers.
const maxFormer = 32

// Configuration implements portalapi.Identity: what the ledger has, and what the target cannot do.
func (c *Client) Configuration(ctx context.Context) (*portalapi.Configuration, error) {
	if err := c.ready(ctx); err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.configuration(), nil
}

// configuration is Configuration. The caller has locked mu.
func (c *Client) configuration() *portalapi.Configuration {
	s := c.book.state
	out := &portalapi.Configuration{
		LoginMethods: s.LoginMethods, ManagedElsewhere: s.ManagedElsewhere, Revision: s.Revision, Limits: slices.Clone(c.can.missing),
	}
	if s.Binding != nil {
		b := *s.Binding
		out.Binding = &b
	}
	return out
}

// save writes the state to the ledger.
func (c *Client) save(ctx context.Context, s state) error {
	s.Target = c.options.URL
	if err := c.put(ctx, map[string]any{keyState: s}); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.book.state = s
	c.touch(portalapi.ChangeConfiguration, "default")
	return nil
}

// PutLoginMethods implements portalapi.Identity. The target has login methods of its own, which the
// driver cannot read or write: these are what the IdentityConfiguration declares.
func (c *Client) PutLoginMethods(ctx context.Context, m portalapi.LoginMethods, managedElsewhere string) (*portalapi.Configuration, error) {
	if err := c.ready(ctx); err != nil {
		return nil, err
	}
	defer c.locks.lock("state")()
	c.mu.Lock()
	s := c.book.state
	c.mu.Unlock()
	after := s
	after.ManagedElsewhere = managedElsewhere
	if managedElsewhere != "" {
		switch {
		case m.SCIMEnabled && !m.SSO.Enabled:
			return nil, refuse(http.StatusConflict, portalapi.CodeSSORequired, "SCIM needs single sign-on: turn SSO on first")
		case m.ProvisionExistingUsers && !m.SCIMEnabled:
			return nil, refuse(http.StatusConflict, portalapi.CodeSCIMRequired, "provisionExistingUsers needs SCIM")
		}
		m.SSO.ClientSecret = "" // the ledger needs no secret: users sign in as the target says
		after.LoginMethods = m
	}
	if !reflect.DeepEqual(s, after) {
		after.Revision++
		if err := c.save(ctx, after); err != nil {
			return nil, err
		}
	}
	return c.Configuration(ctx)
}

// Bind implements portalapi.Identity. The binding is in the ledger, so it protects against another
// operator only in the same namespace. Bind sends a request only if the last one had no answer.
func (c *Client) Bind(ctx context.Context, b portalapi.Binding) (string, error) {
	if err := c.ready(ctx); err != nil {
		return "", err
	}
	if b.UID == "" || b.Cluster == "" || b.Namespace == "" || b.Name == "" || b.ProviderType == "" {
		return "", refuse(http.StatusBadRequest, portalapi.CodeInvalid, "a binding needs the cluster, namespace, name and UID of the IdentityConfiguration and the type of its provider")
	}
	defer c.locks.lock("state")()
	if c.endpoint.unanswered() {
		if _, err := c.document(ctx, "/ServiceProviderConfig"); err != nil {
			return "", err
		}
	}
	s, err := c.leadFor(ctx, b)
	if err != nil {
		return "", err
	}
	place := b.Cluster + "/" + b.Namespace + "/" + b.Name
	switch {
	case s.Binding != nil:
		b.ID = s.Binding.ID
	case s.Places[place] != "":
		b.ID = s.Places[place]
	default:
		b.ID = uuid.NewString()
	}
	accepted := b.AcceptLoss
	b.Replaces, b.AcceptLoss = "", ""
	if s.Binding == nil || *s.Binding != b {
		s.Binding, s.Places = &b, maps.Clone(s.Places)
		maps.DeleteFunc(s.Places, func(_, id string) bool { return id == b.ID }) // of the operator that is replaced
		if s.Places == nil {
			s.Places = map[string]string{}
		}
		s.Places[place] = b.ID
		s.Revision++
		if err := c.save(ctx, s); err != nil {
			return "", err
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.accept = accepted; c.loss != nil && c.loss.id == accepted {
		c.loss = nil
		c.listAgain()
	}
	if c.loss != nil {
		return b.ID, c.loss.refusal()
	}
	return b.ID, nil
}

// leadFor makes this process the leader, and returns the state, unless the binding is refused.
func (c *Client) leadFor(ctx context.Context, b portalapi.Binding) (state, error) {
	if err := c.mayBind(ctx, b); err != nil {
		return state{}, err
	}
	if err := c.lead(ctx); err != nil {
		return state{}, err
	}
	c.mu.Lock()
	s := c.book.state
	c.mu.Unlock()
	return s, bindable(s.Binding, b)
}

// mayBind refuses a binding before it makes this process the leader: a refusal leaves the leader as
// it is. Another process may have written the ledger since this one read it.
func (c *Client) mayBind(ctx context.Context, b portalapi.Binding) error {
	c.mu.Lock()
	leads := c.book.state.Leader == c.options.Leader
	c.mu.Unlock()
	if leads {
		return nil
	}
	s, err := c.stored(ctx)
	if err != nil {
		return err
	}
	return bindable(s.Binding, b)
}

// stored reads the state from the ledger.
func (c *Client) stored(ctx context.Context) (state, error) {
	var s state
	entries, err := c.options.Ledger.Load(ctx)
	if err != nil {
		return s, fmt.Errorf("read the ledger: %w", err)
	}
	if text := entries[keyState]; text != nil {
		if err := json.Unmarshal(text, &s); err != nil {
			return s, fmt.Errorf("read the ledger's entry %s: %w", keyState, err)
		}
	}
	return s, nil
}

func bindable(first *portalapi.Binding, b portalapi.Binding) error {
	switch {
	case first == nil && b.Replaces == "":
		return nil
	case first == nil || b.Replaces != "" && b.Replaces != first.ID:
		return refuse(http.StatusConflict, portalapi.CodeStaleRevision, "the binding is no longer %q; read it again", b.Replaces)
	}
	holder := first.Namespace + "/" + first.Name + " in cluster " + first.Cluster
	if first.UID != b.UID && !first.SamePlace(b) && b.Replaces == "" {
		return refuse(http.StatusConflict, portalapi.CodeOperatorBound, "the ledger is bound to the operator of %s, for %s; replace the binding %s", holder, first.Provider(), first.ID)
	}
	if !first.Provider().IsRefined(b.Provider()) {
		return refuse(http.StatusConflict, portalapi.CodeIDPConfigured, "the target is provisioned for %s by %s, and that one keeps working; only one identity provider can be integrated at a time, so %s is refused until the first is replaced or unbound", first.Provider(), holder, b.Provider())
	}
	return nil
}

// lead makes this process the leader. Another process may have written the ledger until now, so it
// is loaded again.
func (c *Client) lead(ctx context.Context) error {
	c.mu.Lock()
	s := c.book.state
	c.mu.Unlock()
	me := c.options.Leader
	now, err := c.options.Ledger.Leader(ctx)
	if err != nil {
		return fmt.Errorf("read who leads: %w", err)
	}
	if s.Leader == me && now == me {
		return nil
	}
	if s.Leader == me {
		return refuse(http.StatusConflict, portalapi.CodeStaleLeader, "the operator's process %q led before and was replaced by %q", me, now)
	}
	if slices.Contains(s.Former, me) {
		return refuse(http.StatusConflict, portalapi.CodeStaleLeader, "the operator's process %q led before and was replaced by %q", me, s.Leader)
	}
	if err := c.options.Ledger.Lead(ctx, me); err != nil {
		return err
	}
	c.loading.Lock()
	err = c.load(ctx)
	c.loading.Unlock()
	if err != nil {
		return err
	}
	c.mu.Lock()
	s = c.book.state
	c.listAgain()
	c.mu.Unlock()
	if s.Leader != "" && s.Leader != me {
		s.Former = append(slices.Clone(s.Former), s.Leader)
		s.Former = s.Former[max(0, len(s.Former)-maxFormer):]
	}
	s.Leader = me
	return c.save(ctx, s)
}

// Unbind implements portalapi.Identity. The ledger accepts the leader's writes only, so the process
// that removes the binding begins to lead.
func (c *Client) Unbind(ctx context.Context, uid string) error {
	if err := c.ready(ctx); err != nil {
		return err
	}
	defer c.locks.lock("state")()
	if now, err := c.stored(ctx); err != nil || now.Binding == nil || now.Binding.UID != uid {
		return err
	}
	if err := c.lead(ctx); err != nil {
		return err
	}
	c.mu.Lock()
	s := c.book.state
	c.mu.Unlock()
	if s.Binding == nil || s.Binding.UID != uid {
		return nil
	}
	s.Binding = nil
	s.Revision++
	return c.save(ctx, s)
}

// SCIMKeys implements portalapi.Identity: it is refused, because a target has no keys for the
// webhook.
func (c *Client) SCIMKeys(context.Context) ([]portalapi.KeyDigest, error) {
	return nil, refuse(http.StatusNotImplemented, portalapi.CodeUnsupported, "a SCIM target has no keys for the webhook; declare its tokens in a Secret")
}

// PutMigrationPlan implements portalapi.Migration: it is refused, because a target shows no plan.
func (c *Client) PutMigrationPlan(context.Context, portalapi.MigrationPlan) error {
	return refuse(http.StatusNotImplemented, portalapi.CodeUnsupported, "a SCIM target shows no plan; read it with kubectl scim plan")
}

// AuditHead implements portalapi.Audit: a SCIM target has no audit.
func (c *Client) AuditHead(context.Context, int64) (portalapi.AuditHead, error) {
	return portalapi.AuditHead{}, refuse(http.StatusNotFound, portalapi.CodeNotFound, "a SCIM target has no audit")
}
