package directory

import (
	"context"
	"fmt"
	"slices"

	"github.com/google/uuid"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/claims"
	"lightrun.com/scim-operator/internal/names"
)

// The protocol of names. A holder is renamed by: read the holder, write the claim, write the holder on top of what was read.
// A claim is taken from a living holder that doesn't bear the name (its rename was abandoned, or is over) by: read the claim, read the
// holder, write the holder, write the claim on top of what was read. As both write both objects, and in these orders, whenever the two meet
// one of them fails on a version and starts again: a name is never borne by two.

// annotationAttempt is written where a write must leave a trace though nothing else changes.
const annotationAttempt = "iam.lightrun.com/claim-attempt"

// claim makes holder the holder of the name's claim, writing the claim in any case. It returns who else lives under that name, if anyone.
func (d *Directory) claim(ctx context.Context, typ v1alpha1.ClaimType, name string, holder client.Object) (taken client.Object, err error) {
	for attempt := range attempts {
		if err := pause(ctx, attempt); err != nil {
			return nil, err
		}
		taken, err = d.claimOnce(ctx, typ, name, holder)
		if !lost(err) {
			return taken, err
		}
	}
	return nil, errBusy("claim a name")
}

// lost says that somebody else was faster.
func lost(err error) bool {
	return apierrors.IsConflict(err) || apierrors.IsNotFound(err) || apierrors.IsAlreadyExists(err)
}

func (d *Directory) claimOnce(ctx context.Context, typ v1alpha1.ClaimType, name string, holder client.Object) (client.Object, error) {
	want := v1alpha1.ClaimHolder{Name: holder.GetName(), UID: string(holder.GetUID())}
	c := &v1alpha1.NameClaim{
		ObjectMeta: metav1.ObjectMeta{Namespace: d.namespace, Name: claims.ObjectName(typ, name)},
		Spec:       v1alpha1.NameClaimSpec{Type: typ, Holder: want},
	}
	err := d.create(ctx, c)
	if !apierrors.IsAlreadyExists(err) {
		return nil, err
	}
	if err := d.client.Get(ctx, client.ObjectKeyFromObject(c), c); err != nil {
		return nil, err
	}
	if c.Spec.Holder != want {
		taken, err := d.vacate(ctx, c, name)
		if taken != nil || err != nil {
			return taken, err
		}
	}
	c.Spec.Holder = want
	metav1.SetMetaDataAnnotation(&c.ObjectMeta, annotationAttempt, uuid.NewString())
	return nil, d.client.Update(ctx, c, client.FieldOwner(v1alpha1.FieldManagerWebhook)) // carries the resourceVersion
}

// vacate makes sure that nobody bears the claim's name, or returns who does.
func (d *Directory) vacate(ctx context.Context, c *v1alpha1.NameClaim, name string) (taken client.Object, err error) {
	holder, err := claims.Holder(ctx, d.client, c)
	switch {
	case err != nil:
		return nil, err
	case holder == nil || claims.Gone(holder):
		return nil, nil
	case bears(holder, name):
		return holder, nil
	}
	return nil, d.patch(ctx, holder, map[string]any{"metadata": map[string]any{
		"resourceVersion": holder.GetResourceVersion(),
		"annotations":     map[string]any{annotationAttempt: uuid.NewString()},
	}})
}

// bears says whether an object has the name, or had it and its account in the portal still has.
func bears(o client.Object, name string) bool {
	have := []string{}
	switch o := o.(type) {
	case *v1alpha1.ScimUser:
		have = append(have, o.Spec.UserName, o.Status.UserName)
	case *v1alpha1.ScimGroup:
		have = append(have, o.Spec.DisplayName)
	}
	folded := names.Fold(name)
	return slices.ContainsFunc(have, func(n string) bool { return n != "" && names.Fold(n) == folded })
}

// holder returns who holds a name now and bears it, read from the API server, or nil.
func (d *Directory) holder(ctx context.Context, typ v1alpha1.ClaimType, name string) (client.Object, error) {
	var c v1alpha1.NameClaim
	err := d.client.Get(ctx, types.NamespacedName{Namespace: d.namespace, Name: claims.ObjectName(typ, name)}, &c)
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read a claim: %w", err)
	}
	holder, err := claims.Holder(ctx, d.client, &c)
	if err != nil || holder == nil || claims.Gone(holder) || !bears(holder, name) {
		return nil, err
	}
	return holder, nil
}
