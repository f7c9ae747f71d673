// SPDX-License-Identifier: Apache-2.0

package poolplan_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/kernel/portalapi"
	"lightrun.com/scim-operator/internal/operator/groupindex"
	"lightrun.com/scim-operator/internal/operator/poolindex"
	"lightrun.com/scim-operator/internal/operator/poolplan"
	"lightrun.com/scim-operator/internal/operator/portalclient/mirror"
)

// company is a cache of one pool, which a filter fills, and users, half of them in it.
type company struct {
	pool  v1alpha1.AgentPool
	users map[string]*v1alpha1.ScimUser
}

func (c *company) Get(_ context.Context, key client.ObjectKey, into client.Object, _ ...client.GetOption) error {
	u, found := c.users[key.Name]
	if !found {
		return apierrors.NewNotFound(schema.GroupResource{Resource: "scimusers"}, key.Name)
	}
	u.DeepCopyInto(into.(*v1alpha1.ScimUser))
	return nil
}

func (c *company) List(_ context.Context, list client.ObjectList, _ ...client.ListOption) error {
	switch list := list.(type) {
	case *v1alpha1.AgentPoolList:
		list.Items = []v1alpha1.AgentPool{c.pool}
	case *v1alpha1.ScimUserList:
		list.Items = make([]v1alpha1.ScimUser, 0, len(c.users))
		for _, u := range c.users {
			list.Items = append(list.Items, *u)
		}
	}
	return nil
}

// newCompany has n users and their accounts; those of even number are in Payments, and in the pool.
func newCompany(n int) (*company, *mirror.Mirror, *portalapi.Pool) {
	c := &company{
		pool: v1alpha1.AgentPool{
			ObjectMeta: metav1.ObjectMeta{Name: "payments", UID: "pool"},
			Spec:       v1alpha1.AgentPoolSpec{MemberFilter: `urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department eq "Payments"`},
		},
		users: map[string]*v1alpha1.ScimUser{},
	}
	m := mirror.New(func(mirror.Event) {})
	m.PutConfiguration(&portalapi.Configuration{Binding: &portalapi.Binding{ID: "b"}})
	own := &portalapi.Pool{ID: "1", Name: "payments", Owner: portalapi.Owner{UID: "pool", Name: "payments", Binding: "b"}, Revision: 1}
	m.PutPool(own)
	for i := range n {
		name := fmt.Sprintf("user-%06d", i)
		u := &v1alpha1.ScimUser{
			ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID("uid-" + name), Generation: 1},
			Spec: v1alpha1.ScimUserSpec{
				UserName: name + "@example.test", Revision: 1, Department: "Sales", Title: "Engineer",
				Emails: []v1alpha1.MultiValue{{Value: name + "@example.test"}},
			},
		}
		var in []string
		if i%2 == 0 {
			u.Spec.Department, in = "Payments", []string{"1"}
		}
		c.users[name] = u
		m.PutAccount(&portalapi.Account{
			ID: name, UserName: u.Spec.UserName, Status: portalapi.StatusActive, Pools: in, Revision: 1,
			Owner: portalapi.Owner{UID: string(u.UID), Name: name, Binding: "b", Revision: 1},
		})
	}
	return c, m, own
}

// move puts the user into another department, as a push does.
func (c *company) move(name, department string) *v1alpha1.ScimUser {
	u := c.users[name].DeepCopy()
	u.Spec.Department = department
	u.Generation++
	u.Spec.Revision++
	c.users[name] = u
	return u
}

// BenchmarkFilteredPass returns the cost of the members of a pass after one user of 100,000 was
// pushed.
func BenchmarkFilteredPass(b *testing.B) {
	c, m, own := newCompany(100_000)
	groups := groupindex.New()
	index := poolindex.New(c, "", groups)
	for _, u := range c.users {
		index.Observe(u)
	}
	pass := func() {
		snapshot, err := index.Snapshot(b.Context(), m)
		if err != nil {
			b.Fatal(err)
		}
		got, ok, err := poolplan.MemberChanges(b.Context(), &c.pool, own, poolplan.MemberFacts{
			Users: c, Groups: groups, Mirror: m, Snapshot: snapshot,
		})
		if err != nil || !ok || !got.None() {
			b.Fatal(got, ok, err)
		}
	}
	pass() // it asks about all users
	for i := 0; b.Loop(); i++ {
		index.Observe(c.move("user-000001", strings.Repeat("S", i%2+1)))
		pass()
	}
}
