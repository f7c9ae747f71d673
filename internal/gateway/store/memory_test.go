// SPDX-License-Identifier: Apache-2.0

package store

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/go-logr/logr"
	"github.com/google/uuid"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/kernel/groupslice"
)

// maxUserOverhead is the maximum number of bytes that the cache may use for one user in addition to
// the user's JSON. docs/benchmarks.md states it.
const maxUserOverhead = 1800

// TestMemoryOfAUser checks that keys, structs and indexes of a user take at most maxUserOverhead.
func TestMemoryOfAUser(t *testing.T) {
	const users = 4_000
	d, err := New(Options{Config: &rest.Config{Host: "127.0.0.1:1"}, Namespace: "test", Log: logr.Discard()})
	if err != nil {
		t.Fatal(err)
	}
	before := heap()
	json := 0
	for i := range users {
		r, err := d.userRecord(typicalUser(i))
		if err != nil {
			t.Fatal(err)
		}
		json += cap(r.value.resource.JSON)
		d.users.storeWrite(r)
	}
	perUser := int(heap()-before) / users
	t.Logf("%d bytes a user, %d of them JSON", perUser, json/users)
	if overhead := perUser - json/users; overhead > maxUserOverhead {
		t.Errorf("a user takes %d bytes in addition to %d bytes of JSON, want at most %d", overhead, json/users, maxUserOverhead)
	}
	runtime.KeepAlive(d)
}

func typicalUser(i int) *v1alpha1.ScimUser {
	enabled, name := true, fmt.Sprintf("person%06d@example.test", i)
	return &v1alpha1.ScimUser{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "test", Name: uuid.NewString(), UID: types.UID(uuid.NewString()), ResourceVersion: fmt.Sprint(i + 1), Generation: 1,
			CreationTimestamp: metav1.Now(), Annotations: map[string]string{AnnotationLastModified: "2026-01-01T00:00:00.000Z"},
		},
		Spec: v1alpha1.ScimUserSpec{
			UserName: name, ExternalID: "00u-" + name, Active: &enabled, DisplayName: "Person " + name, Title: "Engineer",
			Name:       &v1alpha1.Name{GivenName: "Person", FamilyName: name},
			Emails:     []v1alpha1.MultiValue{{Value: name, Type: "work", Primary: &enabled}},
			Department: "Payments", EmployeeNumber: "4711",
		},
	}
}

// heap collects garbage and returns the number of bytes in use.
func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// maxMembershipBytes is the maximum number of bytes in the cache for one user's membership
// of one group, for a user in 20 groups. docs/benchmarks.md states it.
const maxMembershipBytes = 32

// TestMemoryOfAMembership checks that a membership takes at most maxMembershipBytes: there may be
// millions of memberships.
func TestMemoryOfAMembership(t *testing.T) {
	const users, groups = 8_192, 20
	d := offline(t)
	ids := make([]string, users)
	for i := range ids {
		id := uuid.New()
		id[0], id[1] = byte(i>>5), byte(i<<3) // evenly spread places
		ids[i] = id.String()
	}
	before := heap()
	version := 0
	for range groups {
		group := uuid.NewString()
		for first := 0; first < users; first += v1alpha1.SliceTarget {
			version++
			s := &v1alpha1.ScimGroupSlice{
				ObjectMeta: metav1.ObjectMeta{Name: groupslice.Name(group, groupslice.Place(ids[first])), UID: types.UID(uuid.NewString()), ResourceVersion: fmt.Sprint(version)},
				Spec:       v1alpha1.ScimGroupSliceSpec{Bits: 6},
			}
			s.Spec.SetMembers(ids[first : first+v1alpha1.SliceTarget])
			r, err := d.sliceRecord(s)
			if err != nil {
				t.Fatal(err)
			}
			d.slices.storeWrite(r)
		}
	}
	perMembership := int(heap()-before) / (users * groups)
	t.Logf("%d bytes a membership", perMembership)
	if n := len(d.members.groupsOf(uuid.MustParse(ids[0]))); n != groups {
		t.Fatalf("a user is in %d groups, want %d", n, groups)
	}
	if perMembership > maxMembershipBytes {
		t.Errorf("a membership takes %d bytes, want at most %d", perMembership, maxMembershipBytes)
	}
	runtime.KeepAlive(d)
}
