// SPDX-License-Identifier: Apache-2.0

package groupindex

import (
	"slices"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/kernel/claims"
	"lightrun.com/scim-operator/internal/kernel/names"
)

// Lookup finds groups. *Index is one.
type Lookup interface {
	Group(id string) (Group, bool)
	WithDisplayName(displayName string) []string
	WithExternalID(externalID string) []string
}

// Facts contains the inputs of Resolve, except the lines, their pins and the groups.
type Facts struct {
	// Namespace is the namespace of the pool and its groups. The commands in messages name it.
	Namespace string
	// Manager is true if the pool grants ROLE_MANAGER, or is about to. Then a group other than
	// before needs a person's decision.
	Manager bool
	// Lost is true if the pool exists in the portal, but its status does not have the groups that
	// filled it, for example after a restore. Then a line without a pin needs a decision, and so
	// does a line whose group does not exist, because the group may be restored after the pool.
	Lost bool
	// Accepted contains the ids of the groups that a person accepted.
	Accepted []string
	// Portal shows which groups come from an older backup. Whether the provider deleted such a
	// group is not known from its object. nil means that no group is older.
	Portal Portal
}

func (f Facts) older(g Group) int64 {
	if f.Portal == nil {
		return 0
	}
	return Older(g, f.Portal)
}

// State is the result of resolving a line.
type State int

const (
	Resolved   State = iota // it means a living group
	Renamed                 // it means a living group that was renamed since
	StateOlder              // it means a group that comes from an older backup
	NotFound                // no living group is what the line says
	Ambiguous               // several are
	Changed                 // one is, and a person has to accept it
)

// Line is a line of spec.groups, resolved or not.
type Line struct {
	v1alpha1.GroupReference
	State  State
	Groups []string // that the line means, or could mean
	Backup string   // with StateOlder: the message
}

// Resolve returns the groups that the lines mean. A line is resolved once: as long as the group
// that it was resolved to lives, the line means that group, also if the group or another one is
// renamed. The caller replaces its pins by the returned ones.
func Resolve(lines []v1alpha1.GroupReference, pins []v1alpha1.PinnedGroup, groups Lookup, f Facts) (resolved []Line, now []v1alpha1.PinnedGroup) {
	for _, ref := range lines {
		line, pin := resolve(ref, pins, groups, f)
		resolved = append(resolved, line)
		if pin.Group != "" {
			now = append(now, pin)
		}
	}
	return resolved, now
}

func resolve(ref v1alpha1.GroupReference, pins []v1alpha1.PinnedGroup, groups Lookup, f Facts) (Line, v1alpha1.PinnedGroup) {
	line, pin := Line{GroupReference: ref}, v1alpha1.PinnedGroup{GroupReference: ref}
	before := pinned(pins, ref)
	if before != nil {
		pin.Group, pin.Deleted = before.Group, before.Deleted
	} else if _, found := groups.Group(ref.ID); ref.ID != "" && found {
		pin.Group = ref.ID
	}
	g, found := groups.Group(pin.Group)
	than := f.older(g)
	if found && than == 0 {
		pin.Deleted = g.Deleted // dropping a deletion restores the group
	}
	if found && !pin.Deleted {
		line.Groups = []string{g.ID}
		if than != 0 {
			line.State, line.Backup = StateOlder, BackupOlder(f.Namespace, g, than)
		} else if !matches(ref, g) {
			line.State = Renamed
		}
		return line, pin
	}
	line.Groups = candidates(ref, groups)
	accepted := intersection(line.Groups, f.Accepted)
	// If the provider deleted the group, the pin has Deleted. Otherwise only the object of the
	// group was removed, and may be restored.
	asks := before == nil && f.Lost || before != nil && (f.Manager || !pin.Deleted)
	switch {
	case len(line.Groups) == 0:
		line.State = NotFound
	case len(line.Groups) > 1 && len(accepted) != 1:
		line.State = Ambiguous
	case asks && len(accepted) != 1:
		line.State = Changed
	default:
		if len(accepted) == 1 {
			line.Groups = accepted
		}
		pin.Group, pin.Deleted = line.Groups[0], false
	}
	return line, pin
}

func intersection(a, b []string) []string {
	var out []string
	for _, s := range a {
		if slices.Contains(b, s) {
			out = append(out, s)
		}
	}
	return out
}

// candidates returns the ids of the living groups that match the line.
func candidates(ref v1alpha1.GroupReference, groups Lookup) []string {
	switch {
	case ref.DisplayName != "":
		return groups.WithDisplayName(ref.DisplayName)
	case ref.ExternalID != "":
		return groups.WithExternalID(ref.ExternalID)
	}
	return nil // an id always means the same group
}

