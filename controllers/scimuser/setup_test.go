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
			reason: "The provider waits for a user that it has just pushed.",
			do: func(w *watcher, q queue) {
				w.people().Create(t.Context(), event.CreateEvent{Object: person("1", "ada@example.test")}, q)
			},
		},
		"ThereAtTheStart": {
			reason: "After a restart pushes go before users that are probably in the desired state.",
			do: func(w *watcher, q queue) {
				w.Session.Close(session.Block{Reason: "Known"})
				w.people().Create(t.Context(), event.CreateEvent{Object: settled(), IsInInitialList: true}, q)
			},
			later: true,
		},
		"UnsettledAtTheStart": {
			reason: "Who was pushed while no manager ran has waited long enough.",
			do: func(w *watcher, q queue) {
				w.people().Create(t.Context(), event.CreateEvent{Object: person("1", "ada@example.test"), IsInInitialList: true}, q)
			},
		},
		"PoolChanged": {
			reason: "A user in the desired state follows the pool's change after the pushes.",
			do: func(w *watcher, q queue) {
				w.Session.Close(session.Block{Reason: "Known"})
				w.Counter.Record(settled())
				w.enqueueAffected(q, "1")
			},
			later: true,
		},
		"PortalUnknown": {
			reason: "Before the portal is read, users that are Ready are skipped; then all users are enqueued.",
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
			reason: "Who is not Ready may have waited for just this change.",
			do:     func(w *watcher, q queue) { w.enqueueAffected(q, "1") },
		},
		"ClaimFree": {
			reason: "A user waits for the name.",
			do: func(w *watcher, q queue) {
				w.users.put(person("1", "ada@example.test"))
				claim := &v1alpha1.NameClaim{Spec: v1alpha1.NameClaimSpec{Type: v1alpha1.ClaimUser}}
				claim.Name = claims.ObjectName(v1alpha1.ClaimUser, "ada@example.test")
				w.claims().Delete(t.Context(), event.DeleteEvent{Object: claim}, q)
			},
		},
		"Pushed":    {reason: "The specification changed.", do: updated(func(u *v1alpha1.ScimUser) { u.Generation++ })},
		"Decided":   {reason: "A person's decision about what is held is an annotation.", do: updated(func(u *v1alpha1.ScimUser) { u.Annotations = map[string]string{v1alpha1.AnnotationRelease: "1"} })},
		"Deleted":   {reason: "The provider deletes the user.", do: updated(func(u *v1alpha1.ScimUser) { u.Spec.Deleted = true; u.Generation++ })},
		"OurStatus": {reason: "Ten thousand statuses that follow a pool's new role are no reason to let a push wait.", do: updated(status), later: true},
		"NewRoles": {
			reason: "The portal reports each member whose roles follow from the pool's: they are enqueued already.",
			do:     account(&have, with(func(a *portalapi.Account) { a.Roles = []string{"ROLE_MANAGER", "ROLE_USER"} })), later: true,
		},
		"Drift":       {reason: "An edit behind our back is healed at once.", do: account(&have, with(func(a *portalapi.Account) { a.Status = portalapi.StatusDeactivated }))},
		"AccountGone": {reason: "The user lost the account.", do: account(&have, nil)},
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
		"NothingWritten": {reason: "There is nothing to wait for.", cached: "7"},
		"Behind":         {reason: "A pass would compare with a status that is past.", wrote: "10", cached: "9", want: true},
		"CaughtUp":       {reason: "The cache shows our write.", wrote: "10", cached: "10"},
		"Newer":          {reason: "Another client wrote after us.", wrote: "10", cached: "11"},
		"NotComparable":  {reason: "A version that cannot be compared must not block the user for ever.", wrote: "10", cached: "x"},
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
