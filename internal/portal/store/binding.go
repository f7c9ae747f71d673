// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"database/sql"
	"errors"

	"github.com/google/uuid"

	"lightrun.com/scim-operator/internal/kernel/portalapi"
)

// Bind binds the portal to one operator and one identity provider. The bound operator may bind
// again, also to name a provider that had no name or to change the SCIM base URL. An
// IdentityConfiguration that was recreated in the same place takes over the binding of its
// predecessor, and an operator that sends the id of the current binding replaces a lost operator.
// Every other operator is refused (OPERATOR_ALREADY_BOUND), whatever its provider is, and so is
// another provider of the bound or replacing operator (IDP_ALREADY_CONFIGURED). The actor's process
// becomes the leader; the previous leader never becomes it again (STALE_LEADER).
func (s *Store) Bind(ctx context.Context, actor Actor, b portalapi.Binding) (id string, err error) {
	ev := event{action: "binding.bind", targetKind: "IdentityConfiguration", targetID: "default"}
	if b.Replaces != "" {
		ev.action = "binding.replace"
	}
	err = s.mutate(ctx, actor, ScopeProvisioning, &ev, func(t *tx) error {
		if b.UID == "" || b.Cluster == "" || b.Namespace == "" || b.Name == "" || b.ProviderType == "" {
			return refuse(portalapi.CodeInvalid, "a binding needs the cluster, namespace, name and UID of the IdentityConfiguration and the type of its provider")
		}
		before, err := t.configuration()
		if err != nil {
			return err
		}
		if err := bindable(before, b); err != nil {
			return err
		}
		if err := t.lead(before.leader); err != nil {
			return err
		}
		if b.ID, err = t.bindingID(before.Binding, b); err != nil {
			return err
		}
		id, b.Replaces = b.ID, ""
		after := *before
		after.Binding, after.leader = &b, actor.Leader
		return t.saveConfiguration(&ev, before, &after)
	})
	return id, err
}

// bindingID returns the id of b: the id of the current binding, else the id that an operator in the
// same place had before, else a new one. The place is stored with the id; a place whose operator
// was replaced loses its id.
func (t *tx) bindingID(first *portalapi.Binding, b portalapi.Binding) (id string, err error) {
	if first != nil {
		id = first.ID
	}
	if id == "" {
		err = t.row(`SELECT id FROM bindings WHERE cluster = ? AND namespace = ? AND name = ?`, b.Cluster, b.Namespace, b.Name).Scan(&id)
		if errors.Is(err, sql.ErrNoRows) {
			id, err = uuid.NewString(), nil
		}
		if err != nil {
			return "", err
		}
	}
	if _, err := t.exec(`DELETE FROM bindings WHERE cluster = ? AND namespace = ? AND name = ? AND id <> ?`, b.Cluster, b.Namespace, b.Name, id); err != nil {
		return "", err
	}
	_, err = t.exec(`INSERT INTO bindings (id, cluster, namespace, name) VALUES (?, ?, ?, ?)
		ON CONFLICT (id) DO UPDATE SET cluster = excluded.cluster, namespace = excluded.namespace, name = excluded.name`, id, b.Cluster, b.Namespace, b.Name)
	return id, err
}

// boundBy returns the id of the current binding. It is empty if no operator is bound.
func (t *tx) boundBy() (string, error) {
	config, err := t.configuration()
	if err != nil || config.Binding == nil {
		return "", err
	}
	return config.Binding.ID, nil
}

// lead makes the actor's process the operator's leader. former can never become the leader again.
// It writes no change to the feed, because the leader is no part of the configuration that users
// see and edit.
func (t *tx) lead(former string) error {
	leader := t.actor.Leader
	if leader == former {
		return nil
	}
	led, err := t.yes(`SELECT 1 FROM former_leaders WHERE name = ?`, leader)
	if err != nil {
		return err
	}
	if led {
		return refuse(portalapi.CodeStaleLeader, "the operator's process %q led before and was replaced by %q", leader, former)
	}
	if former != "" {
		if _, err := t.exec(`INSERT INTO former_leaders (name, replaced_at) VALUES (?, ?)`, former, micros(t.now)); err != nil {
			return err
		}
	}
	_, err = t.exec(`UPDATE identity_configuration SET leader = ?`, leader)
	return err
}

func bindable(config *Configuration, b portalapi.Binding) error {
	first := config.Binding
	switch {
	case first == nil && b.Replaces == "":
		return nil
	case first == nil || b.Replaces != "" && b.Replaces != first.ID:
		return refuse(portalapi.CodeStaleRevision, "the portal's binding is no longer %q; read it again", b.Replaces)
	}
	holder := first.Namespace + "/" + first.Name + " in cluster " + first.Cluster
	if first.UID != b.UID && !first.SamePlace(b) && b.Replaces == "" {
		return refuse(portalapi.CodeOperatorBound, "the portal is bound to the operator of %s, for %s; delete that IdentityConfiguration first or, if its cluster is lost, replace the binding %s", holder, first.Provider(), first.ID)
	}
	if !first.Provider().IsRefined(b.Provider()) {
		return refuse(portalapi.CodeIDPConfigured, "the portal is integrated with %s by %s, and that one keeps working; only one identity provider can be integrated at a time, so %s is refused until the first is replaced or unbound",
			first.Provider(), holder, b.Provider())
	}
	return nil
}

// Unbind removes the binding if uid owns it.
func (s *Store) Unbind(ctx context.Context, actor Actor, uid string) error {
	ev := event{action: "binding.unbind", targetKind: "IdentityConfiguration", targetID: "default"}
	return s.mutate(ctx, actor, ScopeProvisioning, &ev, func(t *tx) error {
		before, err := t.configuration()
		if err != nil || before.Binding == nil || before.Binding.UID != uid {
			return err
		}
		after := *before
		after.Binding = nil
		return t.saveConfiguration(&ev, before, &after)
	})
}
