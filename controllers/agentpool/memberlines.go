// SPDX-License-Identifier: Apache-2.0

package agentpool

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/kernel/claims"
	"lightrun.com/scim-operator/internal/kernel/conditions"
	"lightrun.com/scim-operator/internal/kernel/names"
	"lightrun.com/scim-operator/internal/kernel/portalapi"
	"lightrun.com/scim-operator/internal/kernel/requestid"
	"lightrun.com/scim-operator/internal/kernel/shell"
	"lightrun.com/scim-operator/internal/operator/decide/provision"
	"lightrun.com/scim-operator/internal/operator/memberlines"
	"lightrun.com/scim-operator/internal/operator/portalclient/mirror"
)

// Members is the result of resolving spec.members of a pool.
type Members struct {
	Pinned    bool // the pool has ROLE_MANAGER: its lines are resolved. Otherwise all else is empty
	Lines     []memberlines.Line
	Pins      []v1alpha1.PinnedMember
	Undecided bool // the users that the lines meant before are not known, and a person must accept the current ones
	Open      bool // what the lines meant is not known, and no user has the name of one: a restore may bring that user back
}

// ResolveMembers returns the users that the lines of spec.members mean. r reads ScimUsers and
// NameClaims.
func ResolveMembers(ctx context.Context, r client.Reader, pool *v1alpha1.AgentPool, m *mirror.Mirror) (Members, error) {
	before := inForce(pool, m)
	if !memberlines.Pinned(pool, before) {
		return Members{}, nil
	}
	known := pool.Status.Members
	// A pool that did not have the role when its status was lost had no pins: it gains the role.
	inPortal := provision.PinnedMembers(before)
	had := before != nil && (len(inPortal) > 0 || slices.Contains(provision.Granted(before), portalapi.RoleManager))
	facts := memberlines.Facts{Lost: had && pool.Status.ObservedGeneration == 0, Accepted: idList(pool.Annotations[v1alpha1.AnnotationAcceptMembers])}
	if facts.Lost {
		known = slices.Concat(known, inPortal) // of two pins of one line the first counts
	}
	users, err := living(ctx, r, pool, known)
	if err != nil {
		return Members{}, err
	}
	in, err := inPool(ctx, r, pool.Namespace, before, users, m)
	if err != nil {
		return Members{}, err
	}
	facts.In = func(id string) bool { return in[id] }
	out := Members{Pinned: true}
	out.Lines, out.Pins = memberlines.Resolve(pool.Spec.Members, known, users, facts)
	for _, l := range out.Lines {
		out.Undecided = out.Undecided || facts.Lost && l.State == memberlines.Changed
		out.Open = out.Open || facts.Lost && l.State == memberlines.Absent && l.ID == ""
	}
	return out, nil
}

// living reads the users that the lines of the pool can mean.
func living(ctx context.Context, r client.Reader, pool *v1alpha1.AgentPool, pins []v1alpha1.PinnedMember) (memberlines.Users, error) {
	users := memberlines.Users{UserNames: make(map[string]string, len(pins)), Deleted: map[string]bool{}, IDs: map[string]string{}}
	lives := make(map[string]bool, len(pins)) // by folded name of the line
	for _, pin := range pins {
		var u v1alpha1.ScimUser
		switch err := r.Get(ctx, client.ObjectKey{Namespace: pool.Namespace, Name: pin.ID}, &u); {
		case apierrors.IsNotFound(err):
		case err != nil:
			return users, fmt.Errorf("get the user of a line of spec.members: %w", err)
		case u.Spec.Deleted:
			users.Deleted[pin.ID] = true
		case !claims.Gone(&u):
			users.UserNames[pin.ID], lives[names.Fold(pin.UserName)] = u.Spec.UserName, true
		}
	}
	registry := claims.Registry{Live: r}
	for _, line := range pool.Spec.Members {
		folded := names.Fold(line.UserName)
		if lives[folded] {
			continue
		}
		owner, err := registry.Owner(ctx, v1alpha1.ClaimUser, pool.Namespace, line.UserName)
		if err != nil {
			return users, fmt.Errorf("find the user of a line of spec.members: %w", err)
		}
		// The claim also belongs to a user who was renamed, while the account has the former name.
		if u, ok := owner.(*v1alpha1.ScimUser); ok && names.Fold(u.Spec.UserName) == folded {
			users.IDs[folded] = u.Name
		}
	}
	return users, nil
}

