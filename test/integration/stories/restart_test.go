// SPDX-License-Identifier: Apache-2.0

package stories_test

import (
	"context"
	"fmt"
	"slices"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"lightrun.com/scim-operator/api/v1alpha1"
)

// writesNothingOnRestart restarts the manager until users are counted, and then once more. The
// second restart must not write users or the objects that count them, and the configuration must
// not report the portal as unknown.
func (w *world) writesNothingOnRestart(people int64) {
	w.t.Helper()
	w.stop()
	w.startManager()
	w.eventually("all users are counted", func() error {
		c, pool := w.identity(), &v1alpha1.AgentPool{}
		w.must(w.client.Get(w.t.Context(), keyOf(c), c))
		w.must(w.client.Get(w.t.Context(), client.ObjectKey{Namespace: w.namespace, Name: v1alpha1.DefaultName}, pool))
		if c.Status.Users != people || c.Status.ReadyUsers != people || pool.Status.MemberCount != people {
			return fmt.Errorf("%d, %d of them Ready, %d in the default pool", c.Status.Users, c.Status.ReadyUsers, pool.Status.MemberCount)
		}
		return nil
	})
	w.stop()
	before := w.allVersions()
	w.faults.reset()
	w.startManager()
	w.eventually("a pass over the configuration follows the reads of the portal", func() error {
		calls := w.faults.all()
		if read := slices.Index(calls, "GET /api/v1/users"); read < 0 || !slices.Contains(calls[read:], "GET /api/v1/provisioning/scim-keys") {
			return fmt.Errorf("the calls to the portal are %v", calls)
		}
		return nil
	})
	w.stop()
	if d := cmp.Diff(before, w.allVersions()); d != "" {
		w.t.Errorf("the restart wrote (-before +after):\n%s", d)
	}
	if got := w.faults.writes(); len(got) != 0 {
		w.t.Errorf("the restart wrote to the portal: %v", got)
	}
}

// allVersions returns the resource versions of users, pools, claims and the configuration.
func (w *world) allVersions() map[string]string {
	w.t.Helper()
	out := w.versions()
	for kind, list := range map[string]client.ObjectList{"pool": &v1alpha1.AgentPoolList{}, "claim": &v1alpha1.NameClaimList{}, "configuration": &v1alpha1.IdentityConfigurationList{}} {
		w.must(w.client.List(context.Background(), list, client.InNamespace(w.namespace)))
		w.must(meta.EachListItem(list, func(o runtime.Object) error {
			object := o.(client.Object)
			out[kind+" "+object.GetName()] = object.GetResourceVersion()
			return nil
		}))
	}
	return out
}
