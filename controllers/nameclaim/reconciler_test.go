// SPDX-License-Identifier: Apache-2.0

package nameclaim

import (
	"cmp"
	"context"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/kernel/claims"
)

// cached serves people by name; any other call panics.
type cached struct {
	client.Client
	people map[string]*v1alpha1.ScimUser
}

func (c cached) Get(_ context.Context, key client.ObjectKey, o client.Object, _ ...client.GetOption) error {
	u, ok := c.people[key.Name]
	if !ok {
		return apierrors.NewNotFound(schema.GroupResource{}, key.Name)
	}
	u.DeepCopyInto(o.(*v1alpha1.ScimUser))
	return nil
}

// TestUnneeded: at the start, only the claims that may be unneeded are enqueued; later, all new
// claims.
func TestUnneeded(t *testing.T) {
	ada := &v1alpha1.ScimUser{ObjectMeta: metav1.ObjectMeta{Name: "1", UID: "uid-1"}, Spec: v1alpha1.ScimUserSpec{UserName: "ada@example.test"}, Status: v1alpha1.ScimUserStatus{UserName: "former@example.test"}}
	r := &Reconciler{Client: cached{people: map[string]*v1alpha1.ScimUser{"1": ada}}}
	for name, c := range map[string]struct {
		reason    string
		typ       v1alpha1.ClaimType // empty for ClaimUser
		user, uid string
		holder    string
		later     bool
		want      bool
	}{
		"Needed":      {reason: "A claim whose holder wants the name is not enqueued.", user: "ada@example.test", holder: "1", uid: "uid-1"},
		"StillNamed":  {reason: "A claim is not enqueued while its holder's account still has the name.", user: "former@example.test", holder: "1", uid: "uid-1"},
		"Stray":       {reason: "A claim that an interrupted rename left is enqueued.", user: "other@example.test", holder: "1", uid: "uid-1", want: true},
		"HolderGone":  {reason: "A claim whose holder no longer exists is enqueued.", user: "ada@example.test", holder: "2", uid: "uid-2", want: true},
		"NewHolder":   {reason: "A claim is enqueued if its holder's name belongs to another object.", user: "ada@example.test", holder: "1", uid: "uid-0", want: true},
		"MadeNow":     {reason: "A needed claim that is created now is enqueued: whether it is needed shows after its grace period.", user: "ada@example.test", holder: "1", uid: "uid-1", later: true, want: true},
		"Pool":        {reason: "A pool's claim is enqueued: the group index, which has the names of own pools, may not be complete yet.", typ: v1alpha1.ClaimPool, user: "leads", holder: "1", uid: "uid-1", want: true},
		"StrayIsMade": {reason: "An unneeded claim that is created now is enqueued: whether it is needed shows after its grace period.", user: "other@example.test", holder: "1", uid: "uid-1", later: true, want: true},
	} {
		t.Run(name, func(t *testing.T) {
			typ := cmp.Or(c.typ, v1alpha1.ClaimUser)
			claim := &v1alpha1.NameClaim{ObjectMeta: metav1.ObjectMeta{Name: claims.ObjectName(typ, c.user), CreationTimestamp: metav1.NewTime(time.Unix(1, 0))}}
			claim.Spec = v1alpha1.NameClaimSpec{Type: typ, Holder: v1alpha1.ClaimHolder{Name: c.holder, UID: c.uid}}
			if got := r.unneeded(event.CreateEvent{Object: claim, IsInInitialList: !c.later}); got != c.want {
				t.Errorf("%v: %s", got, c.reason)
			}
		})
	}
}
