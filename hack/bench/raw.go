package main

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/claims"
	"lightrun.com/scim-operator/internal/devenv"
)

// raw is the API server's own rate: for each SCIM request, the calls that the webhook makes for it, made by client-go alone under the
// webhook's service account. Nothing is looked up, checked or converted in between.
type raw struct{ client client.Client }

func (r *raw) list(ctx context.Context, _ int) error {
	var list v1alpha1.ScimUserList
	return r.client.List(ctx, &list, client.InNamespace(devenv.Namespace), client.Limit(100))
}

func (r *raw) get(ctx context.Context, i int) error {
	var u v1alpha1.ScimUser
	return r.client.Get(ctx, key(personID(i)), &u)
}

// equal reads the claim, and who holds it.
func (r *raw) equal(ctx context.Context, i int) error {
	var c v1alpha1.NameClaim
	if err := r.client.Get(ctx, key(claims.ObjectName(v1alpha1.ClaimUser, personName(i))), &c); err != nil {
		return err
	}
	var u v1alpha1.ScimUser
	return r.client.Get(ctx, key(c.Spec.Holder.Name), &u)
}

// post creates the object and then its claim.
func (r *raw) post(ctx context.Context, name string) error {
	u := &v1alpha1.ScimUser{
		ObjectMeta: metav1.ObjectMeta{Namespace: devenv.Namespace, Name: uuid.NewString()},
		Spec:       spec(name),
	}
	if err := r.create(ctx, u); err != nil {
		return err
	}
	return r.claim(ctx, v1alpha1.ClaimUser, name, u)
}

func (r *raw) claim(ctx context.Context, typ v1alpha1.ClaimType, name string, holder client.Object) error {
	return r.create(ctx, &v1alpha1.NameClaim{
		ObjectMeta: metav1.ObjectMeta{Namespace: devenv.Namespace, Name: claims.ObjectName(typ, name)},
		Spec:       v1alpha1.NameClaimSpec{Type: typ, Holder: v1alpha1.ClaimHolder{Name: holder.GetName(), UID: string(holder.GetUID())}},
	})
}

func (r *raw) create(ctx context.Context, o client.Object) error {
	return r.client.Create(ctx, o, client.FieldOwner(v1alpha1.FieldManagerWebhook))
}

// patchActive patches a person straight away. The webhook's patch bears the version that its cache knows; it reads only after a conflict.
func (r *raw) patchActive(ctx context.Context, i int, active bool) error {
	u := &v1alpha1.ScimUser{ObjectMeta: metav1.ObjectMeta{Namespace: devenv.Namespace, Name: personID(i)}}
	return r.patch(ctx, u, map[string]any{
		"metadata": map[string]any{"annotations": map[string]any{annotationModified: modified}},
		"spec":     map[string]any{"active": active},
	})
}

const (
	annotationModified = "iam.lightrun.com/last-modified"
	annotationTrace    = "iam.lightrun.com/members-as-of"
	modified           = "2026-01-01T00:00:00.000Z"
)

func (r *raw) patch(ctx context.Context, o client.Object, change map[string]any) error {
	data, err := json.Marshal(change)
	if err != nil {
		return err
	}
	return r.client.Patch(ctx, o, client.RawPatch(types.MergePatchType, data), client.FieldOwner(v1alpha1.FieldManagerWebhook))
}

// group makes a pool, its claim, and each member's part.
func (r *raw) group(ctx context.Context, name string, members []string) (string, error) {
	p := &v1alpha1.AgentPool{
		ObjectMeta: metav1.ObjectMeta{Namespace: devenv.Namespace, Name: uuid.NewString(), Finalizers: []string{v1alpha1.FinalizerPool}},
		Spec:       v1alpha1.AgentPoolSpec{DisplayName: name},
	}
	if err := r.create(ctx, p); err != nil {
		return "", err
	}
	if err := r.claim(ctx, v1alpha1.ClaimPool, name, p); err != nil {
		return "", err
	}
	if len(members) == 0 {
		return p.Name, nil
	}
	return p.Name, r.move(ctx, p.Name, members, true)
}

// patchGroup reads the pool, patches each person, and leaves the trace on the pool.
func (r *raw) patchGroup(ctx context.Context, id string, members []string, in bool) error {
	var p v1alpha1.AgentPool
	if err := r.client.Get(ctx, key(id), &p); err != nil {
		return err
	}
	return r.move(ctx, id, members, in)
}

// move patches people eight at a time, as many as the webhook does.
func (r *raw) move(ctx context.Context, id string, members []string, in bool) error {
	pools := []string{}
	if in {
		pools = append(pools, id)
	}
	work, workCtx := errgroup.WithContext(ctx)
	work.SetLimit(8)
	for _, m := range members {
		work.Go(func() error {
			u := &v1alpha1.ScimUser{ObjectMeta: metav1.ObjectMeta{Namespace: devenv.Namespace, Name: m}}
			return r.patch(workCtx, u, map[string]any{
				"metadata": map[string]any{"annotations": map[string]any{annotationModified: modified}}, "spec": map[string]any{"pools": pools},
			})
		})
	}
	if err := work.Wait(); err != nil {
		return fmt.Errorf("patch the members: %w", err)
	}
	p := &v1alpha1.AgentPool{ObjectMeta: metav1.ObjectMeta{Namespace: devenv.Namespace, Name: id}}
	return r.patch(ctx, p, map[string]any{"metadata": map[string]any{"annotations": map[string]any{annotationTrace: uuid.NewString()}}})
}

func key(name string) client.ObjectKey {
	return client.ObjectKey{Namespace: devenv.Namespace, Name: name}
}
