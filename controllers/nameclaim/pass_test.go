// SPDX-License-Identifier: Apache-2.0

package nameclaim_test

import (
	"errors"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/controllers/nameclaim"
	"lightrun.com/scim-operator/internal/kernel/claims"
	"lightrun.com/scim-operator/test/framework/kubefake"
	"lightrun.com/scim-operator/test/framework/onepass"
)

func TestReconcile(t *testing.T) {
	ada := kubefake.SCIMID("ada")
	for name, tc := range map[string]struct {
		reason string
		named  string        // the claim's name
		age    time.Duration // of the claim
		given  func(*onepass.World)
		want   onepass.Want
	}{
		"Needed": {
			reason: "A claim whose holder has the name stays.",
			named:  "ada@example.test", age: time.Hour, given: func(w *onepass.World) { w.Put(onepass.User("ada")) },
			want: onepass.Want{Same: true},
		},
		"Ahead": {
			reason: "A claim stays for a grace period without the name in its holder: a rename takes the claim first.",
			named:  "new@example.test", age: nameclaim.DefaultGrace / 3, given: func(w *onepass.World) { w.Put(onepass.User("ada")) },
			want: onepass.Want{Same: true, Again: nameclaim.DefaultGrace * 2 / 3},
		},
		"FromTheFuture": {
			reason: "A claim from the future waits no longer than the grace period.",
			named:  "new@example.test", age: -time.Hour, given: func(w *onepass.World) { w.Put(onepass.User("ada")) },
			want: onepass.Want{Same: true, Again: nameclaim.DefaultGrace},
		},
		"Abandoned": {
			reason: "A claim that an interrupted rename left is deleted.",
			named:  "new@example.test", age: time.Hour, given: func(w *onepass.World) { w.Put(onepass.User("ada")) },
			want: onepass.Want{Gone: true},
		},
		"HolderGone": {
			reason: "A claim whose holder no longer exists is deleted.",
			named:  "ada@example.test", age: time.Hour, given: func(*onepass.World) {},
			want: onepass.Want{Gone: true},
		},
		"Failure": {
			reason: "A deletion of a claim that failed is repeated with growing pauses.",
			named:  "ada@example.test", age: time.Hour, given: func(w *onepass.World) {
				w.Write = func(string, client.Object) error { return errors.New("no route") }
			},
			want: onepass.Want{Same: true, Fails: "no route"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := onepass.New(t)
			tc.given(w)
			claim := &v1alpha1.NameClaim{ObjectMeta: onepass.Meta(claims.ObjectName(v1alpha1.ClaimUser, tc.named))}
			w.Must(client.IgnoreNotFound(w.Kube.Delete(t.Context(), claim.DeepCopy())))
			claim.CreationTimestamp = metav1.NewTime(w.Clock.Now().Add(-tc.age))
			claim.Spec = v1alpha1.NameClaimSpec{Type: v1alpha1.ClaimUser, Holder: v1alpha1.ClaimHolder{Name: ada, UID: "uid-" + ada}}
			w.Put(claim)
			w.Check(tc.reason, w.Parts.Claims.Reconcile, claim, &[]metav1.Condition{}, tc.want)
		})
	}
}
