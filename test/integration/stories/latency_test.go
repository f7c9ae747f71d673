// SPDX-License-Identifier: Apache-2.0

package stories_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/kernel/conditions"
)

// BenchmarkPushToEffectiveRole measures the time from a SCIM request until the portal and the
// status have the user's roles, at 20 requests a second. It runs everything in one process, with a
// real API server and etcd, and the portal on SQLite.
func BenchmarkPushToEffectiveRole(b *testing.B) {
	w := benchWorld(b)
	w.says(w.pool("fast", v1alpha1.AgentPoolSpec{Roles: []v1alpha1.Role{quota}}), v1alpha1.ConditionReady, v1alpha1.ReasonReady)
	w.provisioned(w.push("first@example.test", in("fast")), user, quota)
	const pushes = 400
	for b.Loop() {
		began := map[string]time.Time{}
		var took []time.Duration
		var mu sync.Mutex
		all := make(chan struct{})
		watch, err := w.client.Watch(b.Context(), &v1alpha1.ScimUserList{}, client.InNamespace(w.namespace))
		w.must(err)
		go func() {
			defer close(all)
			for e := range watch.ResultChan() {
				u, ok := e.Object.(*v1alpha1.ScimUser)
				if !ok || !conditions.IsTrue(u.Status.Conditions, v1alpha1.ConditionReady) || !slices.Contains(roleNames(u), quota) {
					continue
				}
				mu.Lock()
				if at, ok := began[u.Spec.UserName]; ok {
					took = append(took, time.Since(at))
					delete(began, u.Spec.UserName)
				}
				n := len(took)
				mu.Unlock()
				if n == pushes {
					return
				}
			}
		}()
		tick := time.NewTicker(time.Second / 20)
		for i := range pushes {
			<-tick.C
			name := fmt.Sprintf("p%d.%d@example.test", b.N, i)
			mu.Lock()
			began[name] = time.Now()
			mu.Unlock()
			w.push(name, in("fast"))
		}
		tick.Stop()
		select {
		case <-all:
		case <-time.After(time.Minute):
			b.Fatalf("%d of %d arrived", len(took), pushes)
		}
		watch.Stop()
		slices.Sort(took)
		b.Logf("the slowest: %v", took[len(took)-8:])
		b.ReportMetric(float64(took[len(took)/2].Milliseconds()), "p50-ms")
		b.ReportMetric(float64(took[len(took)*99/100].Milliseconds()), "p99-ms")
	}
}
