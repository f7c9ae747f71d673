// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"encoding/json"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/kernel/conditions"
)

// typical returns a person as most are, settled, and the claim of their name.
func typical(i int) (*v1alpha1.ScimUser, *v1alpha1.NameClaim) {
	name := fmt.Sprintf("person%06d@example.test", i)
	meta := func(object string) metav1.ObjectMeta {
		return metav1.ObjectMeta{
			Namespace: "lightrun-system", Name: object, UID: types.UID(uuid.NewString()), ResourceVersion: fmt.Sprint(i + 1), Generation: 2, CreationTimestamp: metav1.Unix(1, 0),
			ManagedFields: []metav1.ManagedFieldsEntry{{Manager: v1alpha1.FieldManagerWebhook, FieldsV1: &metav1.FieldsV1{Raw: []byte(`"` + strings.Repeat("x", 2_000) + `"`)}}},
		}
	}
	yes := true
	u := &v1alpha1.ScimUser{TypeMeta: metav1.TypeMeta{Kind: "ScimUser", APIVersion: v1alpha1.GroupVersion.String()}, ObjectMeta: meta(uuid.NewString())}
	u.Annotations = map[string]string{"iam.lightrun.com/last-modified": "2026-01-01T00:00:00.000Z", v1alpha1.AnnotationRequest: uuid.NewString()}
	u.Spec = v1alpha1.ScimUserSpec{
		UserName: name, ExternalID: "00u-" + name, Active: &yes, DisplayName: "Person " + name, Title: "Engineer",
		Name:       &v1alpha1.Name{GivenName: "Person", FamilyName: name},
		Emails:     []v1alpha1.MultiValue{{Value: name, Type: "work", Primary: &yes}},
		Department: "Payments", EmployeeNumber: "4711",
	}
	leaf := conditions.True
	u.Status = v1alpha1.ScimUserStatus{
		UserName: name, Account: uuid.NewString(), PoolNames: "default,payments", RoleNames: "ROLE_IGNORE_QUOTA,ROLE_USER", ObservedGeneration: 2,
		Pools: []v1alpha1.PoolMembership{{Name: "default", Source: v1alpha1.PoolSourceDefault}, {Name: "payments", Source: v1alpha1.PoolSourceGroup}},
		Roles: []v1alpha1.RoleGrant{{Name: "ROLE_IGNORE_QUOTA", From: []string{"payments"}}, {Name: "ROLE_USER", From: []string{"default"}}},
		Conditions: conditions.Compute(nil, 2, metav1.Unix(2, 0), []conditions.Leaf{
			leaf(v1alpha1.ConditionNameClaimed, v1alpha1.ReasonClaimed, "This user has the claim on the user name"), leaf(v1alpha1.ConditionPoolsResolved, v1alpha1.ReasonResolved, "In 2 pool(s)"),
			leaf(v1alpha1.ConditionOwned, v1alpha1.ReasonOwned, "The account follows this ScimUser"), leaf(v1alpha1.ConditionProvisioned, v1alpha1.ReasonProvisioned, "The account matches the identity provider"),
			leaf(v1alpha1.ConditionRolesInherited, v1alpha1.ReasonInherited, "Has exactly the roles of its pools"),
		}, nil),
	}
	c := &v1alpha1.NameClaim{ObjectMeta: meta(fmt.Sprintf("user-%064x", i)), Spec: v1alpha1.NameClaimSpec{Type: v1alpha1.ClaimUser, Holder: v1alpha1.ClaimHolder{Name: u.Name, UID: string(u.UID)}}}
	return u, c
}

func TestCompactKeepsWhatIsRead(t *testing.T) {
	for name, c := range map[string]struct {
		reason string
		change func(*v1alpha1.ScimUser)
		keeps  map[string]string
	}{
		"Settled": {reason: "The request id of a change that is already applied is not kept.", change: func(*v1alpha1.ScimUser) {}},
		"Pushed": {
			reason: "The request id of a change that is not applied yet is kept.",
			change: func(u *v1alpha1.ScimUser) {
				u.Generation, u.Annotations = 3, map[string]string{v1alpha1.AnnotationRequest: "r", v1alpha1.AnnotationTrace: "t", "other": "x"}
			},
			keeps: map[string]string{v1alpha1.AnnotationRequest: "r", v1alpha1.AnnotationTrace: "t"},
		},
		"Decided": {
			reason: "A decision about a held removal is kept.",
			change: func(u *v1alpha1.ScimUser) {
				u.Annotations = map[string]string{v1alpha1.AnnotationRelease: "2", v1alpha1.AnnotationDrop: "2", v1alpha1.AnnotationDecidedBy: "bob"}
			},
			keeps: map[string]string{v1alpha1.AnnotationRelease: "2", v1alpha1.AnnotationDrop: "2", v1alpha1.AnnotationDecidedBy: "bob"},
		},
		"Deleted": {
			reason: "The request id of a deletion over SCIM is kept.",
			change: func(u *v1alpha1.ScimUser) {
				u.Spec.Deleted, u.Annotations = true, map[string]string{v1alpha1.AnnotationRequest: "d"}
			},
			keeps: map[string]string{v1alpha1.AnnotationRequest: "d"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			u, _ := typical(1)
			c.change(u)
			want := u.DeepCopy()
			want.ManagedFields, want.Annotations = nil, c.keeps
			for range 2 { // what was compacted is the same when it is compacted again
				if _, err := compact(u); err != nil {
					t.Fatal(err)
				}
				if d := cmp.Diff(want, u); d != "" {
					t.Errorf("%s (-want +got):\n%s", c.reason, d)
				}
			}
		})
	}
}

// maxCachedBytes is the maximum number of bytes in the manager's cache for one typical user and the
// user's claim, without the keys of its store.
const maxCachedBytes = 3_000

func TestMemoryOfACachedUser(t *testing.T) {
	const users = 4_000
	var kept []client.Object
	before := heap()
	for i := range users {
		u, c := typical(i)
		for _, o := range []client.Object{u, c} {
			kept = append(kept, decoded(t, o))
		}
	}
	each := int(heap()-before) / users
	t.Logf("a user takes %d bytes", each)
	if each > maxCachedBytes {
		t.Errorf("a user takes %d bytes, want at most %d", each, maxCachedBytes)
	}
	runtime.KeepAlive(kept)
}

// decoded is o as it enters the cache: every text of it a copy of its own, then compacted.
func decoded(t *testing.T, o client.Object) client.Object {
	t.Helper()
	text, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	var out client.Object = &v1alpha1.ScimUser{}
	if _, claim := o.(*v1alpha1.NameClaim); claim {
		out = &v1alpha1.NameClaim{}
	}
	if err := json.Unmarshal(text, out); err != nil {
		t.Fatal(err)
	}
	if _, err := compact(out); err != nil {
		t.Fatal(err)
	}
	return out
}

// heap returns how many bytes are in use after everything unreachable has gone.
func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
