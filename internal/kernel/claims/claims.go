// SPDX-License-Identifier: Apache-2.0

// Package claims is the protocol by which objects get the exclusive right to a name. A claim is an
// object whose own name is the digest of the folded name, so the API server creates it at most
// once. The webhook, the controllers, `kubectl scim plan` and the tests use these functions, so
// that they agree on which object has a name.
//
// A rename reads the object, writes the claim on the new name, and then writes the object at the
// resourceVersion that was read. A claim can be taken from an object that no longer exists, or that
// does not have the name because its rename was abandoned or is complete. To take it, read the
// claim, read its holder, write the holder, and write the claim at the resourceVersion that was
// read. A rename and a taking of the same claim both write both objects, in these orders. Therefore
// one of two concurrent operations fails on a resourceVersion and starts again: no name ever has
// two owners.
package claims

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/google/uuid"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/kernel/names"
	"lightrun.com/scim-operator/internal/kernel/retry"
)

// AnnotationAttempt is changed by a write that must change an object's resourceVersion and nothing
// else.
const AnnotationAttempt = "iam.lightrun.com/claim-attempt"

// Registry takes, releases and sweeps claims. It is safe for concurrent use.
type Registry struct {
	// Client writes. It may read from a cache: only Keep and Needed read with it.
	Client client.Client
	// Live reads from the API server.
	Live client.Reader
	// Names returns all names that an object has. If it is nil, the function Names is used. The
	// manager sets it, because it also knows the names of groups' own pools.
	Names func(client.Object) []string
}

// ObjectName returns the name of the NameClaim for a name.
func ObjectName(typ v1alpha1.ClaimType, name string) string {
	return strings.ToLower(string(typ)) + "-" + names.Digest(name)
}

// Names returns the names that an object has: the name in its spec, and also its previous name
// while the portal's record still has that one.
func Names(o client.Object) []string {
	switch o := o.(type) {
	case *v1alpha1.ScimUser:
		return []string{o.Spec.UserName, o.Status.UserName}
	case *v1alpha1.ScimGroup:
		return []string{o.Spec.DisplayName}
	case *v1alpha1.AgentPool:
		return []string{o.PortalName(), o.Status.DisplayName}
	}
	return nil
}

// has reports whether an object has the name of this claim.
func (r Registry) has(o client.Object, claim string, typ v1alpha1.ClaimType) bool {
	all := Names
	if r.Names != nil {
		all = r.Names
	}
	return slices.ContainsFunc(all(o), func(n string) bool { return n != "" && ObjectName(typ, n) == claim })
}

// Keep takes the claim on a name for holder, which has the name in its spec. If another object has
// the name, Keep returns that object. If the cache shows that holder has the claim, Keep makes no
// call.
func (r Registry) Keep(ctx context.Context, typ v1alpha1.ClaimType, name string, holder client.Object) (other client.Object, err error) {
	claim := newClaim(typ, name, holder)
	want := claim.Spec.Holder
	if err := r.Client.Get(ctx, client.ObjectKeyFromObject(claim), claim); err == nil && claim.Spec.Holder == want {
		return nil, nil
	} else if client.IgnoreNotFound(err) != nil {
		return nil, fmt.Errorf("get claim %s: %w", claim.Name, err)
	}
	return r.Take(ctx, typ, name, holder)
}

// Take takes the claim on a name for holder. If another object has the name, Take returns that
// object. Otherwise it always writes the claim, because a rename depends on that write.
func (r Registry) Take(ctx context.Context, typ v1alpha1.ClaimType, name string, holder client.Object) (other client.Object, err error) {
	for attempt := range retry.Attempts {
		if err := retry.Pause(ctx, attempt); err != nil {
			return nil, err
		}
		other, err = r.takeOnce(ctx, typ, name, holder, nil)
		if !overtaken(err) {
			return other, err
		}
	}
	return nil, fmt.Errorf("claim %s: other writers changed it at each of %d attempts", ObjectName(typ, name), retry.Attempts)
}

