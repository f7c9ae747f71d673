// SPDX-License-Identifier: Apache-2.0

package claims_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/kernel/claims"
	"lightrun.com/scim-operator/test/framework/kubefake"
)

const namespace = "company"

func user(name, userName, former string) *v1alpha1.ScimUser {
	return &v1alpha1.ScimUser{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: kubefake.SCIMID(name), UID: types.UID("uid-" + name)},
		Spec:       v1alpha1.ScimUserSpec{UserName: userName, Revision: 1},
		Status:     v1alpha1.ScimUserStatus{UserName: former},
	}
}

func claimOf(name string, holder client.Object) *v1alpha1.NameClaim {
	return &v1alpha1.NameClaim{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: claims.ObjectName(v1alpha1.ClaimUser, name)},
		Spec:       v1alpha1.NameClaimSpec{Type: v1alpha1.ClaimUser, Holder: v1alpha1.ClaimHolder{Name: holder.GetName(), UID: string(holder.GetUID())}},
	}
}

func scheme(t *testing.T) *runtime.Scheme {
	t.Helper()
	s := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(s); err != nil {
		t.Fatal(err)
	}
	return s
}

func holderOf(t *testing.T, c client.Client, name string) string {
	t.Helper()
	var claim v1alpha1.NameClaim
	err := c.Get(t.Context(), types.NamespacedName{Namespace: namespace, Name: claims.ObjectName(v1alpha1.ClaimUser, name)}, &claim)
	if apierrors.IsNotFound(err) {
		return ""
	}
	if err != nil {
		t.Fatal(err)
	}
	return claim.Spec.Holder.Name
}

func TestWhoHasAName(t *testing.T) {
	ada := user("ada", "ada@example.test", "")
	deleted := user("eve", "eve@example.test", "")
	deleted.Spec.Deleted = true
	restored := user("ada", "ada@example.test", "")
	restored.UID = "uid-of-before"
	renamed := user("grace", "hopper@example.test", "grace@example.test")
	abandoned := user("joan", "joan@example.test", "")
	for name, tc := range map[string]struct {
		reason  string
		objects []client.Object
		wanted  string // by a new user
		owner   string // who has it; empty if the new user gets it
	}{
		"Free":       {reason: "A name without a claim gets one.", wanted: "new@example.test"},
		"Taken":      {reason: "A claim of an existing user who has the name is refused to another user.", objects: []client.Object{ada, claimOf("ada@example.test", ada)}, wanted: "ada@example.test", owner: ada.Name},
		"Folded":     {reason: "The claim of a name in other case is the same claim.", objects: []client.Object{ada, claimOf("ada@example.test", ada)}, wanted: "ADA@Example.test", owner: ada.Name},
		"HolderGone": {reason: "A claim whose holder no longer exists is taken over.", objects: []client.Object{claimOf("ada@example.test", ada)}, wanted: "ada@example.test"},
		"Restored":   {reason: "A claim is taken over if the object with the holder's name has another UID.", objects: []client.Object{ada, claimOf("ada@example.test", restored)}, wanted: "ada@example.test"},
		"Tombstone":  {reason: "A claim of a deleted user is taken over at once.", objects: []client.Object{deleted, claimOf("eve@example.test", deleted)}, wanted: "eve@example.test"},
		"Former":     {reason: "A claim of a renamed user is kept while the account still has the former name.", objects: []client.Object{renamed, claimOf("grace@example.test", renamed)}, wanted: "grace@example.test", owner: renamed.Name},
		"Abandoned":  {reason: "A claim of a rename that stopped between its two writes is taken over.", objects: []client.Object{abandoned, claimOf("clarke@example.test", abandoned)}, wanted: "clarke@example.test"},
	} {
		t.Run(name, func(t *testing.T) {
			newcomer := user("new", tc.wanted, "")
			c := kubefake.New(t, scheme(t), append(tc.objects, newcomer)...)
			r := claims.Registry{Client: c, Live: c}
			owner, err := r.Owner(t.Context(), v1alpha1.ClaimUser, namespace, tc.wanted)
			if err != nil || (owner != nil) != (tc.owner != "") || owner != nil && owner.GetName() != tc.owner {
				t.Errorf("owner is %v, %v, want %q: %s", owner, err, tc.owner, tc.reason)
			}
			for _, take := range []func(context.Context, v1alpha1.ClaimType, string, client.Object) (client.Object, error){r.Keep, r.Take, r.Keep} {
				other, err := take(t.Context(), v1alpha1.ClaimUser, tc.wanted, newcomer)
				if err != nil || (other != nil) != (tc.owner != "") || other != nil && other.GetName() != tc.owner {
					t.Errorf("taken by %v, %v, want %q: %s", other, err, tc.owner, tc.reason)
				}
			}
			want := tc.owner
			if want == "" {
				want = newcomer.Name
			}
			if got := holderOf(t, c, tc.wanted); got != want {
				t.Errorf("the claim's holder is %q, want %q: %s", got, want, tc.reason)
			}
		})
	}
}

