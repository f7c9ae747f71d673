// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"errors"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"lightrun.com/scim-operator/test/framework/devenv"
)

// minKills is the minimum number of kills of programs in a round of a long run, however long
// that takes on a busy machine.
const minKills = 6

// disturb kills programs one after the other during the round, and then all of them at once.
// It returns when everything serves again.
func (r *round) disturb() {
	choices := r.random(r.number, "chaos")
	over := time.Now().Add(r.load())
	for n := 0; time.Now().Before(over) || r.long && n < minKills; n++ {
		pause(r.t.Context(), time.Duration(200+choices.IntN(800))*time.Millisecond)
		if r.long && choices.IntN(2) == 0 {
			r.killAtStep(choices)
		} else {
			r.kill(r.victim(choices))
		}
	}
	r.kill(devenv.Etcd, devenv.Kubernetes, devenv.Portal, devenv.Webhook, r.replicas[1].name, devenv.Manager)
}

// killAtStep kills a program during a write: before the API server gets it, or after that and
// before the program gets the response. A webhook is killed twice as often as the manager, and half
// of the kills are at writes of slices.
func (r *round) killAtStep(choices *rand.Rand) {
	name := []string{r.replicas[0].name, r.replicas[1].name, devenv.Manager}[choices.IntN(3)]
	resource := "scimgroupslices"
	if name == devenv.Manager || choices.IntN(2) == 0 {
		resource = []string{"scimgroups", "scimusers", "nameclaims", "agentpools"}[choices.IntN(4)]
	}
	w := r.wires[name]
	s := w.arm(resource, choices.IntN(2) == 0)
	timer := time.NewTimer(2 * time.Second) // it may not make such a write
	defer timer.Stop()
	select {
	case where := <-s.reached:
		r.steps[name+" "+where]++
	case <-timer.C:
		w.disarm()
	}
	if err := r.env.Kill(name); err != nil {
		r.t.Error(err)
	}
	close(s.dead)
	r.kill(name)
}

// victim is usually a webhook; in a long run also another program.
func (r *round) victim(choices *rand.Rand) string {
	if r.long && choices.IntN(4) == 0 {
		return []string{devenv.Kubernetes, devenv.Etcd, devenv.Manager, devenv.Portal}[choices.IntN(4)]
	}
	return r.replicas[choices.IntN(len(r.replicas))].name
}

// kill kills all these programs, and then starts them again in this order.
func (r *round) kill(names ...string) {
	for _, name := range names {
		if err := r.env.Kill(name); err != nil {
			r.t.Error(err)
		}
		for _, w := range r.replicas {
			if w.name == name {
				w.life.Add(1)
			}
		}
	}
	for _, name := range names {
		if name == devenv.Manager {
			r.forgetLeader()
		}
		if err := r.env.Restart(r.t.Context(), name); err != nil {
			r.t.Error(err)
		}
	}
}

// forgetLeader removes the lease of a dead manager, so that the next one need not wait until it
// expires.
func (r *round) forgetLeader() {
	lease := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Namespace: devenv.Namespace, Name: "scim-manager.iam.lightrun.com"}}
	eventually(r.t, "remove the dead manager's lease", func(ctx context.Context) error {
		return client.IgnoreNotFound(r.env.Client.Delete(ctx, lease))
	})
}

// pause waits for a time, or until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// readEverything ends the history with reads of every group, every user and every name. Groups are
// read through each webhook, so that it knows them when it shows users.
func (r *round) readEverything() {
	p := r.newPusher(clients + connections + teams + 1)
	insist := func(what string, read func(context.Context) bool) {
		eventually(r.t, "read "+what+" at the end", func(ctx context.Context) error {
			if !read(ctx) {
				return errors.New("there is no answer")
			}
			return nil
		})
	}
	for _, name := range r.teams {
		insist(name, func(ctx context.Context) bool { return p.findGroup(ctx, name) })
	}
	for _, w := range r.replicas {
		p.only = w
		for _, group := range r.met {
			insist(group, func(ctx context.Context) bool { return p.getGroup(ctx, group) })
		}
	}
	p.only = nil
	for _, tag := range slices.Sorted(maps.Keys(r.ids)) {
		if !slices.Contains(r.met, tag) {
			insist(tag, func(ctx context.Context) bool { return p.get(ctx, tag) })
		}
	}
	for _, name := range r.names {
		insist(name, func(ctx context.Context) bool { return p.find(ctx, name) })
	}
}