// TakeFrom is Take, but from, which has the name, gives it to holder: a group's own pool gives its
// name to the pool that names the group.
func (r Registry) TakeFrom(ctx context.Context, typ v1alpha1.ClaimType, name string, from, holder client.Object) (other client.Object, err error) {
	other, err = r.takeOnce(ctx, typ, name, holder, from)
	if overtaken(err) {
		return r.Take(ctx, typ, name, holder)
	}
	return other, err
}

// overtaken reports whether a write failed because another writer was faster.
func overtaken(err error) bool {
	return apierrors.IsConflict(err) || apierrors.IsNotFound(err) || apierrors.IsAlreadyExists(err)
}

func newClaim(typ v1alpha1.ClaimType, name string, holder client.Object) *v1alpha1.NameClaim {
	return &v1alpha1.NameClaim{
		ObjectMeta: metav1.ObjectMeta{Namespace: holder.GetNamespace(), Name: ObjectName(typ, name)},
		Spec:       v1alpha1.NameClaimSpec{Type: typ, Holder: holderOf(holder)},
	}
}

func holderOf(o client.Object) v1alpha1.ClaimHolder {
	return v1alpha1.ClaimHolder{Name: o.GetName(), UID: string(o.GetUID())}
}

func (r Registry) takeOnce(ctx context.Context, typ v1alpha1.ClaimType, name string, holder, agrees client.Object) (client.Object, error) {
	claim := newClaim(typ, name, holder)
	want := claim.Spec.Holder
	err := r.Client.Create(ctx, claim)
	if err == nil {
		return nil, nil
	}
	if !apierrors.IsAlreadyExists(err) {
		return nil, fmt.Errorf("create claim %s: %w", claim.Name, err)
	}
	if err := r.Live.Get(ctx, client.ObjectKeyFromObject(claim), claim); err != nil {
		return nil, err
	}
	if claim.Spec.Holder != want && (agrees == nil || claim.Spec.Holder != holderOf(agrees)) {
		if other, err := r.vacate(ctx, claim); other != nil || err != nil {
			return other, err
		}
	}
	claim.Spec.Holder = want
	metav1.SetMetaDataAnnotation(&claim.ObjectMeta, AnnotationAttempt, uuid.NewString())
	return nil, r.Client.Update(ctx, claim) // with the resourceVersion: compare-and-swap
}

// vacate checks that the claim's holder does not have the name, and makes sure that the holder
// can't get it back concurrently. If the holder has the name, vacate returns the holder.
func (r Registry) vacate(ctx context.Context, claim *v1alpha1.NameClaim) (other client.Object, err error) {
	holder, err := Holder(ctx, r.Live, claim)
	switch {
	case err != nil:
		return nil, err
	case holder == nil || Gone(holder):
		return nil, nil
	case r.has(holder, claim.Name, claim.Spec.Type):
		return holder, nil
	}
	return nil, Touch(ctx, r.Client, holder)
}

// Touch changes an object's resourceVersion and nothing else. It fails with a conflict if the
// object has changed since it was read.
func Touch(ctx context.Context, w client.Writer, o client.Object) error {
	before := o.DeepCopyObject().(client.Object)
	annotations := map[string]string{AnnotationAttempt: uuid.NewString()}
	for k, v := range o.GetAnnotations() {
		if k != AnnotationAttempt {
			annotations[k] = v
		}
	}
	o.SetAnnotations(annotations)
	if err := w.Patch(ctx, o, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})); err != nil {
		return fmt.Errorf("touch %s: %w", o.GetName(), err)
	}
	return nil
}

// Owner returns the existing object that has the name and its claim, or nil.
func (r Registry) Owner(ctx context.Context, typ v1alpha1.ClaimType, namespace, name string) (client.Object, error) {
	var claim v1alpha1.NameClaim
	key := types.NamespacedName{Namespace: namespace, Name: ObjectName(typ, name)}
	if err := r.Live.Get(ctx, key, &claim); err != nil {
		if apierrors.IsNotFound(err) {
			return nil, nil
		}
		return nil, fmt.Errorf("get claim %s: %w", key.Name, err)
	}
	holder, err := Holder(ctx, r.Live, &claim)
	if err != nil || holder == nil || Gone(holder) || !r.has(holder, claim.Name, typ) {
		return nil, err
	}
	return holder, nil
}

