// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	portalv1 "lightrun.com/scim-operator/api/portal/v1"
	"lightrun.com/scim-operator/test/framework/idp"
)

// killer kills the manager around its writes: at the first attempt before the portal gets the
// write; at the second after its effect and before the response; the third passes.
type killer struct {
	mu    sync.Mutex
	sent  map[string]int
	kills map[string]int // by moment
}

func (k *killer) around(m *immortal) func(call) {
	return func(c call) {
		victim := m.now()
		k.mu.Lock()
		n := k.sent[c.name]
		k.sent[c.name]++
		k.mu.Unlock()
		switch n {
		case 0:
			k.kill(victim.Kill, "before")
		case 1:
			c.forward()
			k.kill(victim.Kill, "after")
		default:
			c.forward()
		}
	}
}

func (k *killer) kill(kill func(), when string) {
	kill()
	k.mu.Lock()
	defer k.mu.Unlock()
	k.kills[when]++
}

// TestKillBeforeAndAfterEveryWrite runs a company's day on the built manager, which is killed
// before and after each single write to the portal. The final state is as without kills, and the
// portal's audit shows that no change was made twice and no user got or lost access by
// mistake.
func TestKillBeforeAndAfterEveryWrite(t *testing.T) {
	w := shared(t)
	withoutManager(w)
	relay := newRelay(w)
	k := &killer{sent: map[string]int{}, kills: map[string]int{}}
	begun := time.Now()
	m := newImmortal(w, "--leader-elect=false")
	relay.on(k.around(m))

	ada, bob, eve, old := w.name("ada"), w.name("bob"), w.name("eve"), w.name("old")
	created, err := w.env.API.CreateUserWithResponse(t.Context(), portalv1.UserCreate{UserName: old, Password: "a long password 1"})
	if err != nil || created.JSON201 == nil {
		t.Fatalf("create a local user: %v %s", err, created.Body)
	}
	pool := "walk-" + w.tag
	declare := func(roles string) {
		kubectl(t, w, fmt.Sprintf(`{apiVersion: iam.lightrun.com/v1alpha1, kind: AgentPool, metadata: {name: %s},
  spec: {displayName: Walk %s, groups: [{displayName: Walk %s}], roles: [%s]}}`, pool, w.tag, w.tag, roles), "apply", "--server-side", "-f", "-")
	}

	t.Log("all users are pushed, one of them with a local account")
	declare("ROLE_IGNORE_QUOTA")
	group := w.group("Walk " + w.tag)
	ids := map[string]string{}
	for _, who := range []string{ada, bob, eve, old} {
		ids[who] = w.arrive(who)
	}
	adas := w.becomes(ada, "arrives", holding("ROLE_USER"))
	bobs := w.becomes(bob, "arrives", holding("ROLE_USER"))
	eves := w.becomes(eve, "arrives", holding("ROLE_USER"))
	w.condition(ids[old], "Ready", "False", "LocalAccountExists")

	t.Log("the local account is migrated, users join the pool")
	w.loginMethods(func(m *portalv1.LoginMethods) { m.SCIM.ProvisionExistingUsers = true })
	t.Cleanup(func() { w.loginMethods(func(m *portalv1.LoginMethods) { m.SCIM.ProvisionExistingUsers = false }) })
	w.must("PATCH", "/Groups/"+group, idp.Patch(idp.AddMembers(ids[ada]), idp.AddMembers(ids[bob])), http.StatusOK, http.StatusNoContent)
	olds := w.becomes(old, "is migrated", holding("ROLE_USER"))
	w.becomes(ada, "has the pool's role", holding("ROLE_USER", "ROLE_IGNORE_QUOTA"))
	w.becomes(bob, "has the pool's role", holding("ROLE_USER", "ROLE_IGNORE_QUOTA"))

	t.Log("the pool's roles change, and users are renamed, deactivated and deleted")
	declare("")
	lovelace := w.name("ada.lovelace")
	w.must("PATCH", "/Users/"+ids[ada], idp.Patch(idp.Replace("userName", lovelace)), http.StatusOK, http.StatusNoContent)
	w.must("PATCH", "/Users/"+ids[bob], idp.Patch(idp.SetActive(false)), http.StatusOK, http.StatusNoContent)
	w.must("DELETE", "/Users/"+ids[eve], nil, http.StatusNoContent)
	w.becomes(lovelace, "is renamed", holding("ROLE_USER"))
	w.becomes(bob, "is deactivated", deactivated)
	w.becomes(eve, "is deactivated", deactivated)

	t.Log("the pool is emptied and deleted")
	w.must("PATCH", "/Groups/"+group, idp.Patch(idp.RemoveMember(ids[ada]), idp.RemoveMember(ids[bob])), http.StatusOK, http.StatusNoContent)
	for _, who := range []string{lovelace, bob} {
		w.becomes(who, "has left the pool", func(u portalv1.User) bool { return len(u.Pools) == 1 })
	}
	w.must("DELETE", "/Groups/"+group, nil, http.StatusNoContent)
	kubectl(t, w, "", "wait", "--for=delete", "--timeout=60s", "scimgroup/"+group)
	kubectl(t, w, "", "delete", "agentpool", pool, "--timeout=60s")
	w.condition(ids[old], "Ready", "True", "")
	kubectl(t, w, "", "wait", "--for=delete", "--timeout=60s", "scimuser/"+ids[eve])
	relay.on(nil)

	t.Logf("%d writes, killed %v times, %d starts, %s", len(k.sent), k.kills, m.starts, time.Since(begun).Round(time.Second))
	for name, n := range k.sent {
		if n < 2 {
			t.Errorf("the manager was not killed after %s", name)
		}
	}
	// A membership is a change of the pool, and in its history.
	for who, a := range map[string]struct {
		id   string
		want []string
	}{
		"ada": {adas.ID, []string{"user.create userName=ada.·@example.test status=Active managedBy=SCIM pools=Default", "user.provision userName=ada.lovelace.·@example.test"}},
		"bob": {bobs.ID, []string{"user.create userName=bob.·@example.test status=Active managedBy=SCIM pools=Default", "user.provision status=Deactivated"}},
		"eve": {eves.ID, []string{"user.create userName=eve.·@example.test status=Active managedBy=SCIM pools=Default", "user.release status=Deactivated pools="}},
		"old": {olds.ID, []string{"user.create userName=old.·@example.test status=Active managedBy=Local pools=Default", "user.wait", "user.adopt managedBy=SCIM"}},
	} {
		if diff := cmp.Diff(a.want, w.history(t, a.id)); diff != "" {
			t.Errorf("the portal's history of %s (-without kills, +got):\n%s", who, diff)
		}
	}
	if olds.ID != created.JSON201.ID {
		t.Errorf("%s was %s and is %s: the account must be kept", old, created.JSON201.ID, olds.ID)
	}
	w.everyoneOnce([]string{lovelace, old}, []string{ids[ada], ids[old]})
}
