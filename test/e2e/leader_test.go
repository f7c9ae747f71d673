// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	portalv1 "lightrun.com/scim-operator/api/portal/v1"
	"lightrun.com/scim-operator/test/framework/devenv"
	"lightrun.com/scim-operator/test/framework/devenv/process"
	"lightrun.com/scim-operator/test/framework/idp"
)

// shortLease makes another manager take over within seconds.
const shortLease = "--leader-elect-lease-duration=3s"

// late is a write that hangs on its way to the portal while its sender loses the lead.
type late struct {
	sent   chan call // the write, once it was sent
	free   chan struct{}
	answer chan string // the portal's final answer
}

// delay blocks the first write that contains text.
func (r *relay) delay(text string) *late {
	l := &late{sent: make(chan call, 1), free: make(chan struct{}), answer: make(chan string, 1)}
	var once sync.Once
	r.on(func(c call) {
		hold := false
		if strings.Contains(c.body, text) {
			once.Do(func() { hold = true })
		}
		if !hold {
			c.forward()
			return
		}
		l.sent <- c
		<-l.free
		status, body := c.forward()
		l.answer <- fmt.Sprint(status, " ", body)
	})
	return l
}

// loss is a way to lose the lead. Its result wakes a stopped process, which then ends by
// itself.
type loss func(*testing.T, *process.Process) (wakeUp func())

func killed(_ *testing.T, leader *process.Process) func() {
	leader.Kill()
	return func() {}
}

// frozen stops the leader for so long that its lease expires.
func frozen(t *testing.T, leader *process.Process) func() {
	signal(t, leader, syscall.SIGSTOP)
	return func() { signal(t, leader, syscall.SIGCONT) }
}

// TestALeaderThatIsGoneWritesNothingMore: a leader loses the lead while its write is in flight: it
// is killed, or stopped for so long that its lease expires. Another takes over and writes the
// current state. The old write arrives after that and is refused; a leader that wakes up again ends
// by itself.
func TestALeaderThatIsGoneWritesNothingMore(t *testing.T) {
	for name, lose := range map[string]loss{"Killed": killed, "LeaseLost": frozen} {
		t.Run(name, func(t *testing.T) {
			w := shared(t)
			withoutManager(w)
			relay := newRelay(w)
			first := newManager(w, shortLease)
			ada := w.name("ada")
			id := w.arrive(ada)
			account := w.becomes(ada, "arrives", active)
			newManager(w, shortLease)

			old := relay.delay("Old name")
			w.displayName(id, "Old name")
			<-old.sent
			wakeUp := lose(t, first)
			w.displayName(id, "New name")
			w.becomes(ada, "is as the new leader wrote it", named("New name"))
			close(old.free)
			if answer := <-old.answer; !strings.HasPrefix(answer, "409 ") || !strings.Contains(answer, "STALE_LEADER") {
				t.Errorf("the portal's response to the late write is %s", answer)
			}
			w.becomes(ada, "is still as the new leader wrote it", named("New name"))
			wakeUp()
			<-first.Done()

			w.displayName(id, "Newest name")
			w.becomes(ada, "is served by the new leader", named("Newest name"))
			w.everyoneOnce([]string{ada}, []string{id})
			if n := len(w.history(t, account.ID)); n != 3 {
				t.Errorf("the portal's history has %d changes, must be 3: %v", n, w.history(t, account.ID))
			}
		})
	}
}