// matches reports whether the group matches the line.
func matches(ref v1alpha1.GroupReference, g Group) bool {
	switch {
	case ref.DisplayName != "":
		return names.Fold(ref.DisplayName) == names.Fold(g.DisplayName)
	case ref.ExternalID != "":
		return ref.ExternalID == g.ExternalID
	}
	return ref.ID == g.ID
}

// Filling returns the ids of the groups that fill the pool: the groups that its lines are pinned
// to, and the groups that its lines name by id.
func Filling(p *v1alpha1.AgentPool) []string {
	var out []string
	for _, ref := range p.Spec.Groups {
		switch pin := pinOf(p, ref); {
		case pin != nil && pin.Deleted:
		case pin != nil:
			out = append(out, pin.Group)
		case ref.ID != "":
			out = append(out, ref.ID)
		}
	}
	return out
}

// Settled reports whether the lines of the pool's current generation are resolved. Lines that name
// a group by id need no resolution.
func Settled(p *v1alpha1.AgentPool) bool {
	return p.Status.ObservedGeneration == p.Generation || !slices.ContainsFunc(p.Spec.Groups, func(r v1alpha1.GroupReference) bool { return r.ID == "" })
}

func pinOf(p *v1alpha1.AgentPool, ref v1alpha1.GroupReference) *v1alpha1.PinnedGroup {
	return pinned(p.Status.Groups, ref)
}

// pinned returns the pin of the line, and nil if there is none. A line that differs from the pin's
// only in the spelling of displayName is the same line.
func pinned(pins []v1alpha1.PinnedGroup, ref v1alpha1.GroupReference) *v1alpha1.PinnedGroup {
	i := slices.IndexFunc(pins, func(p v1alpha1.PinnedGroup) bool { return p.GroupReference == ref })
	if i < 0 && ref.DisplayName != "" {
		name := names.Fold(ref.DisplayName)
		i = slices.IndexFunc(pins, func(p v1alpha1.PinnedGroup) bool {
			return p.DisplayName != "" && names.Fold(p.DisplayName) == name
		})
	}
	if i < 0 {
		return nil
	}
	return &pins[i]
}

// Declares reports whether the pool is declared by an administrator and one of its lines means or
// matches the group. fills is true if a line is resolved to the group.
func Declares(p *v1alpha1.AgentPool, g Group, groups Lookup) (declares, fills bool) {
	if !p.DeletionTimestamp.IsZero() || p.OwnPoolOf() != "" {
		return false, false
	}
	for _, ref := range p.Spec.Groups {
		pin := pinOf(p, ref)
		switch {
		case ref.ID == g.ID, pin != nil && pin.Group == g.ID && !pin.Deleted:
			return true, true
		case ref.ID != "" || !matches(ref, g):
		case pin == nil || pin.Deleted:
			declares = true
		default:
			if _, found := groups.Group(pin.Group); !found {
				declares = true
			}
		}
	}
	return declares, false
}

// Concerns reports whether the change of a group can affect the pool.
func (c Change) Concerns(p *v1alpha1.AgentPool, groups Lookup) bool {
	now, _ := groups.Group(c.Group)
	for _, ref := range p.Spec.Groups {
		if pin := pinOf(p, ref); ref.ID == c.Group || pin != nil && pin.Group == c.Group || matches(ref, now) || matches(ref, c.Was) {
			return true
		}
	}
	return p.Name == c.Group
}

// WithPortalName returns the pool with its name in the portal as the displayName: for a group's own
// pool that is the group's name. ok is false for the own pool of a group that is not in the index,
// because its name is not known.
func WithPortalName(pool *v1alpha1.AgentPool, groups Lookup) (_ *v1alpha1.AgentPool, ok bool) {
	own := pool.OwnPoolOf()
	if own == "" {
		return pool, true
	}
	g, found := groups.Group(own)
	if !found || g.Deleted {
		return pool, false
	}
	named := pool.DeepCopy()
	named.Spec.DisplayName = g.DisplayName
	return named, true
}

// Names returns a function for claims.Registry.Names. For a pool it returns the name of
// WithPortalName.
func Names(groups Lookup) func(client.Object) []string {
	return func(o client.Object) []string {
		if pool, ok := o.(*v1alpha1.AgentPool); ok {
			o, _ = WithPortalName(pool, groups)
		}
		return claims.Names(o)
	}
}

// AffectedGroups returns the ids of the groups that a change of the pool can affect: the groups
// that its lines are pinned to or could mean, and the group with the pool's name, if this is its
// own pool.
func AffectedGroups(p *v1alpha1.AgentPool, groups Lookup) []string {
	out := []string{p.Name}
	for _, ref := range p.Spec.Groups {
		if ref.ID != "" {
			out = append(out, ref.ID)
		}
		out = append(out, candidates(ref, groups)...)
	}
	for _, pin := range p.Status.Groups {
		out = append(out, pin.Group)
	}
	slices.Sort(out)
	return slices.Compact(out)
}
