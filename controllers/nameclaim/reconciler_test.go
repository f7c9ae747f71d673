// SPDX-License-Identifier: Apache-2.0

package nameclaim

import (
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

func TestWhichClaimsAreLookedAtAtTheStart(t *testing.T) {
	ada := &v1alpha1.ScimUser{ObjectMeta: metav1.ObjectMeta{Name: "1", UID: "uid-1"}, Spec: v1alpha1.ScimUserSpec{UserName: "ada@example.test"}, Status: v1alpha1.ScimUserStatus{UserName: "former@example.test"}}
	r := &Reconciler{Client: cached{people: map[string]*v1alpha1.ScimUser{"1": ada}}}
	for name, c := range map[string]struct {
		reason    string
		user, uid string
		holder    string
		later     bool
		want      bool
	}{
		"Needed":      {reason: "Its holder wants the name.", user: "ada@example.test", holder: "1", uid: "uid-1"},
		"StillNamed":  {reason: "Its holder has the name until the account is renamed.", user: "former@example.test", holder: "1", uid: "uid-1"},
		"Stray":       {reason: "An interrupted rename left it.", user: "other@example.test", holder: "1", uid: "uid-1", want: true},
		"HolderGone":  {reason: "It has no living holder.", user: "ada@example.test", holder: "2", uid: "uid-2", want: true},
		"NewHolder":   {reason: "Another object has the holder's name.", user: "ada@example.test", holder: "1", uid: "uid-0", want: true},
		"MadeNow":     {reason: "Whether it is needed shows when its grace is over.", user: "ada@example.test", holder: "1", uid: "uid-1", later: true, want: true},
		"StrayIsMade": {reason: "So does that it is not.", user: "other@example.test", holder: "1", uid: "uid-1", later: true, want: true},
	} {
		t.Run(name, func(t *testing.T) {
			claim := &v1alpha1.NameClaim{ObjectMeta: metav1.ObjectMeta{Name: claims.ObjectName(v1alpha1.ClaimUser, c.user), CreationTimestamp: metav1.NewTime(time.Unix(1, 0))}}
			claim.Spec = v1alpha1.NameClaimSpec{Type: v1alpha1.ClaimUser, Holder: v1alpha1.ClaimHolder{Name: c.holder, UID: c.uid}}
			if got := r.unneeded(event.CreateEvent{Object: claim, IsInInitialList: !c.later}); got != c.want {
				t.Errorf("%v: %s", got, c.reason)
			}
		})
	}
}