// TestALateWriteOfTheSameRevisionIsRefused: a change of a pool's object does not change the
// revisions of its users. So the portal can't see by the revision that the former leader's
// write is late, and if the new leader finds nothing to write, not by the account's version
// either: it decides by the leader's number.
func TestALateWriteOfTheSameRevisionIsRefused(t *testing.T) {
	for name, tc := range map[string]struct {
		reason string
		lose   loss
		then   string // ada's pool in the new leader's pass; empty if there is none
		holds  []string
		writes int // the final number in the portal's history of ada
	}{
		"NothingToWrite": {"The new leader finds the account in its desired state, so it writes nothing.", frozen, "", []string{"ROLE_USER"}, 1},
		"AnotherWrite":   {"The new leader adds ada to another pool before the old write arrives.", killed, "quota", []string{"ROLE_USER", "ROLE_IGNORE_QUOTA"}, 1}, // a membership is a change of the pool
	} {
		t.Run(name, func(t *testing.T) {
			w := shared(t)
			withoutManager(w)
			relay := newRelay(w)
			first := newManager(w, shortLease)
			ada := w.name("ada")
			id := w.arrive(ada)
			account := w.becomes(ada, "arrives", holding("ROLE_USER"))
			newManager(w, shortLease)
			leads, quota := "leads-"+w.tag, "quota-"+w.tag
			declare := func(pool, role, members string) {
				kubectl(t, w, fmt.Sprintf(`{apiVersion: iam.lightrun.com/v1alpha1, kind: AgentPool, metadata: {name: %s},
  spec: {roles: [%s], members: [%s]}}`, pool, role, members), "apply", "--server-side", "-f", "-")
			}
			declare(quota, "ROLE_IGNORE_QUOTA", "")

			old := relay.delay(account.ID) // the memberships of the pool
			declare(leads, "ROLE_MANAGER", "{userName: "+ada+"}")
			<-old.sent
			wakeUp := tc.lose(t, first)
			declare(leads, "ROLE_MANAGER", "")
			if tc.then != "" {
				declare(quota, "ROLE_IGNORE_QUOTA", "{userName: "+ada+"}")
			}
			kubectl(t, w, "", "wait", "--for=jsonpath={.status.observedGeneration}=2", "--timeout=60s", "agentpool/"+leads) // by the new leader
			w.becomes(ada, "is as the new leader wrote it", holding(tc.holds...))
			close(old.free)
			if answer := <-old.answer; !strings.HasPrefix(answer, "409 ") || !strings.Contains(answer, "STALE_LEADER") {
				t.Errorf("%s\nthe portal's response to the late write is %s", tc.reason, answer)
			}
			wakeUp()
			<-first.Done()
			w.becomes(ada, "is still as the new leader wrote it", holding(tc.holds...))
			w.everyoneOnce([]string{ada}, []string{id})
			if h := w.history(t, account.ID); len(h) != tc.writes {
				t.Errorf("%s\nthe portal's history has %d changes, must be %d: %v", tc.reason, len(h), tc.writes, h)
			}
		})
	}
}

// TestTheAPIServerRestartsWhilePushesGoOn: etcd and the API server are killed and restarted on the
// same data. The provider repeats unanswered requests; a manager that lost its lease ends and is
// restarted, as by a kubelet. In the end each user exists once. An API server that has just
// started refuses all clients until it has read its Roles, so this test has its own environment,
// whose logs are not searched for refusals.
func TestTheAPIServerRestartsWhilePushesGoOn(t *testing.T) {
	w := newWorld(t, start(t, options(t, filepath.Join(t.TempDir(), "run"))))
	withoutManager(w)
	newRelay(w)
	newImmortal(w, shortLease)
	const people = 60
	names, ids := make([]string, people), make([]string, people)
	work, half := make(chan int), make(chan struct{})
	var pushed sync.WaitGroup
	for range 4 {
		pushed.Go(func() {
			for i := range work {
				ids[i] = w.insist(names[i])
			}
		})
	}
	pushed.Go(func() {
		<-half
		if err := w.restartControlPlane(); err != nil {
			t.Error(err)
		}
	})
	for i := range names {
		names[i] = w.name(fmt.Sprintf("p%02d", i))
		if i == people/2 {
			close(half)
		}
		work <- i
	}
	close(work)
	pushed.Wait()
	w.everyoneOnce(names, ids)
	for _, name := range names {
		users, err := w.accounts(t.Context(), name)
		if err != nil || len(users) != 1 {
			t.Fatalf("%s has %d accounts: %v", name, len(users), err)
		}
		if h := w.history(t, users[0].ID); len(h) != 1 {
			t.Errorf("the portal's history of %s is %v, must be the arrival alone", name, h)
		}
	}
}

// restartControlPlane kills the API server and etcd and starts them again.
func (w *world) restartControlPlane() error {
	ctx := context.WithoutCancel(w.t.Context())
	return errors.Join(
		w.env.Kill(devenv.Kubernetes), w.env.Kill(devenv.Etcd),
		w.env.Restart(ctx, devenv.Etcd), w.env.Restart(ctx, devenv.Kubernetes))
}

func (w *world) displayName(id, name string) {
	w.t.Helper()
	w.must("PATCH", "/Users/"+id, idp.Patch(idp.Replace("displayName", name)), http.StatusOK, http.StatusNoContent)
}

func named(name string) func(portalv1.User) bool {
	return func(u portalv1.User) bool { return active(u) && u.DisplayName == name }
}

func signal(t *testing.T, p *process.Process, s syscall.Signal) {
	t.Helper()
	if err := syscall.Kill(p.PID(), s); err != nil {
		t.Fatal(err)
	}
}