// inPool returns which of the users who have the name of a line are in the record, the pool in the
// portal, with a grant: by their account, or by the account of their name that they are about to
// adopt, because the ScimUser that owns it does not exist.
func inPool(ctx context.Context, r client.Reader, namespace string, record *portalapi.Pool, users memberlines.Users, m *mirror.Mirror) (map[string]bool, error) {
	in := map[string]bool{}
	if record == nil {
		return in, nil
	}
	for name, id := range users.IDs {
		a := m.Of(id)
		if a == nil {
			if a = m.Named(name); a == nil || a.Owner.UID == "" {
				continue
			}
			err := r.Get(ctx, client.ObjectKey{Namespace: namespace, Name: a.Owner.Name}, &v1alpha1.ScimUser{})
			if err == nil {
				continue
			}
			if !apierrors.IsNotFound(err) {
				return nil, fmt.Errorf("get the owner of an account: %w", err)
			}
		}
		_, in[id] = memberOf(a, record.ID)
	}
	return in, nil
}

// Asks returns what a person must decide about lines of the pool, and "" if there is nothing.
func (m Members) Asks(pool *v1alpha1.AgentPool) string {
	changed := slices.DeleteFunc(slices.Clone(m.Lines), func(l memberlines.Line) bool { return l.State != memberlines.Changed })
	if len(changed) == 0 {
		return ""
	}
	return changedMessage(pool, changed)
}

// membersLeaf reports the state of the lines of spec.members; the message names those that a person
// must look at.
func membersLeaf(pool *v1alpha1.AgentPool, m Members) conditions.Leaf {
	typ := v1alpha1.ConditionMembersResolved
	if asks := m.Asks(pool); asks != "" {
		return conditions.False(typ, v1alpha1.ReasonMemberChanged, asks)
	}
	of := map[memberlines.State][]memberlines.Line{}
	for _, l := range m.Lines {
		of[l.State] = append(of[l.State], l)
	}
	absent := ""
	if n := len(of[memberlines.Absent]); n > 0 {
		absent = fmt.Sprintf(". %d line(s) mean no user now, the first is %q", n, of[memberlines.Absent][0].UserName)
	}
	if renamed := of[memberlines.Renamed]; len(renamed) > 0 {
		return conditions.True(typ, v1alpha1.ReasonMemberRenamed, fmt.Sprintf("The identity provider renamed %d user(s) of spec.members, and they stay in the pool: the line %q means ScimUser %s. "+
			"To use another user, remove the line, apply, and write it again", len(renamed), renamed[0].UserName, renamed[0].ID)+absent)
	}
	return conditions.True(typ, v1alpha1.ReasonResolved, fmt.Sprintf("%d of %d line(s) of spec.members mean a user", len(of[memberlines.Resolved]), len(m.Lines))+absent)
}

// maxAccepted is the maximum number of users in the message of MemberChanged, which has a maximum
// length. The other users follow after a decision about these.
const maxAccepted = 3

// changedMessage asks for a decision about the users of these lines.
func changedMessage(pool *v1alpha1.AgentPool, changed []memberlines.Line) string {
	shown := changed[:min(len(changed), maxAccepted)]
	var all, accepted []string
	for _, l := range shown {
		former := "it is not known which user the line meant"
		if l.Former != "" {
			former = "the line meant ScimUser " + l.Former + ", which is gone"
		}
		all = append(all, fmt.Sprintf("%q is now ScimUser %s (%s)", l.UserName, l.ID, former))
		accepted = append(accepted, l.ID)
	}
	return fmt.Sprintf("%d line(s) of spec.members name a user who may not be the one that they meant, and give that user nothing: %s. To give the lines to these users, remove the lines, apply, and write them again, or run: %s",
		len(changed), strings.Join(all, "; "), shell.Scim(pool.Namespace, "accept", "agentpool/"+pool.Name, "--member", strings.Join(accepted, ",")))
}

