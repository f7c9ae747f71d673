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
	"time"

	portalv1 "lightrun.com/scim-operator/api/portal/v1"
	"lightrun.com/scim-operator/test/framework/devenv"
	"lightrun.com/scim-operator/test/framework/devenv/process"
	"lightrun.com/scim-operator/test/framework/idp"
)

// shortLease makes another manager take over within seconds.
const shortLease = "--leader-elect-lease-duration=3s"

// late is a write that hangs on its way to the portal while its sender loses the lead.
type late struct {
	sent    chan call   // the write, once it was sent
	release func()      // lets the write continue; further calls do nothing
	answer  chan string // the portal's final answer
}

// delay blocks the first write that contains text, until release or the end of the test.
func (r *relay) delay(t *testing.T, text string) *late {
	released := make(chan struct{})
	l := &late{sent: make(chan call, 1), release: sync.OnceFunc(func() { close(released) }), answer: make(chan string, 1)}
	t.Cleanup(l.release) // before the relay's own cleanup, which waits for this write
	var once sync.Once
	r.on(func(c call) {
		first := false
		if strings.Contains(c.body, text) {
			once.Do(func() { first = true })
		}
		if !first {
			c.forward()
			return
		}
		l.sent <- c
		<-released
		status, body := c.forward()
		l.answer <- fmt.Sprint(status, " ", body)
	})
	return l
}

// receive returns the next value of c. If there is none within patience, it fails the test.
func receive[T any](t *testing.T, what string, c <-chan T) (value T) {
	t.Helper()
	select {
	case value = <-c:
	case <-time.After(patience):
		t.Fatalf("%s: not within %s", what, patience)
	}
	return value
}

// refused releases the write and checks that the portal refuses it because of its leader.
func (l *late) refused(t *testing.T, reason string) {
	t.Helper()
	l.release()
	answer := receive(t, "the portal's response to the late write", l.answer)
	if !strings.HasPrefix(answer, "409 ") || !strings.Contains(answer, "STALE_LEADER") {
		t.Errorf("%s\nthe portal's response to the late write is %s", reason, answer)
	}
}

// loss makes the leader lose the lead. wakeUp continues a stopped process, which must then end by
// itself; it does nothing for a killed one.
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

// TestLateWriteAfterLostLead: a leader loses the lead while its write is in flight. Another takes
// over and writes the current state. The old write arrives after that and is refused.
func TestLateWriteAfterLostLead(t *testing.T) {
	for name, tc := range map[string]struct {
		reason string
		lose   loss
	}{
		"Killed":    {"A killed leader writes nothing more.", killed},
		"LeaseLost": {"A leader that was stopped until its lease expired ends by itself.", frozen},
	} {
		t.Run(name, func(t *testing.T) {
			w := shared(t)
			withoutManager(w)
			relay := newRelay(w)
			first := newManager(w, shortLease)
			ada := w.name("ada")
			id := w.arrive(ada)
			account := w.becomes(ada, "arrives", active)
			newManager(w, shortLease)

			old := relay.delay(t, "Old name")
			w.displayName(id, "Old name")
			receive(t, "the old leader's write", old.sent)
			wakeUp := tc.lose(t, first)
			w.displayName(id, "New name")
			w.becomes(ada, "is as the new leader wrote it", named("New name"))
			old.refused(t, tc.reason)
			w.becomes(ada, "is still as the new leader wrote it", named("New name"))
			wakeUp()
			receive(t, "the end of the former leader", first.Done())

			w.displayName(id, "Newest name")
			w.becomes(ada, "is served by the new leader", named("Newest name"))
			w.everyoneOnce([]string{ada}, []string{id})
			if n := len(w.history(t, account.ID)); n != 3 {
				t.Errorf("%s\nthe portal's history has %d changes, must be 3: %v", tc.reason, n, w.history(t, account.ID))
			}
		})
	}
}

// TestLateWriteOfSameRevision: the portal cannot recognize the former leader's late write by the
// ScimUser's revision, because a change of an AgentPool does not change it. If the new leader
// writes nothing, the account's revision is the same too. So the portal refuses the write because
// of its leader.
func TestLateWriteOfSameRevision(t *testing.T) {
	for name, tc := range map[string]struct {
		reason     string
		lose       loss
		joinsQuota bool // ada is added to the pool quota before the old write arrives
		roles      []string
	}{
		"NothingToWrite": {"The new leader finds the account in its desired state, so it writes nothing.", frozen, false, []string{"ROLE_USER"}},
		"AnotherWrite":   {"The new leader adds ada to another pool before the old write arrives.", killed, true, []string{"ROLE_USER", "ROLE_IGNORE_QUOTA"}},
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

			old := relay.delay(t, account.ID) // the memberships of the pool
			declare(leads, "ROLE_MANAGER", "{userName: "+ada+"}")
			receive(t, "the old leader's write", old.sent)
			wakeUp := tc.lose(t, first)
			declare(leads, "ROLE_MANAGER", "")
			if tc.joinsQuota {
				declare(quota, "ROLE_IGNORE_QUOTA", "{userName: "+ada+"}")
			}
			kubectl(t, w, "", "wait", "--for=jsonpath={.status.observedGeneration}=2", "--timeout=60s", "agentpool/"+leads) // by the new leader
			w.becomes(ada, "is as the new leader wrote it", holding(tc.roles...))
			old.refused(t, tc.reason)
			wakeUp()
			receive(t, "the end of the former leader", first.Done())
			w.becomes(ada, "is still as the new leader wrote it", holding(tc.roles...))
			w.everyoneOnce([]string{ada}, []string{id})
			if h := w.history(t, account.ID); len(h) != 1 { // a membership is a change of the pool
				t.Errorf("%s\nthe portal's history has %d changes, must be the arrival alone: %v", tc.reason, len(h), h)
			}
		})
	}
}

// TestAPIServerRestart: users are pushed while etcd and the API server are killed and restarted on
// the same data. The provider repeats unanswered requests; a manager that lost its lease ends and
// is restarted, as by a kubelet. In the end each user exists once. An API server that has just
// started refuses all clients until it has read its Roles, so this test has its own environment,
// whose logs are not searched for refusals.
func TestAPIServerRestart(t *testing.T) {
	w := newWorld(t, start(t, options(t, filepath.Join(t.TempDir(), "run"))))
	withoutManager(w)
	newRelay(w)
	newImmortal(w, shortLease)
	names := make([]string, 60)
	for i := range names {
		names[i] = w.name(fmt.Sprintf("p%02d", i))
	}
	ids := w.insistAll(names, 4, w.restartControlPlane)
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
