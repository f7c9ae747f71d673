// Package claims takes and releases the right to a name. A claim is an object whose own name is the digest of the folded
// name, so the API server lets exactly one be created; a claim whose holder is gone or going is taken over by
// compare-and-swap. The webhook and the controllers use the same few functions.
package claims

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/names"
)

// attempts bounds how often a compare-and-swap is tried against others who want the same name.
const attempts = 5

// ObjectName is the name of the NameClaim for a name.
func ObjectName(typ v1alpha1.ClaimType, name string) string {
	return strings.ToLower(string(typ)) + "-" + names.Digest(name)
}

// Hold makes holder the holder of the name, or returns who holds it instead: a living object. cached may be a cache or
// the API server itself; what it says is trusted only when it says that holder has the claim already, so holding on to
// a name costs no call.
func Hold(ctx context.Context, cached client.Client, live client.Reader, typ v1alpha1.ClaimType, name string, holder client.Object) (*v1alpha1.ClaimHolder, error) {
	key := types.NamespacedName{Namespace: holder.GetNamespace(), Name: ObjectName(typ, name)}
	var claim v1alpha1.NameClaim
	if err := cached.Get(ctx, key, &claim); err == nil && holds(&claim, holder) {
		return nil, nil
	} else if client.IgnoreNotFound(err) != nil {
		return nil, fmt.Errorf("get claim %s: %w", key.Name, err)
	}
	for range attempts {
		other, err := take(ctx, cached, live, key, typ, holder)
		if apierrors.IsConflict(err) || apierrors.IsNotFound(err) || apierrors.IsAlreadyExists(err) {
			continue // somebody else was faster: look again
		}
		return other, err
	}
	return nil, fmt.Errorf("claim %s: others kept changing it", key.Name)
}

// Succeed has holder take the claim over from a living holder that agrees to it, by compare-and-swap. It returns who has
// the name instead, if that is another one by now.
func Succeed(ctx context.Context, cached client.Client, live client.Reader, typ v1alpha1.ClaimType, name string, from v1alpha1.ClaimHolder, holder client.Object) (*v1alpha1.ClaimHolder, error) {
	key := types.NamespacedName{Namespace: holder.GetNamespace(), Name: ObjectName(typ, name)}
	var claim v1alpha1.NameClaim
	if err := live.Get(ctx, key, &claim); err != nil {
		return nil, fmt.Errorf("get claim %s: %w", key.Name, err)
	}
	if claim.Spec.Holder != from {
		return Hold(ctx, cached, live, typ, name, holder)
	}
	claim.Spec.Holder = v1alpha1.ClaimHolder{Name: holder.GetName(), UID: string(holder.GetUID())}
	return nil, cached.Update(ctx, &claim) // carries the resourceVersion
}

// Rival returns the kind and name of the living object that holds the name instead of o, read from r; empty: nobody does.
func Rival(ctx context.Context, r client.Reader, typ v1alpha1.ClaimType, name string, o client.Object) (string, error) {
	var claim v1alpha1.NameClaim
	key := types.NamespacedName{Namespace: o.GetNamespace(), Name: ObjectName(typ, name)}
	if err := r.Get(ctx, key, &claim); err != nil || holds(&claim, o) {
		return "", client.IgnoreNotFound(err)
	}
	alive, err := Alive(ctx, r, &claim)
	if err != nil || !alive {
		return "", err
	}
	return Kind(typ) + " " + claim.Spec.Holder.Name, nil
}

// Kind is the kind of the objects that hold claims of the type.
func Kind(typ v1alpha1.ClaimType) string {
	switch typ {
	case v1alpha1.ClaimGroup:
		return "ScimGroup"
	case v1alpha1.ClaimPool:
		return "AgentPool"
	}
	return "ScimUser"
}

// take tries once.
func take(ctx context.Context, w client.Writer, live client.Reader, key types.NamespacedName, typ v1alpha1.ClaimType, holder client.Object) (*v1alpha1.ClaimHolder, error) {
	want := v1alpha1.ClaimHolder{Name: holder.GetName(), UID: string(holder.GetUID())}
	claim := v1alpha1.NameClaim{
		ObjectMeta: metav1.ObjectMeta{Namespace: key.Namespace, Name: key.Name},
		Spec:       v1alpha1.NameClaimSpec{Type: typ, Holder: want},
	}
	err := w.Create(ctx, &claim)
	if err == nil {
		return nil, nil
	}
	if !apierrors.IsAlreadyExists(err) {
		return nil, fmt.Errorf("create claim %s: %w", key.Name, err)
	}
	if err := live.Get(ctx, key, &claim); err != nil {
		return nil, err
	}
	if holds(&claim, holder) {
		return nil, nil
	}
	alive, err := Alive(ctx, live, &claim)
	if err != nil {
		return nil, err
	}
	if alive {
		other := claim.Spec.Holder
		return &other, nil
	}
	claim.Spec.Holder = want
	return nil, w.Update(ctx, &claim) // carries the resourceVersion: compare-and-swap
}

