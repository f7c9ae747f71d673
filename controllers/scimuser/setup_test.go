// SPDX-License-Identifier: Apache-2.0

package scimuser

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/kernel/claims"
	"lightrun.com/scim-operator/internal/kernel/portalapi"
	"lightrun.com/scim-operator/internal/operator/groupindex"
	"lightrun.com/scim-operator/internal/operator/pass"
	"lightrun.com/scim-operator/internal/operator/poolindex"
	"lightrun.com/scim-operator/internal/operator/portalclient/mirror"
	"lightrun.com/scim-operator/internal/operator/portalclient/session"
	"lightrun.com/scim-operator/internal/operator/usercounts"
)

// queued notes who was queued.
type queued struct {
	queue
	names []string
}

func (q *queued) Add(r reconcile.Request) { q.names = append(q.names, r.Name) }

func newWatcher() *watcher {
	groups := groupindex.New()
	return &watcher{
		Reconciler: &Reconciler{Counter: usercounts.NewCounter(), Pools: poolindex.New(nil, "company", groups), Groups: groups, Engine: pass.Engine{Session: session.New(mirror.Options{})}},
		namespace:  "company", users: newUserIndex(),
	}
}

// settled returns a user in the desired state.
func settled() *v1alpha1.ScimUser {
	u := person("1", "ada@example.test")
	u.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionReady, Status: metav1.ConditionTrue}, {Type: v1alpha1.ConditionProvisioned, Status: metav1.ConditionTrue}}
	return u
}

func TestWhatIsUrgent(t *testing.T) {
	status := func(u *v1alpha1.ScimUser) { u.Status.RoleNames = "ROLE_USER" }
	updated := func(change func(*v1alpha1.ScimUser)) func(*watcher, queue) {
		before := person("1", "ada@example.test")
		before.Generation = 1
		after := before.DeepCopy()
		change(after)
		return func(w *watcher, q queue) {
			w.people().Update(t.Context(), event.UpdateEvent{ObjectOld: before, ObjectNew: after}, q)
		}
	}
	account := func(before, after *portalapi.Account) func(*watcher, queue) {
		return func(w *watcher, q queue) {
			w.enqueue(q, onlyPools(&mirror.AccountEvent{Before: before, After: after}), "1")
		}
	}
	have := portalapi.Account{ID: "a", UserName: "ada@example.test", Status: portalapi.StatusActive, Roles: []string{"ROLE_USER"}, Revision: 4}
	with := func(change func(*portalapi.Account)) *portalapi.Account {
		a := have
		a.Revision++
		change(&a)
		return &a
	}
	for name, c := range map[string]struct {
		reason string
		do     func(*watcher, queue)
		later  bool
	}{
		"Arrived": {
			reason: "A user that the provider has just pushed is urgent: the provider waits.",
			do: func(w *watcher, q queue) {
				w.people().Create(t.Context(), event.CreateEvent{Object: person("1", "ada@example.test")}, q)
			},
		},
		"ThereAtTheStart": {
			reason: "After a restart, a user who is probably in the desired state is not urgent: pushes come first.",
			do: func(w *watcher, q queue) {
				w.Session.Close(session.Block{Reason: "Known"})
				w.people().Create(t.Context(), event.CreateEvent{Object: settled(), IsInInitialList: true}, q)
			},
			later: true,
		},
		"UnsettledAtTheStart": {
			reason: "After a restart, a user who was pushed while no manager ran is urgent.",
			do: func(w *watcher, q queue) {
				w.people().Create(t.Context(), event.CreateEvent{Object: person("1", "ada@example.test"), IsInInitialList: true}, q)
			},
		},
		"PoolChanged": {
			reason: "A user in the desired state is not urgent after a change of the pool: pushes come first.",
			do: func(w *watcher, q queue) {
				w.Session.Close(session.Block{Reason: "Known"})
				w.Counter.Record(settled())
				w.enqueueAffected(q, "1")
			},
			later: true,
		},
		"PortalUnknown": {
			reason: "Before the portal has been read, a change of the pool skips users that are Ready; afterwards all users are enqueued.",
			do: func(w *watcher, q queue) {
				w.people().Create(t.Context(), event.CreateEvent{Object: settled(), IsInInitialList: true}, q)
				if err := w.portalEvents(t.Context(), q); err != nil || len(w.followers.early) > 0 {
					t.Errorf("%v, %v", err, w.followers.early)
				}
				w.Session.Close(session.Block{Reason: "Known"})
			},
			later: true,
		},
		"WaitedForThePool": {
			reason: "A user who is not Ready is urgent after a change of the pool: the user may have waited for it.",
			do:     func(w *watcher, q queue) { w.enqueueAffected(q, "1") },
		},
		"ClaimFree": {
			reason: "A user who waits for the name of a released claim is urgent.",
			do: func(w *watcher, q queue) {
				w.users.put(person("1", "ada@example.test"))
				claim := &v1alpha1.NameClaim{Spec: v1alpha1.NameClaimSpec{Type: v1alpha1.ClaimUser}}
				claim.Name = claims.ObjectName(v1alpha1.ClaimUser, "ada@example.test")
				w.claims().Delete(t.Context(), event.DeleteEvent{Object: claim}, q)
			},
		},
		"Pushed":    {reason: "A user whose spec changed is urgent.", do: updated(func(u *v1alpha1.ScimUser) { u.Generation++ })},
		"Decided":   {reason: "A user with a new decision is urgent: a decision is an annotation.", do: updated(func(u *v1alpha1.ScimUser) { u.Annotations = map[string]string{v1alpha1.AnnotationRelease: "1"} })},
		"Deleted":   {reason: "A user that the provider deletes is urgent.", do: updated(func(u *v1alpha1.ScimUser) { u.Spec.Deleted = true; u.Generation++ })},
		"OurStatus": {reason: "A user is not urgent after a write of the status: many statuses follow a new role of a pool.", do: updated(status), later: true},
		"NewRoles": {
			reason: "A user is not urgent after the portal changed the roles that follow from a pool: the pool's change has enqueued its members.",
			do:     account(&have, with(func(a *portalapi.Account) { a.Roles = []string{"ROLE_MANAGER", "ROLE_USER"} })), later: true,
		},
		"Drift":       {reason: "A user whose account was edited in the portal is urgent.", do: account(&have, with(func(a *portalapi.Account) { a.Status = portalapi.StatusDeactivated }))},
		"AccountGone": {reason: "A user whose account was deleted in the portal is urgent.", do: account(&have, nil)},
	} {
		t.Run(name, func(t *testing.T) {
			q, w := &queued{}, newWatcher()
			c.do(w, q)
			if at, behind := len(q.names), len(w.followers.early); at+behind != 1 || behind == 1 != c.later {
				t.Errorf("%d are queued directly, %d follow: %s", at, behind, c.reason)
			}
		})
	}
}

