// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/kernel/claims"
	"lightrun.com/scim-operator/internal/kernel/groupslice"
	"lightrun.com/scim-operator/test/framework/devenv"
)

// raw measures the API server's own rate: for each SCIM request, client-go makes the webhook's
// calls under its service account, without any lookup, check or conversion in between.
type raw struct {
	client client.Client
	parts  sync.Map // group → []part, sorted by prefix
}

func (r *raw) list(ctx context.Context, _ int) error {
	var list v1alpha1.ScimUserList
	return r.client.List(ctx, &list, client.InNamespace(devenv.Namespace), client.Limit(100))
}

func (r *raw) get(ctx context.Context, i int) error {
	var u v1alpha1.ScimUser
	return r.client.Get(ctx, key(personID(i)), &u)
}

// equal reads the claim and its holder.
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
	u := &v1alpha1.ScimUser{ObjectMeta: r.fresh(), Spec: spec(name)}
	u.Spec.Revision = time.Now().UnixMilli()
	if err := r.create(ctx, u); err != nil {
		return err
	}
	return r.claim(ctx, v1alpha1.ClaimUser, name, u)
}

func (r *raw) fresh() metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: devenv.Namespace, Name: uuid.NewString()}
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

// patchActive patches a user without a read. The webhook does the same with the version in its
// cache, and reads only after a conflict.
func (r *raw) patchActive(ctx context.Context, i int, active bool) error {
	u := &v1alpha1.ScimUser{ObjectMeta: metav1.ObjectMeta{Namespace: devenv.Namespace, Name: personID(i)}}
	return r.patch(ctx, u, map[string]any{
		"metadata": map[string]any{"annotations": map[string]any{annotationModified: modified}},
		"spec":     map[string]any{"active": active, "revision": time.Now().UnixMilli()},
	})
}

const (
	annotationModified = "iam.lightrun.com/last-modified"
	modified           = "2026-01-01T00:00:00.000Z"
)

func (r *raw) patch(ctx context.Context, o client.Object, change map[string]any) error {
	data, err := json.Marshal(change)
	if err != nil {
		return err
	}
	return r.client.Patch(ctx, o, client.RawPatch(types.MergePatchType, data), client.FieldOwner(v1alpha1.FieldManagerWebhook))
}

// group creates slices, the group, its claim and its own pool, as the webhook does.
func (r *raw) group(ctx context.Context, name string, members []string) (string, error) {
	g := &v1alpha1.ScimGroup{ObjectMeta: r.fresh()}
	revision := time.Now().UnixMilli()
	g.Spec = v1alpha1.ScimGroupSpec{DisplayName: name, Revision: revision}
	parts := divide(part{members: members})
	work, workCtx := errgroup.WithContext(ctx)
	work.SetLimit(atOnce)
	for _, p := range parts {
		work.Go(func() error {
			spec := v1alpha1.ScimGroupSliceSpec{Bits: p.bits, Revision: revision}
			spec.SetMembers(p.members)
			return r.create(workCtx, &v1alpha1.ScimGroupSlice{
				ObjectMeta: metav1.ObjectMeta{
					Namespace: devenv.Namespace, Name: groupslice.Name(g.Name, p.prefix), Labels: map[string]string{v1alpha1.LabelGroup: g.Name},
				},
				Spec: spec,
			})
		})
	}
	if err := work.Wait(); err != nil {
		return "", fmt.Errorf("create the slices: %w", err)
	}
	if err := r.create(ctx, g); err != nil {
		return "", err
	}
	if err := r.claim(ctx, v1alpha1.ClaimGroup, name, g); err != nil {
		return "", err
	}
	own := &v1alpha1.AgentPool{
		ObjectMeta: metav1.ObjectMeta{Namespace: devenv.Namespace, Name: g.Name},
		Spec:       v1alpha1.AgentPoolSpec{Groups: []v1alpha1.GroupReference{{ID: g.Name}}},
	}
	r.parts.Store(g.Name, parts)
	return g.Name, r.create(ctx, own)
}

// part is what one slice covers, with the initial members in it.
type part struct {
	prefix  uint16
	bits    int32
	members []string
}

// divide halves a part until no slice exceeds the target size.
func divide(p part) []part {
	if len(p.members) <= v1alpha1.SliceTarget || p.bits == v1alpha1.SliceMaxBits {
		return []part{p}
	}
	bits := p.bits + 1
	low, high := part{prefix: p.prefix, bits: bits}, part{prefix: p.prefix | 1<<(v1alpha1.SliceMaxBits-bits), bits: bits}
	for _, m := range p.members {
		if groupslice.Place(m) < high.prefix {
			low.members = append(low.members, m)
		} else {
			high.members = append(high.members, m)
		}
	}
	return append(divide(low), divide(high)...)
}

// all gives each member the same value.
func all[V any](members []string, value V) map[string]V {
	out := make(map[string]V, len(members))
	for _, m := range members {
		out[m] = value
	}
	return out
}

// patchGroup reads the group and sends one patch for each slice that changes. It never splits a
// slice: with the given members, each slice must stay below v1alpha1.SliceMax.
func (r *raw) patchGroup(ctx context.Context, id string, members []string, in bool) error {
	var g v1alpha1.ScimGroup
	if err := r.client.Get(ctx, key(id), &g); err != nil {
		return err
	}
	known, _ := r.parts.Load(id)
	parts, _ := known.([]part)
	changes := map[uint16][]string{}
	for _, m := range members {
		i, found := slices.BinarySearchFunc(parts, groupslice.Place(m), func(p part, place uint16) int { return cmp.Compare(p.prefix, place) })
		if !found {
			i--
		}
		changes[parts[i].prefix] = append(changes[parts[i].prefix], m)
	}
	work, workCtx := errgroup.WithContext(ctx)
	work.SetLimit(atOnce)
	for prefix, of := range changes {
		work.Go(func() error { return r.patchSlice(workCtx, groupslice.Name(id, prefix), of, in) })
	}
	if err := work.Wait(); err != nil {
		return fmt.Errorf("patch the slices: %w", err)
	}
	return nil
}

func (r *raw) patchSlice(ctx context.Context, name string, members []string, in bool) error {
	s := &v1alpha1.ScimGroupSlice{ObjectMeta: metav1.ObjectMeta{Namespace: devenv.Namespace, Name: name}}
	// Without a revision: of two concurrent patches the API server would refuse the smaller
	// revision.
	return r.patch(ctx, s, map[string]any{"spec": map[string]any{"epoch": 0, "changes": all(members, in)}})
}

// atOnce is the number of slices that are written at the same time, the same as in the webhook.
const atOnce = 12

func key(name string) client.ObjectKey {
	return client.ObjectKey{Namespace: devenv.Namespace, Name: name}
}
