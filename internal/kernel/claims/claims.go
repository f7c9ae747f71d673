// SPDX-License-Identifier: Apache-2.0

// Package claims is the protocol by which objects get the exclusive right to a name. A claim is an
// object whose own name is the digest of the folded name, so the API server creates it at most
// once. The webhook, the controllers, `kubectl scim plan` and the tests use these functions, and so
// agree on which object has a name.
//
// A rename reads the object, writes the claim on the new name, and writes the object at the version
// that was read. A claim can be taken from an object that is gone, or that exists but does not have
// the name (its rename was abandoned, or is complete): read the claim, read its holder, write the
// holder, write the claim at the version that was read. Both write both objects, in these orders.
// So of two concurrent operations one fails on a version and starts again: no name ever has two
// owners.
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

// AnnotationAttempt is written where a write must change an object's version and nothing else.
const AnnotationAttempt = "iam.lightrun.com/claim-attempt"

// Registry takes, releases and sweeps claims. It is safe for concurrent use.
type Registry struct {
	// Client writes. Where it reads from a cache, only Keep uses that.
	Client client.Client
	// Live reads from the API server.
	Live client.Reader
	// Names are all names that an object has; nil: Names. The manager also knows the names of
	// groups' own pools.
	Names func(client.Object) []string
}

// ObjectName returns the name of the NameClaim for a name.
func ObjectName(typ v1alpha1.ClaimType, name string) string {
	return strings.ToLower(string(typ)) + "-" + names.Digest(name)
}

// Names returns the names that an object has: the one in its spec, and after a rename also the old
// one, while the portal's record has it.
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

// Keep takes the claim for holder, which has the name, or returns the object that has the name
// instead. If the cache shows that holder has the claim already, Keep makes no call.
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

// Take takes the claim on a name for holder, or returns the object that has the name instead. It
// always writes the claim, because a rename depends on that write.
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
	return nil, fmt.Errorf("claim %s: others kept changing it", ObjectName(typ, name))
}

// TakeFrom is Take from an existing holder that has the name and agrees: a group's own pool agrees
// to the pool that names the group.
func (r Registry) TakeFrom(ctx context.Context, typ v1alpha1.ClaimType, name string, from, holder client.Object) (other client.Object, err error) {
	other, err = r.takeOnce(ctx, typ, name, holder, from)
	if overtaken(err) {
		return r.Take(ctx, typ, name, holder)
	}
	return other, err
}

// overtaken says that another writer was faster.
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

// vacate makes sure that no object has the claim's name, or returns the one that has it.
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

// Touch changes an object's version at the version that was read, and nothing else.
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

// Release deletes holder's claim on a name that holder, at the version that was read, does not have
// or gives up by its deletion. A claim of another object is left unchanged. A conflict means that
// holder has changed since it was read.
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

// Sweep deletes a claim whose holder is gone, or exists and does not have the name. It reads both
// live.
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

// Needed reports whether the claim's holder, read through the client, has the name.
func (r Registry) Needed(ctx context.Context, claim *v1alpha1.NameClaim) (bool, error) {
	holder, err := Holder(ctx, r.Client, claim)
	return holder != nil && r.has(holder, claim.Name, claim.Spec.Type), err
}

// delete deletes the claim if it is unchanged since it was read, after a write to its holder, if
// that exists.
func (r Registry) delete(ctx context.Context, claim *v1alpha1.NameClaim, holder client.Object) error {
	if holder != nil && !Gone(holder) {
		if err := Touch(ctx, r.Client, holder.DeepCopyObject().(client.Object)); err != nil {
			return fmt.Errorf("release claim %s: %w", claim.Name, err)
		}
	}
	uid, version := claim.UID, claim.ResourceVersion
	return client.IgnoreNotFound(r.Client.Delete(ctx, claim, client.Preconditions{UID: &uid, ResourceVersion: &version}))
}

// Gone reports whether an object is being deleted, or is the tombstone of a user or group that the
// provider deleted. Other objects can take its names.
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
