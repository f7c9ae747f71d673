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

// memoryOfAUser is the most bytes that the cache may use for a user besides the JSON.
// docs/benchmarks.md states it.
const memoryOfAUser = 1800

// TestMemoryOfAUser: the cache contains a user's JSON once, and keys and structs of a bounded
// size.
func TestMemoryOfAUser(t *testing.T) {
	const people = 4_000
	d, err := New(Options{Config: &rest.Config{Host: "127.0.0.1:1"}, Namespace: "test", Log: logr.Discard()})
	if err != nil {
		t.Fatal(err)
	}
	before := heap()
	json := 0
	for i := range people {
		r, err := d.userRecord(typicalUser(i))
		if err != nil {
			t.Fatal(err)
		}
		json += cap(r.value.resource.JSON)
		d.users.wrote(r)
	}
	each := int(heap()-before) / people
	t.Logf("%d bytes a user, %d of them JSON", each, json/people)
	if besides := each - json/people; besides > memoryOfAUser {
		t.Errorf("a user takes %d bytes besides %d of JSON; at most %d are allowed", besides, json/people, memoryOfAUser)
	}
	runtime.KeepAlive(d)
}

func typicalUser(i int) *v1alpha1.ScimUser {
	yes, name := true, fmt.Sprintf("person%06d@example.test", i)
	return &v1alpha1.ScimUser{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "test", Name: uuid.NewString(), UID: types.UID(uuid.NewString()), ResourceVersion: fmt.Sprint(i + 1), Generation: 1,
			CreationTimestamp: metav1.Now(), Annotations: map[string]string{AnnotationLastModified: "2026-01-01T00:00:00.000Z"},
		},
		Spec: v1alpha1.ScimUserSpec{
			UserName: name, ExternalID: "00u-" + name, Active: &yes, DisplayName: "Person " + name, Title: "Engineer",
			Name:       &v1alpha1.Name{GivenName: "Person", FamilyName: name},
			Emails:     []v1alpha1.MultiValue{{Value: name, Type: "work", Primary: &yes}},
			Department: "Payments", EmployeeNumber: "4711",
		},
	}
}

// heap is how many bytes are in use after garbage collection.
func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// memoryOfAMembership is the most bytes that the cache may use for one user's membership of one
// group, for a user in 20 groups. docs/benchmarks.md states it.
const memoryOfAMembership = 32

// TestMemoryOfAMembership: a membership costs a few bytes, since there may be millions.
func TestMemoryOfAMembership(t *testing.T) {
	const people, groups = 8_192, 20
	d := offline(t)
	ids := make([]string, people)
	for i := range ids {
		id := uuid.New()
		id[0], id[1] = byte(i>>5), byte(i<<3) // evenly spread places
		ids[i] = id.String()
	}
	before := heap()
	version := 0
	for range groups {
		group := uuid.NewString()
		for first := 0; first < people; first += v1alpha1.SliceTarget {
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
			d.slices.wrote(r)
		}
	}
	each := int(heap()-before) / (people * groups)
	t.Logf("%d bytes a membership", each)
	if n := len(d.members.groupsOf(uuid.MustParse(ids[0]))); n != groups {
		t.Fatalf("a user is in %d groups", n)
	}
	if each > memoryOfAMembership {
		t.Errorf("a membership takes %d bytes; at most %d are allowed", each, memoryOfAMembership)
	}
	runtime.KeepAlive(d)
}
