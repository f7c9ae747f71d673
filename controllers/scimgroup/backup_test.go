// SPDX-License-Identifier: Apache-2.0

package scimgroup

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/kernel/portalapi"
	"lightrun.com/scim-operator/internal/operator/groupindex"
	"lightrun.com/scim-operator/internal/operator/pass"
	"lightrun.com/scim-operator/internal/operator/portalclient/mirror"
	"lightrun.com/scim-operator/test/framework/kubefake"
)

// TestBackup: a group of two slices. The portal has seen its revision 8.
func TestBackup(t *testing.T) {
	type outcome struct {
		OlderThan, OlderRound int64 // of the status
		Waits                 bool  // a deletion waits
		Again                 bool  // the pass is repeated
	}
	type state struct {
		revision int64
		slices   int
	}
	for name, tc := range map[string]struct {
		reason        string
		cache, server state
		deleted       bool // the portal's pin says that the provider deleted the group
		edit          func(*v1alpha1.ScimGroup)
		want          outcome
	}{
		"Current":     {reason: "A group at the revision that the portal recorded is current.", cache: state{8, 2}, server: state{8, 2}},
		"Older":       {reason: "A group at a lower revision is BackupOlder, and the status records the newer revision.", cache: state{5, 2}, server: state{5, 2}, want: outcome{OlderThan: 8, OlderRound: 3, Waits: true}},
		"CacheBehind": {reason: "If a former leader recorded a revision that the cache does not have yet, no decision is requested.", cache: state{5, 2}, server: state{8, 2}, want: outcome{Again: true, Waits: true}},
		"Restoring":   {reason: "While slices are missing, the restore may be in progress: no decision is requested.", cache: state{5, 1}, server: state{5, 1}, want: outcome{Waits: true}},
		"Vanishing":   {reason: "A slice that disappeared meanwhile makes the group incomplete.", cache: state{5, 2}, server: state{5, 1}, want: outcome{Again: true, Waits: true}},
		"Deleted": {reason: "A deletion that the portal recorded continues, although the slices are deleted.", cache: state{}, server: state{}, deleted: true,
			edit: func(g *v1alpha1.ScimGroup) { g.Spec.Deleted = true }},
		"OlderDeletion": {reason: "A tombstone from a backup waits, because the portal recorded no deletion.", cache: state{}, server: state{},
			edit: func(g *v1alpha1.ScimGroup) { g.Spec.Deleted = true }, want: outcome{Waits: true}},
		"DeletedSince": {reason: "A group that the provider deleted after the backup is BackupOlder.", cache: state{5, 2}, server: state{5, 2}, deleted: true, want: outcome{OlderThan: 8, OlderRound: 3, Waits: true}},
		"Remembered": {reason: "A change of one member after the restore leaves the group BackupOlder.", cache: state{9, 2}, server: state{9, 2},
			edit: func(g *v1alpha1.ScimGroup) { g.Status.OlderThan, g.Status.OlderRound = 8, 3 }, want: outcome{OlderThan: 8, OlderRound: 3, Waits: true}},
		"Replaced": {reason: "A push of all members after the restore resolves BackupOlder.", cache: state{9, 2}, server: state{9, 2},
			edit: func(g *v1alpha1.ScimGroup) { g.Status.OlderThan, g.Status.OlderRound = 8, 2 }},
		"Accepted": {reason: "The annotation accept-backup resolves BackupOlder.", cache: state{5, 2}, server: state{5, 2}, edit: func(g *v1alpha1.ScimGroup) {
			g.Status.OlderThan, g.Status.OlderRound = 8, 3
			g.Annotations = map[string]string{v1alpha1.AnnotationAcceptBackup: "8"}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			scheme := runtime.NewScheme()
			if err := errors.Join(clientgoscheme.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)); err != nil {
				t.Fatal(err)
			}
			g := &v1alpha1.ScimGroup{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: id}, Spec: v1alpha1.ScimGroupSpec{DisplayName: "Payments", Revision: 1}}
			if tc.edit != nil {
				tc.edit(g)
			}
			parts := func(s state) (out []*v1alpha1.ScimGroupSlice) {
				for _, prefix := range []uint16{0, 0x8000}[:s.slices] {
					part := sliceOfAge(prefix, time.Now(), time.Hour)
					part.Spec.Revision, part.Spec.Round = s.revision, 3
					out = append(out, part)
				}
				return out
			}
			live, groups := kubefake.New(t, scheme, g.DeepCopy()), groupindex.New()
			for _, part := range parts(tc.server) {
				if err := live.Create(t.Context(), part); err != nil {
					t.Fatal(err)
				}
			}
			for _, part := range parts(tc.cache) {
				groups.PutSlice(part)
			}
			groups.Put(g)
			m := mirror.New(func(mirror.Event) {})
			m.PutPool(&portalapi.Pool{ID: "1", Pins: []portalapi.Pin{{Line: "id " + id, ID: id, Revision: 8, Deleted: tc.deleted}}})
			p := &scope{Reconciler: &Reconciler{Engine: pass.Engine{Live: live}, Groups: groups}, group: g, than: g.Status.OlderThan, older: g.Status.OlderThan, round: g.Status.OlderRound}
			compared := p.compare(t.Context(), m)
			if compared.Err != nil {
				t.Fatal(compared.Err)
			}
			waits := p.waits(t.Context()).Ends()
			if diff := cmp.Diff(tc.want, outcome{p.older, p.round, waits, compared.Ends() && compared.After > 0}); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.reason, diff)
			}
		})
	}
}