// Release deletes holder's claim on a name that holder does not have, or gives up because it is
// being deleted. It does not change a claim of another object. It fails with a conflict if holder
// has changed since it was read.
func (r Registry) Release(ctx context.Context, typ v1alpha1.ClaimType, name string, holder client.Object) error {
	claim := newClaim(typ, name, holder)
	want := claim.Spec.Holder
	if err := r.Live.Get(ctx, client.ObjectKeyFromObject(claim), claim); err != nil {
		return client.IgnoreNotFound(err)
	}
	if claim.Spec.Holder != want {
		return nil
	}
	return r.delete(ctx, claim, holder)
}

// Sweep deletes a claim whose holder does not exist or does not have the name. It reads the claim
// and the holder live.
func (r Registry) Sweep(ctx context.Context, key client.ObjectKey) (swept bool, err error) {
	var claim v1alpha1.NameClaim
	if err := r.Live.Get(ctx, key, &claim); err != nil {
		return false, client.IgnoreNotFound(err)
	}
	holder, err := Holder(ctx, r.Live, &claim)
	if err != nil {
		return false, err
	}
	if holder != nil && r.has(holder, claim.Name, claim.Spec.Type) {
		return false, nil
	}
	return true, r.delete(ctx, &claim, holder)
}

// Needed reports whether the claim's holder has the name. It reads the holder with r.Client.
func (r Registry) Needed(ctx context.Context, claim *v1alpha1.NameClaim) (bool, error) {
	holder, err := Holder(ctx, r.Client, claim)
	return holder != nil && r.has(holder, claim.Name, claim.Spec.Type), err
}

// delete writes to the claim's holder, if it exists, and then deletes the claim, if the claim has
// not changed since it was read.
func (r Registry) delete(ctx context.Context, claim *v1alpha1.NameClaim, holder client.Object) error {
	if holder != nil && !Gone(holder) {
		if err := Touch(ctx, r.Client, holder.DeepCopyObject().(client.Object)); err != nil {
			return fmt.Errorf("release claim %s: %w", claim.Name, err)
		}
	}
	uid, version := claim.UID, claim.ResourceVersion
	return client.IgnoreNotFound(r.Client.Delete(ctx, claim, client.Preconditions{UID: &uid, ResourceVersion: &version}))
}

// Gone reports whether an object is being deleted, or is a user or group that the provider has
// deleted. Then other objects can take its names.
func Gone(o client.Object) bool {
	switch o := o.(type) {
	case *v1alpha1.ScimUser:
		if o.Spec.Deleted {
			return true
		}
	case *v1alpha1.ScimGroup:
		if o.Spec.Deleted {
			return true
		}
	}
	return !o.GetDeletionTimestamp().IsZero()
}

// Holder returns the object that has the claim, read from r, or nil if it does not exist.
func Holder(ctx context.Context, r client.Reader, claim *v1alpha1.NameClaim) (client.Object, error) {
	holder := empty(claim.Spec.Type)
	err := r.Get(ctx, types.NamespacedName{Namespace: claim.Namespace, Name: claim.Spec.Holder.Name}, holder)
	switch {
	case apierrors.IsNotFound(err):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("get the holder of claim %s: %w", claim.Name, err)
	case string(holder.GetUID()) != claim.Spec.Holder.UID:
		return nil, nil
	}
	return holder, nil
}

// Kind returns the kind of the objects that take claims of the type.
func Kind(typ v1alpha1.ClaimType) string {
	switch typ {
	case v1alpha1.ClaimGroup:
		return "ScimGroup"
	case v1alpha1.ClaimPool:
		return "AgentPool"
	}
	return "ScimUser"
}

// empty returns an object of the kind that takes claims of the type.
func empty(typ v1alpha1.ClaimType) client.Object {
	switch typ {
	case v1alpha1.ClaimPool:
		return &v1alpha1.AgentPool{}
	case v1alpha1.ClaimGroup:
		return &v1alpha1.ScimGroup{}
	}
	return &v1alpha1.ScimUser{}
}