// idList returns the ids in the value of an annotation.
func idList(value string) []string {
	return strings.FieldsFunc(value, func(r rune) bool { return r == ',' || r == ' ' })
}

// lineIndex finds the pools with a line of spec.members that a change of a user can concern. It is
// safe for concurrent use. The zero value is empty.
type lineIndex struct {
	mu    sync.Mutex
	pools map[string][]string        // pool → its keys
	of    map[string]map[string]bool // name of a user's claim, or SCIM id → pools
}

// put replaces the keys of the pool.
func (x *lineIndex) put(pool string, keys []string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, k := range x.pools[pool] {
		if delete(x.of[k], pool); len(x.of[k]) == 0 {
			delete(x.of, k)
		}
	}
	if delete(x.pools, pool); len(keys) == 0 {
		return
	}
	if x.pools == nil {
		x.pools, x.of = map[string][]string{}, map[string]map[string]bool{}
	}
	x.pools[pool] = keys
	for _, k := range keys {
		if x.of[k] == nil {
			x.of[k] = map[string]bool{}
		}
		x.of[k][pool] = true
	}
}

// find returns the pools with one of the keys, in no order.
func (x *lineIndex) find(keys ...string) (pools []string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, k := range keys {
		for pool := range x.of[k] {
			pools = append(pools, pool)
		}
	}
	return pools
}

// lineKeys returns the keys of a pool in the lineIndex; none, if names decide in it.
func lineKeys(pool *v1alpha1.AgentPool, m *mirror.Mirror) (keys []string) {
	before := inForce(pool, m)
	if !memberlines.Pinned(pool, before) {
		return nil
	}
	for _, l := range pool.Spec.Members {
		keys = append(keys, claims.ObjectName(v1alpha1.ClaimUser, l.UserName))
	}
	for _, pin := range slices.Concat(pool.Status.Members, provision.PinnedMembers(before)) {
		keys = append(keys, pin.ID)
	}
	return keys
}

// users enqueues the pools whose lines of spec.members a change of a user can concern.
func (r *Reconciler) users(namespace string) handler.EventHandler {
	changed := func(q queue, u *v1alpha1.ScimUser, former ...string) {
		keys := []string{u.Name, claims.ObjectName(v1alpha1.ClaimUser, u.Spec.UserName)}
		for _, name := range former {
			keys = append(keys, claims.ObjectName(v1alpha1.ClaimUser, name))
		}
		for _, pool := range r.lines.find(keys...) {
			r.causes.note(pool, requestid.Stamped(u.Annotations[v1alpha1.AnnotationRequest], u.Spec.Revision), r.Clock.Now(), u.Name)
			q.Add(reconcile.Request{NamespacedName: types.NamespacedName{Namespace: namespace, Name: pool}})
		}
	}
	user := func(o client.Object) *v1alpha1.ScimUser { return o.(*v1alpha1.ScimUser) }
	return handler.Funcs{
		CreateFunc: func(_ context.Context, e event.CreateEvent, q queue) {
			if !e.IsInInitialList { // at the start all pools are reconciled anyway
				changed(q, user(e.Object))
			}
		},
		UpdateFunc: func(_ context.Context, e event.UpdateEvent, q queue) {
			before, after := user(e.ObjectOld), user(e.ObjectNew)
			if before.Spec.UserName != after.Spec.UserName || claims.Gone(before) != claims.Gone(after) || before.UID != after.UID {
				changed(q, after, before.Spec.UserName)
			}
		},
		DeleteFunc: func(_ context.Context, e event.DeleteEvent, q queue) { changed(q, user(e.Object)) },
	}
}