// Release gives up the claim of a holder that is being deleted. A claim that somebody else holds by now, or none, is left as it is.
func Release(ctx context.Context, w client.Writer, live client.Reader, typ v1alpha1.ClaimType, name string, holder client.Object) error {
	key := types.NamespacedName{Namespace: holder.GetNamespace(), Name: ObjectName(typ, name)}
	var claim v1alpha1.NameClaim
	if err := live.Get(ctx, key, &claim); err != nil {
		return client.IgnoreNotFound(err)
	}
	if !holds(&claim, holder) {
		return nil
	}
	return Delete(ctx, w, &claim)
}

// annotationSwept is written on a holder before a claim of its is swept.
const annotationSwept = "iam.lightrun.com/claims-swept-at"

// LetGo gives up the claim of a living holder on a name that, as it was read, it does not bear. A conflict means that it was written to since.
func LetGo(ctx context.Context, w client.Writer, live client.Reader, typ v1alpha1.ClaimType, name string, holder client.Object, now time.Time) error {
	key := types.NamespacedName{Namespace: holder.GetNamespace(), Name: ObjectName(typ, name)}
	var claim v1alpha1.NameClaim
	if err := live.Get(ctx, key, &claim); err != nil {
		return client.IgnoreNotFound(err)
	}
	if !holds(&claim, holder) {
		return nil
	}
	return Sweep(ctx, w, &claim, holder, now)
}

// Sweep removes a claim that its living holder does not need, after a write to the holder that changes nothing but its version. A rename to that name
// reads the holder, writes the claim and writes the holder, each on top of what it read: whenever the two meet, one of them fails on a version.
func Sweep(ctx context.Context, w client.Writer, claim *v1alpha1.NameClaim, holder client.Object, now time.Time) error {
	touched := holder.DeepCopyObject().(client.Object)
	annotations := map[string]string{}
	maps.Copy(annotations, holder.GetAnnotations())
	annotations[annotationSwept] = now.UTC().Format(time.RFC3339Nano)
	touched.SetAnnotations(annotations)
	if err := w.Patch(ctx, touched, client.MergeFromWithOptions(holder, client.MergeFromWithOptimisticLock{})); err != nil {
		return fmt.Errorf("touch %s, the holder of claim %s: %w", holder.GetName(), claim.Name, err)
	}
	return Delete(ctx, w, claim)
}

// Delete removes the claim if it is still exactly as it was read.
func Delete(ctx context.Context, w client.Writer, claim *v1alpha1.NameClaim) error {
	uid, rv := claim.UID, claim.ResourceVersion
	err := w.Delete(ctx, claim, client.Preconditions{UID: &uid, ResourceVersion: &rv})
	return client.IgnoreNotFound(err)
}

// Alive says whether the claim's holder exists and is not gone, read from r.
func Alive(ctx context.Context, r client.Reader, claim *v1alpha1.NameClaim) (bool, error) {
	holder, err := Holder(ctx, r, claim)
	return holder != nil && !Gone(holder), err
}

// annotationKept is written on a claim whose holder was gone and came back.
const annotationKept = "iam.lightrun.com/kept-at"

// Keep makes sure that holder, which was gone and came back, has the claim, or returns the living object that has it instead.
// It writes to a claim that holder has: a program that found holder gone and is about to take the claim over fails on its version.
func Keep(ctx context.Context, w client.Writer, live client.Reader, typ v1alpha1.ClaimType, name string, holder client.Object, now time.Time) (*v1alpha1.ClaimHolder, error) {
	key := types.NamespacedName{Namespace: holder.GetNamespace(), Name: ObjectName(typ, name)}
	for range attempts {
		other, err := keep(ctx, w, live, key, typ, holder, now)
		if apierrors.IsConflict(err) || apierrors.IsNotFound(err) || apierrors.IsAlreadyExists(err) {
			continue // another one was faster: look again
		}
		return other, err
	}
	return nil, fmt.Errorf("keep claim %s: others kept changing it", key.Name)
}

// keep tries once.
func keep(ctx context.Context, w client.Writer, live client.Reader, key types.NamespacedName, typ v1alpha1.ClaimType, holder client.Object, now time.Time) (*v1alpha1.ClaimHolder, error) {
	var claim v1alpha1.NameClaim
	err := live.Get(ctx, key, &claim)
	switch {
	case client.IgnoreNotFound(err) != nil:
		return nil, fmt.Errorf("get claim %s: %w", key.Name, err)
	case err != nil || !holds(&claim, holder):
		return take(ctx, w, live, key, typ, holder)
	}
	metav1.SetMetaDataAnnotation(&claim.ObjectMeta, annotationKept, now.UTC().Format(time.RFC3339Nano))
	return nil, w.Update(ctx, &claim)
}

// Gone says whether an object is being deleted or, as a user or group that the provider deleted, is a
// tombstone. Its names are free.
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

// Holder returns the object that holds the claim, read from r, or nil when it is gone.
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

// empty is an object of the kind that holds claims of the type.
func empty(typ v1alpha1.ClaimType) client.Object {
	switch typ {
	case v1alpha1.ClaimPool:
		return &v1alpha1.AgentPool{}
	case v1alpha1.ClaimGroup:
		return &v1alpha1.ScimGroup{}
	}
	return &v1alpha1.ScimUser{}
}

func holds(c *v1alpha1.NameClaim, holder client.Object) bool {
	return c.Spec.Holder.UID == string(holder.GetUID()) && c.Spec.Holder.Name == holder.GetName()
}