func TestSweep(t *testing.T) {
	ada := user("ada", "ada@example.test", "former@example.test")
	for name, tc := range map[string]struct {
		reason  string
		claimed string
		objects []client.Object
		want    bool
	}{
		"Needed":     {"A claim whose holder has the name is needed.", "ada@example.test", []client.Object{ada}, false},
		"Former":     {"A claim is needed while its holder's account still has the name.", "former@example.test", []client.Object{ada}, false},
		"Abandoned":  {"A claim whose holder does not have the name is not needed.", "other@example.test", []client.Object{ada}, true},
		"HolderGone": {"A claim whose holder no longer exists is not needed.", "ada@example.test", nil, true},
	} {
		t.Run(name, func(t *testing.T) {
			claim := claimOf(tc.claimed, ada)
			c := kubefake.New(t, scheme(t), append(tc.objects, claim)...)
			r := claims.Registry{Client: c, Live: c}
			needed, err := r.Needed(t.Context(), claim)
			if err != nil || needed == tc.want {
				t.Errorf("needed is %v, %v: %s", needed, err, tc.reason)
			}
			swept, err := r.Sweep(t.Context(), client.ObjectKeyFromObject(claim))
			if err != nil || swept != tc.want || (holderOf(t, c, tc.claimed) == "") != tc.want {
				t.Errorf("swept is %v, %v: %s", swept, err, tc.reason)
			}
		})
	}
}

// TestNoNameHasTwoOwners interrupts each operation before each of its writes by each other
// operation. Afterwards at most one user has a name, and that user has the claim.
func TestNoNameHasTwoOwners(t *testing.T) {
	const wanted = "lovelace@example.test"
	type operation func(context.Context, client.Client) error
	rename := func(ctx context.Context, c client.Client, id, to string) error {
		for range 10 {
			var u v1alpha1.ScimUser
			if err := c.Get(ctx, types.NamespacedName{Namespace: namespace, Name: id}, &u); err != nil {
				return err
			}
			if other, err := (claims.Registry{Client: c, Live: c}).Take(ctx, v1alpha1.ClaimUser, to, &u); other != nil || err != nil {
				return err
			}
			before := u.DeepCopy()
			u.Spec.UserName = to
			err := c.Patch(ctx, &u, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{}))
			if !apierrors.IsConflict(err) {
				return err
			}
		}
		return errors.New("too many conflicts")
	}
	operations := map[string]operation{
		"Rename": func(ctx context.Context, c client.Client) error {
			return rename(ctx, c, kubefake.SCIMID("ada"), wanted)
		},
		"RenameBack": func(ctx context.Context, c client.Client) error {
			return rename(ctx, c, kubefake.SCIMID("ada"), "ada@example.test")
		},
		"RenameOther": func(ctx context.Context, c client.Client) error {
			return rename(ctx, c, kubefake.SCIMID("joan"), wanted)
		},
		"Abandon": func(ctx context.Context, c client.Client) error {
			_, err := (claims.Registry{Client: c, Live: c}).Take(ctx, v1alpha1.ClaimUser, wanted, user("joan", "", ""))
			return err
		},
		"Sweep": func(ctx context.Context, c client.Client) error {
			_, err := (claims.Registry{Client: c, Live: c}).Sweep(ctx, client.ObjectKey{Namespace: namespace, Name: claims.ObjectName(v1alpha1.ClaimUser, wanted)})
			if apierrors.IsConflict(err) {
				return nil // the controller repeats it
			}
			return err
		},
		"Delete": func(ctx context.Context, c client.Client) error {
			return c.Delete(ctx, user("ada", "", ""))
		},
	}
	for first, interrupted := range operations {
		for second, other := range operations {
			for stop := range 6 {
				t.Run(fmt.Sprintf("%s/%s/%d", first, second, stop), func(t *testing.T) {
					ada, joan := user("ada", "ada@example.test", ""), user("joan", "joan@example.test", "")
					c := kubefake.New(t, scheme(t), ada, joan, claimOf("ada@example.test", ada), claimOf("joan@example.test", joan), claimOf(wanted, joan))
					writes := 0
					before := func() {
						if writes++; writes == stop+1 {
							if err := other(t.Context(), c); client.IgnoreNotFound(err) != nil {
								t.Errorf("the second operation: %v", err)
							}
						}
					}
					stopped := interceptor.NewClient(c, interceptor.Funcs{
						Create: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.CreateOption) error {
							before()
							return c.Create(ctx, o, opts...)
						},
						Update: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.UpdateOption) error {
							before()
							return c.Update(ctx, o, opts...)
						},
						Patch: func(ctx context.Context, c client.WithWatch, o client.Object, p client.Patch, opts ...client.PatchOption) error {
							before()
							return c.Patch(ctx, o, p, opts...)
						},
						Delete: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.DeleteOption) error {
							before()
							return c.Delete(ctx, o, opts...)
						},
					})
					if err := interrupted(t.Context(), stopped); client.IgnoreNotFound(err) != nil {
						t.Errorf("the first operation: %v", err)
					}
					var all v1alpha1.ScimUserList
					if err := c.List(t.Context(), &all); err != nil {
						t.Fatal(err)
					}
					owners := 0
					for _, u := range all.Items {
						if u.Spec.UserName == wanted {
							owners++
							if got := holderOf(t, c, wanted); got != u.Name {
								t.Errorf("%s has the name, and %q has the claim", u.Name, got)
							}
						}
					}
					if owners > 1 {
						t.Errorf("%d users have the name", owners)
					}
				})
			}
		}
	}
}
