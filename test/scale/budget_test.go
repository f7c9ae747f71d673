// SPDX-License-Identifier: Apache-2.0

package scale_test

import (
	"runtime"
	"testing"
	"time"

	"lightrun.com/scim-operator/controllers"
	"lightrun.com/scim-operator/internal/kernel/portalapi"
)

func TestBudgets(t *testing.T) {
	const people = 10_000
	c := newCompany(t, people)
	t.Cleanup(c.stop)
	c.passPool()
	c.count()

	t.Log("each new user costs one portal call and one status write")
	c.look(c.names...)
	if puts, reads, wrote := c.count(); puts != people || reads != 0 || wrote != people {
		t.Errorf("%d portal writes, %d reads, %d status writes for %d users", puts, reads, wrote, people)
	}
	t.Log("a pass over a user in the desired state costs nothing")
	c.look(c.names...)
	if puts, reads, wrote := c.count(); puts+reads+wrote != 0 {
		t.Errorf("%d portal writes, %d reads, %d status writes", puts, reads, wrote)
	}
	t.Log("a restart reads pages and writes nothing")
	c.start()
	if puts, reads, _ := c.count(); puts != 0 || reads != people/500+4 {
		t.Errorf("%d portal writes, %d reads", puts, reads)
	}
	c.look(c.names...)
	c.passPool() // at most updates its member count
	if puts, reads, wrote := c.count(); puts+reads != 0 || wrote > 1 {
		t.Errorf("%d portal writes, %d reads, %d status writes", puts, reads, wrote)
	}
	t.Log("a pool's role change is one portal call, and a status write for each of its users")
	fast := c.cluster.pools["fast"]
	fast.Spec.Roles = append(fast.Spec.Roles, portalapi.RoleManager)
	fast.Generation++
	c.passPool()
	for deadline := time.Now().Add(30 * time.Second); c.parts.Session.View().Mirror.Managers("pool-uid-fast") != people/2; {
		if time.Now().After(deadline) {
			t.Fatal("the portal's changes did not arrive")
		}
		runtime.Gosched()
	}
	c.look(c.names...)
	if puts, _, wrote := c.count(); puts != 1 || wrote != people/2+1 {
		t.Errorf("%d portal writes, %d status writes", puts, wrote)
	}
}

// BenchmarkRestart measures a start of the manager with users in their desired state: reading the
// portal's pages into the mirror, and one pass over each user. B/person is the memory that remains
// in use for each user, without the cluster's cache.
func BenchmarkRestart(b *testing.B) {
	for _, n := range []struct {
		name   string
		people int
	}{{"10k", 10_000}, {"100k", 100_000}} {
		b.Run(n.name, func(b *testing.B) {
			c := newCompany(b, n.people)
			b.Cleanup(c.stop)
			c.passPool()
			c.look(c.names...)
			c.stop()
			c.parts = controllers.Parts{} // forgets its state
			before := heap()
			b.ResetTimer()
			for b.Loop() {
				c.start()
				c.passPool()
				c.look(c.names...)
			}
			b.StopTimer()
			b.ReportMetric(float64(heap()-before)/float64(n.people), "B/person")
			b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/float64(n.people), "µs/person")
		})
	}
}

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
