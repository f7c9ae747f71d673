// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/test/framework/devenv"
	"lightrun.com/scim-operator/test/framework/histories"
)

const (
	// Environment variables of `make histories`.
	envDuration, envSeed = "HISTORIES_DURATION", "HISTORIES_SEED"
	// shortLoad and longLoad are the times for which a round sends requests before everything is
	// killed.
	shortLoad, longLoad = 4 * time.Second, 8 * time.Second
	// search is the maximum time of the search for an explanation of a part; most take
	// milliseconds.
	search = time.Minute
	// clients push users, connections push members of permanent groups, teams push temporary
	// groups.
	clients, connections, teams = 6, 2, 3
)

// TestHistories: clients push to two webhooks over one API server while programs are killed, and in
// the end everything is killed. The responses, then and after the restart, must be possible
// responses of one correct service (test/framework/histories), and no user is missing or duplicated
// in Kubernetes or the portal.
func TestHistories(t *testing.T) {
	duration, seed := budget(t)
	d := newDrill(t, seed)
	operations := 0
	begun := time.Now()
	for n := 0; n == 0 || time.Since(begun) < duration; n++ {
		operations += d.round(n)
		if t.Failed() {
			break
		}
	}
	if d.long {
		t.Logf("programs were killed at these writes: %v", d.steps)
		if len(d.steps) == 0 {
			t.Error("no program was killed at a write, so the test shows nothing about kills")
		}
	}
	t.Logf("%d requests in %s explained; %s=%d repeats the choices, though not the timing", operations, time.Since(begun).Round(time.Second), envSeed, seed)
}

// budget reads the duration (one round without it) and the seed (random without it).
func budget(t *testing.T) (time.Duration, uint64) {
	t.Helper()
	var duration time.Duration
	seed := rand.Uint64N(1_000_000)
	var err error
	if text := os.Getenv(envDuration); text != "" {
		if duration, err = time.ParseDuration(text); err != nil {
			t.Fatalf("%s: %v", envDuration, err)
		}
	}
	if text := os.Getenv(envSeed); text != "" {
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatalf("%s: %v", envSeed, err)
		}
	}
	t.Logf("%s=%d", envSeed, seed)
	return duration, seed
}

// drill is an environment with two webhooks.
type drill struct {
	*world
	seed     uint64
	replicas []*replica
	long     bool

	// In a long run:
	wires map[string]*wire // between each program and the API server
	crowd []string         // ids of the users in large groups, who do not change otherwise
	steps map[string]int   // how often programs were killed at each write
}

// load returns how long a round pushes.
func (d *drill) load() time.Duration {
	if d.long {
		return longLoad
	}
	return shortLoad
}

func newDrill(t *testing.T, seed uint64) *drill {
	t.Helper()
	o := options(t, filepath.Join(filepath.Dir(sharedSuite.dir), "histories"))
	if os.Getenv(envDuration) != "" {
		o.Patience = 3 * time.Minute // there are thousands of users, and the machine is busy
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("logs are kept in %s", filepath.Join(o.Dir, "logs"))
		}
	})
	env := start(t, o)
	d := &drill{world: newWorld(t, env), seed: seed, long: os.Getenv(envDuration) != "", steps: map[string]int{}}
	t.Cleanup(func() {
		if d.long {
			return // the API server is killed during pushes, and refuses its clients after each start
		}
		if err := checkRefusals(env); err != nil {
			t.Error(err)
		}
	})
	name, url, err := env.AddWebhook(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	d.replicas = []*replica{{name: devenv.Webhook, url: env.Values.SCIMURL}, {name: name, url: url}}
	d.openGuard()
	if d.long {
		wired := []string{devenv.Webhook, name, devenv.Manager}
		d.wired(wired...)
		for _, name := range wired {
			if err := errors.Join(env.Halt(name), env.Restart(t.Context(), name)); err != nil {
				t.Fatal(err)
			}
		}
		d.gather()
	}
	return d
}

// openGuard permits every removal: more users come and go here in a minute than in a company in a
// year.
func (d *drill) openGuard() {
	d.t.Helper()
	var found v1alpha1.IdentityConfiguration
	if err := d.env.Client.Get(d.t.Context(), client.ObjectKey{Namespace: devenv.Namespace, Name: v1alpha1.DefaultName}, &found); err != nil {
		d.t.Fatal(err)
	}
	changed := found.DeepCopy()
	changed.Spec.DeprovisioningGuard.MaxPercent, changed.Spec.DeprovisioningGuard.MinUsers = ptr.To[int32](100), ptr.To[int32](1_000_000)
	if err := d.env.Client.Patch(d.t.Context(), changed, client.MergeFrom(&found)); err != nil {
		d.t.Fatal(err)
	}
}

// random returns a source of random choices for one purpose in one round.
func (d *drill) random(round int, purpose string) *rand.Rand {
	var key [32]byte
	copy(key[:], fmt.Sprintf("%d/%d/%s", d.seed, round, purpose))
	return rand.New(rand.NewChaCha8(key))
}

// round sends requests for a while, kills everything, and checks the result. It returns the number
// of requests.
func (d *drill) round(n int) int {
	d.t.Helper()
	r := newRound(d, n)
	pushing, stop := context.WithCancel(d.t.Context())
	defer stop()
	var busy sync.WaitGroup
	for i := range clients {
		busy.Go(func() { r.newPusher(i + 1).pushUsers(pushing) })
	}
	for i := range connections {
		busy.Go(func() { r.newPusher(clients + i + 1).pushMembers(pushing) })
	}
	for i := range teams {
		busy.Go(func() { r.newPusher(clients + connections + i + 1).pushGroups(pushing) })
	}
	r.disturb()
	stop()
	busy.Wait()
	r.readEverything()
	events := r.history.Events()
	result := histories.Check(events, search)
	for i, v := range result.Violations {
		file := filepath.Join(os.TempDir(), fmt.Sprintf("history-%d-%d-%d.html", d.seed, n, i))
		d.t.Errorf("round %d: %s\nrendered in %s (%v)", n, v, file, v.Write(file))
	}
	r.settles()
	r.endLarge()
	d.t.Logf("round %d: %d requests (%s), %d parts", n, result.Operations, counts(events), result.Parts)
	return result.Operations
}

// counts counts outcomes.
func counts(events []histories.Event) string {
	count := map[histories.Outcome]int{}
	for _, e := range events {
		count[e.Answer.Outcome]++
	}
	return fmt.Sprintf("%d done, %d name taken, %d not found, %d another version, %d unanswered",
		count[histories.Done], count[histories.Taken], count[histories.Gone], count[histories.Stale], count[histories.Unanswered])
}
