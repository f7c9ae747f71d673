package store

import (
	"context"

	"lightrun.com/scim-operator/internal/portal"
)

// Bind claims the portal for one operator and one identity provider. The holder may bind again, also with a name for a provider
// that had none or with another SCIM base URL, and an IdentityConfiguration that was made anew in the same place takes its
// predecessor's. Anybody else is refused: IDP_ALREADY_CONFIGURED for another provider, OPERATOR_ALREADY_BOUND for another operator.
// The actor's process leads from then on, and the one before it never again (STALE_LEADER).
func (s *Store) Bind(ctx context.Context, actor Actor, b portal.Binding) error {
	ev := event{action: "binding.bind", targetKind: "IdentityConfiguration", targetID: "default"}
	return s.mutate(ctx, actor, ScopeProvisioning, &ev, func(t *tx) error {
		if b.UID == "" || b.Cluster == "" || b.Namespace == "" || b.Name == "" || b.ProviderType == "" {
			return refuse(portal.CodeInvalid, "a binding needs cluster, namespace, name and UID of the IdentityConfiguration and the type of its provider")
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
		after := *before
		after.Binding, after.leader = &b, actor.Leader
		return t.saveConfiguration(&ev, before, &after)
	})
}

// lead gives the operator's lead to the actor's process and takes it from former for good. Nobody is told: who leads is no part
// of the configuration that people see and edit.
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
		return refuse(portal.CodeStaleLeader, "the operator's process %q led before and was replaced by %q", leader, former)
	}
	if former != "" {
		if _, err := t.exec(`INSERT INTO former_leaders (name, replaced_at) VALUES (?, ?)`, former, micros(t.now)); err != nil {
			return err
		}
	}
	_, err = t.exec(`UPDATE identity_configuration SET leader = ?`, leader)
	return err
}

func bindable(config *Configuration, b portal.Binding) error {
	first := config.Binding
	if first == nil {
		return nil
	}
	holder := first.Namespace + "/" + first.Name + " in cluster " + first.Cluster
	if !first.Provider().IsRefined(b.Provider()) {
		return refuse(portal.CodeIDPConfigured, "the portal is integrated with %s by %s, and that one keeps working; one identity provider is integrated at a time, so %s is refused until the first is replaced or unbound",
			first.Provider(), holder, b.Provider())
	}
	samePlace := first.Cluster == b.Cluster && first.Namespace == b.Namespace && first.Name == b.Name
	if first.UID != b.UID && !samePlace {
		return refuse(portal.CodeOperatorBound, "the portal is bound to the operator of %s, for %s; delete that IdentityConfiguration first", holder, config.provider())
	}
	return nil
}

// Unbind gives the portal free if uid holds it.
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
