// SPDX-License-Identifier: Apache-2.0

package poolindex_test

import (
	"context"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/kernel/portalapi"
	"lightrun.com/scim-operator/internal/operator/decide/access"
	"lightrun.com/scim-operator/internal/operator/groupindex"
	"lightrun.com/scim-operator/internal/operator/poolindex"
	"lightrun.com/scim-operator/internal/operator/portalclient/mirror"
)

// agentPools are the AgentPools that a cache lists.
type agentPools []v1alpha1.AgentPool

func (agentPools) Get(context.Context, client.ObjectKey, client.Object, ...client.GetOption) error {
	return nil
}

func (a agentPools) List(_ context.Context, list client.ObjectList, _ ...client.ListOption) error {
	list.(*v1alpha1.AgentPoolList).Items = a
	return nil
}

func agentPool(name string) v1alpha1.AgentPool {
	return v1alpha1.AgentPool{ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID("uid-" + name)}}
}

// portal has one pool of each kind.
func portal() *mirror.Mirror {
	m := mirror.New(func(mirror.Event) {})
	m.PutConfiguration(&portalapi.Configuration{Binding: &portalapi.Binding{ID: "binding"}})
	for id, p := range map[string]portalapi.Pool{
		"default":  {Name: "Default", Default: true, Owner: portalapi.Owner{UID: "uid-gone", Name: v1alpha1.DefaultName, Binding: "binding"}},
		"ruled":    {Name: "Ruled", Owner: portalapi.Owner{UID: "uid-ruled", Name: "ruled", Binding: "binding"}, Roles: []string{"ROLE_A"}},
		"restored": {Name: "Restored", Owner: portalapi.Owner{UID: "uid-before", Name: "restored", Binding: "binding"}, Roles: []string{"ROLE_B"}},
		"foreign":  {Name: "Foreign", Owner: portalapi.Owner{UID: "uid-foreign", Name: "ruled", Binding: "another"}},
		"gone":     {Name: "Gone", Owner: portalapi.Owner{UID: "uid-gone-1", Name: "gone", Binding: "binding"}, Roles: []string{"ROLE_A", "ROLE_C", "ROLE_RAW"}, Ungranted: []string{"ROLE_RAW"}},
		"portals":  {Name: "Made in the portal", Roles: []string{"ROLE_D"}},
	} {
		p.ID = id
		m.PutPool(&p)
	}
	return m
}

func TestWithoutAgentPool(t *testing.T) {
	var got []string
	for _, p := range poolindex.WithoutAgentPool(portal(), agentPools{agentPool("ruled"), agentPool("restored")}) {
		got = append(got, p.ID)
	}
	if diff := cmp.Diff([]string{"foreign", "gone"}, got); diff != "" {
		t.Errorf("An AgentPool owns the pool of its name under the same binding alone (-want +got):\n%s", diff)
	}
}

func TestAccessThrough(t *testing.T) {
	m := portal()
	snapshot, err := poolindex.New(agentPools{agentPool("ruled"), agentPool("restored")}, "company", groupindex.New()).Snapshot(t.Context(), m)
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		reason string
		in     []string
		gone   []string
		free   []string
		roles  []access.Grant
	}{
		"RuledPools": {"A pool with an AgentPool gives its roles, and its owner is not gone.", []string{"default", "ruled"}, nil, nil, []access.Grant{{Role: "ROLE_A", From: []string{"ruled"}}}},
		"OwnerGone": {
			"A pool whose AgentPool is gone still gives the roles that its owner granted, also if another pool gives the same role.", []string{"default", "gone", "ruled"}, []string{"gone"}, nil,
			[]access.Grant{{Role: "ROLE_A", From: []string{"gone", "ruled"}}, {Role: "ROLE_C", From: []string{"gone"}}},
		},
		"NotAdoptedYet": {"The owner of a pool whose AgentPool was restored is not gone: the AgentPool takes the pool over soon.", []string{"default", "restored"}, nil, nil, []access.Grant{{Role: "ROLE_B", From: []string{"restored"}}}},
		"WithoutOwner":  {"A pool without an owner gives its roles under its name in the portal, and its owner is not gone.", []string{"default", "portals"}, nil, []string{"Made in the portal"}, []access.Grant{{Role: "ROLE_D", From: []string{"Made in the portal"}}}},
	} {
		t.Run(name, func(t *testing.T) {
			unmanaged, roles := snapshot.AccessThrough(tc.in)
			names := map[access.Source][]string{}
			for _, u := range unmanaged {
				names[u.Source] = append(names[u.Source], u.Pool)
			}
			want := slices.Concat(tc.roles, []access.Grant{{Role: access.UserRole, From: []string{"default"}}})
			if diff := cmp.Diff(tc.gone, names[poolindex.OwnerGone]) + cmp.Diff(tc.free, names[poolindex.WithoutOwner]) + cmp.Diff(want, roles); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.reason, diff)
			}
			if got := snapshot.OwnerGone(tc.in); len(got) != len(tc.gone) {
				t.Errorf("%s Owner gone: %+v", tc.reason, got)
			}
			if got := snapshot.RolesWithoutOwner(tc.in); len(got) != len(tc.free) {
				t.Errorf("%s Without an owner: %+v", tc.reason, got)
			}
		})
	}
}