func TestAllUsersCountFromTheStart(t *testing.T) {
	w := newWatcher()
	w.Counter.Load()
	w.Pools.Load()
	u := person("1", "ada@example.test")
	u.Status.Pools = []v1alpha1.PoolMembership{{Name: "default", Source: v1alpha1.PoolSourceDefault}}
	u.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionReady, Status: metav1.ConditionTrue}}
	w.people().Create(t.Context(), event.CreateEvent{Object: u, IsInInitialList: true}, &queued{})
	if n, complete := w.Pools.Count("default"); n != 1 || complete || w.Counter.Complete() {
		t.Errorf("%d people, complete: %v, %v", n, complete, w.Counter.Complete())
	}
	w.Counter.Loaded()
	w.Pools.Loaded()
	if _, complete := w.Pools.Count("default"); !complete || !w.Counter.Complete() || w.Counter.Counts() != (usercounts.Counts{Users: 1, Ready: 1}) {
		t.Errorf("complete: %v, %v; %+v", complete, w.Counter.Complete(), w.Counter.Counts())
	}
}

func TestAheadOfTheCache(t *testing.T) {
	at := func(version string) *v1alpha1.ScimUser {
		u := person("1", "ada@example.test")
		u.ResourceVersion = version
		return u
	}
	for name, c := range map[string]struct {
		reason        string
		wrote, cached string
		want          bool
	}{
		"NothingWritten": {reason: "Before its first write, a manager does not wait for the cache.", cached: "7"},
		"Behind":         {reason: "A pass waits while the cache is behind the manager's last write: it would compare with an outdated status.", wrote: "10", cached: "9", want: true},
		"CaughtUp":       {reason: "A pass runs once the cache has the manager's last write.", wrote: "10", cached: "10"},
		"Newer":          {reason: "A pass runs if the cache has a later write of another client.", wrote: "10", cached: "11"},
		"NotComparable":  {reason: "A version that cannot be compared must not block the user forever.", wrote: "10", cached: "x"},
	} {
		t.Run(name, func(t *testing.T) {
			var w ownWrites
			if c.wrote != "" {
				w.record(at(c.wrote))
			}
			if got := w.pending(at(c.cached)); got != c.want {
				t.Errorf("%v: %s", got, c.reason)
			}
			if left := len(w.versions); left != 0 != c.want {
				t.Errorf("%d versions are remembered", left)
			}
		})
	}
}
