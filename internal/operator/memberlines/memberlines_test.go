// SPDX-License-Identifier: Apache-2.0

package memberlines

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/kernel/names"
	"lightrun.com/scim-operator/internal/kernel/portalapi"
)

const manager = v1alpha1.Role(portalapi.RoleManager)

// users are living users who have the claims on their names, by SCIM id.
func users(userNames map[string]string) Users {
	u := Users{UserNames: userNames, IDs: map[string]string{}}
	for id, name := range userNames {
		u.IDs[names.Fold(name)] = id
	}
	return u
}

func lines(userNames ...string) (out []v1alpha1.PoolMember) {
	for _, name := range userNames {
		out = append(out, v1alpha1.PoolMember{UserName: name})
	}
	return out
}

func pin(userName, id string) v1alpha1.PinnedMember {
	return v1alpha1.PinnedMember{UserName: userName, ID: id}
}

func gone(userName, id string, why v1alpha1.MemberGone) []v1alpha1.PinnedMember {
	return []v1alpha1.PinnedMember{{UserName: userName, ID: id, Gone: why}}
}

func TestResolve(t *testing.T) {
	in := func(ids ...string) func(string) bool {
		return func(id string) bool {
			for _, i := range ids {
				if i == id {
					return true
				}
			}
			return false
		}
	}
	for name, tc := range map[string]struct {
		reason string
		lines  []v1alpha1.PoolMember
		pins   []v1alpha1.PinnedMember
		users  map[string]string
		tombs  []string // ids of users that the provider deleted and whose ScimUsers still exist
		facts  Facts
		want   []Line
		now    []v1alpha1.PinnedMember
	}{
		"First": {
			reason: "A new line means the user who has the name now.",
			lines:  lines("bob"), users: map[string]string{"1": "bob"},
			want: []Line{{UserName: "bob", ID: "1"}}, now: []v1alpha1.PinnedMember{pin("bob", "1")},
		},
		"BeforeThePush": {
			reason: "Managers are declared before they are pushed: the line waits for its first user.",
			lines:  lines("bob"), users: map[string]string{"1": "eve"},
			want: []Line{{UserName: "bob", State: Absent}},
		},
		"Renamed": {
			reason: "After a rename of the user, the line means the same user.",
			lines:  lines("bob"), pins: []v1alpha1.PinnedMember{pin("bob", "1")}, users: map[string]string{"1": "robert"},
			want: []Line{{UserName: "bob", State: Renamed, ID: "1"}}, now: []v1alpha1.PinnedMember{pin("bob", "1")},
		},
		"RenamedAndNewUserOfTheName": {
			reason: "Another user who gets the former name of a renamed user gets nothing by the line.",
			lines:  lines("bob"), pins: []v1alpha1.PinnedMember{pin("bob", "1")}, users: map[string]string{"1": "robert", "2": "bob"},
			want: []Line{{UserName: "bob", State: Renamed, ID: "1"}}, now: []v1alpha1.PinnedMember{pin("bob", "1")},
		},
		"Swapped": {
			reason: "Two users who exchange their names keep their own lines.",
			lines:  lines("bob", "eve"), pins: []v1alpha1.PinnedMember{pin("bob", "1"), pin("eve", "2")}, users: map[string]string{"1": "eve", "2": "bob"},
			want: []Line{{UserName: "bob", State: Renamed, ID: "1"}, {UserName: "eve", State: Renamed, ID: "2"}},
			now:  []v1alpha1.PinnedMember{pin("bob", "1"), pin("eve", "2")},
		},
		"LineFollowsTheRename": {
			reason: "A line whose name is changed in Git is another line: it means the user who has the new name.",
			lines:  lines("robert"), pins: []v1alpha1.PinnedMember{pin("bob", "1")}, users: map[string]string{"1": "robert", "2": "bob"},
			want: []Line{{UserName: "robert", ID: "1"}}, now: []v1alpha1.PinnedMember{pin("robert", "1")},
		},
		"Deleted": {
			reason: "After the user's deletion, the pin stays, and no decision is needed while no user has the name.",
			lines:  lines("bob"), pins: []v1alpha1.PinnedMember{pin("bob", "1")}, tombs: []string{"1"},
			want: []Line{{UserName: "bob", State: Absent}}, now: gone("bob", "1", v1alpha1.MemberDeleted),
		},
		"DeletionFinished": {
			reason: "The pin remembers the deletion when the ScimUser is gone.",
			lines:  lines("bob"), pins: gone("bob", "1", v1alpha1.MemberDeleted),
			want: []Line{{UserName: "bob", State: Absent}}, now: gone("bob", "1", v1alpha1.MemberDeleted),
		},
		"DeletedAndNewUserOfTheName": {
			reason: "Another user who gets the name of a deleted user waits for a decision, also if a group puts that user into the pool.",
			lines:  lines("bob"), pins: gone("bob", "1", v1alpha1.MemberDeleted), users: map[string]string{"2": "bob"}, facts: Facts{In: in("2")},
			want: []Line{{UserName: "bob", State: Changed, ID: "2", Former: "1"}}, now: gone("bob", "1", v1alpha1.MemberDeleted),
		},
		"Missing": {
			reason: "If the ScimUser disappeared without a deletion by the provider, the pin stays: a restore may bring it back.",
			lines:  lines("bob"), pins: []v1alpha1.PinnedMember{pin("bob", "1")},
			want: []Line{{UserName: "bob", State: Absent}}, now: gone("bob", "1", v1alpha1.MemberMissing),
		},
		"MissingAndPushedAgain": {
			reason: "A user with the name who was pushed again has the line, because the account that the user adopted is in the pool.",
			lines:  lines("bob"), pins: gone("bob", "1", v1alpha1.MemberMissing), users: map[string]string{"2": "bob"}, facts: Facts{In: in("2")},
			want: []Line{{UserName: "bob", ID: "2"}}, now: []v1alpha1.PinnedMember{pin("bob", "2")},
		},
		"MissingAndNewUserOfTheName": {
			reason: "A user with the name of a missing user who is not in the pool waits for a decision.",
			lines:  lines("bob"), pins: gone("bob", "1", v1alpha1.MemberMissing), users: map[string]string{"2": "bob"},
			want: []Line{{UserName: "bob", State: Changed, ID: "2", Former: "1"}}, now: gone("bob", "1", v1alpha1.MemberMissing),
		},
		"Accepted": {
			reason: "The annotation accept-members resolves the line to the user that it names.",
			lines:  lines("bob"), pins: gone("bob", "1", v1alpha1.MemberDeleted), users: map[string]string{"2": "bob"}, facts: Facts{Accepted: []string{"2"}},
			want: []Line{{UserName: "bob", ID: "2"}}, now: []v1alpha1.PinnedMember{pin("bob", "2")},
		},
		"AcceptedAnother": {
			reason: "The annotation accept-members does not count for another user than the one that it names.",
			lines:  lines("bob"), pins: []v1alpha1.PinnedMember{pin("bob", "1")}, users: map[string]string{"3": "bob"}, facts: Facts{Accepted: []string{"2"}},
			want: []Line{{UserName: "bob", State: Changed, ID: "3", Former: "1"}}, now: gone("bob", "1", v1alpha1.MemberMissing),
		},
		"Returns": {
			reason: "A user whose deletion was dropped has the line again, although another user has the name now.",
			lines:  lines("bob"), pins: gone("bob", "1", v1alpha1.MemberDeleted), users: map[string]string{"1": "robert", "2": "bob"}, facts: Facts{Accepted: []string{"2"}},
			want: []Line{{UserName: "bob", State: Renamed, ID: "1"}}, now: []v1alpha1.PinnedMember{pin("bob", "1")},
		},
		"Spelling": {
			reason: "Case is ignored, so another spelling is the same line, and the pin gets that spelling.",
			lines:  lines("BOB"), pins: []v1alpha1.PinnedMember{pin("bob", "1")}, users: map[string]string{"1": "robert", "2": "bob"},
			want: []Line{{UserName: "BOB", State: Renamed, ID: "1"}}, now: []v1alpha1.PinnedMember{pin("BOB", "1")},
		},
		"Removed": {
			reason: "A pin is removed together with its line; a line that is written again is resolved again.",
			pins:   []v1alpha1.PinnedMember{pin("bob", "1")}, users: map[string]string{"1": "robert", "2": "bob"},
		},
		"LostAndIn": {
			reason: "If the pin is lost and the user with the name is in the pool in the portal, the line needs no decision.",
			lines:  lines("bob"), users: map[string]string{"1": "bob"}, facts: Facts{Lost: true, In: in("1")},
			want: []Line{{UserName: "bob", ID: "1"}}, now: []v1alpha1.PinnedMember{pin("bob", "1")},
		},
		"LostAndNotIn": {
			reason: "If the pin is lost and the user with the name is not in the pool, the line needs a decision: it may have meant another user.",
			lines:  lines("bob"), users: map[string]string{"2": "bob"}, facts: Facts{Lost: true, In: in("1")},
			want: []Line{{UserName: "bob", State: Changed, ID: "2"}},
		},
		"LostAndAccepted": {
			reason: "The annotation accept-members resolves a line whose pin is lost.",
			lines:  lines("bob"), users: map[string]string{"2": "bob"}, facts: Facts{Lost: true, In: in(), Accepted: []string{"2"}},
			want: []Line{{UserName: "bob", ID: "2"}}, now: []v1alpha1.PinnedMember{pin("bob", "2")},
		},
		"LostAndFoundInThePortal": {
			reason: "A pin in the portal counts if the status has none.",
			lines:  lines("bob"), pins: []v1alpha1.PinnedMember{pin("bob", "1")}, users: map[string]string{"1": "robert", "2": "bob"}, facts: Facts{Lost: true, In: in()},
			want: []Line{{UserName: "bob", State: Renamed, ID: "1"}}, now: []v1alpha1.PinnedMember{pin("bob", "1")},
		},
		"StatusBeforePortal": {
			reason: "If the status and the portal have different pins of a line, the pin of the status counts.",
			lines:  lines("bob"), pins: []v1alpha1.PinnedMember{pin("bob", "2"), pin("bob", "1")}, users: map[string]string{"1": "robert", "2": "bob"},
			want: []Line{{UserName: "bob", ID: "2"}}, now: []v1alpha1.PinnedMember{pin("bob", "2")},
		},
	} {
		t.Run(name, func(t *testing.T) {
			if tc.facts.In == nil {
				tc.facts.In = in()
			}
			known := users(tc.users)
			for _, id := range tc.tombs {
				known.Deleted = map[string]bool{id: true}
			}
			got, now := Resolve(tc.lines, tc.pins, known, tc.facts)
			if diff := cmp.Diff(tc.want, got, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.reason, diff)
			}
			if diff := cmp.Diff(tc.now, now, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("%s Pins (-want +got):\n%s", tc.reason, diff)
			}
			if _, again := Resolve(tc.lines, now, known, Facts{Lost: tc.facts.Lost, In: tc.facts.In}); !cmp.Equal(now, again, cmpopts.EquateEmpty()) {
				t.Errorf("resolved again, the pins are %v, were %v", again, now)
			}
		})
	}
}

func TestDeclaredBy(t *testing.T) {
	record := func(ungranted ...string) *portalapi.Pool {
		return &portalapi.Pool{Roles: []string{portalapi.RoleManager}, Ungranted: ungranted}
	}
	byID := Declared{IDs: []string{"1"}, Open: []string{"eve"}}
	byName := Declared{Names: []string{"Bob", "eve"}}
	for name, tc := range map[string]struct {
		reason string
		roles  []v1alpha1.Role // in spec
		has    []v1alpha1.Role // in status
		record *portalapi.Pool
		want   Declared
	}{
		"Plain":      {"In a pool without ROLE_MANAGER, a line means the user who has the name.", nil, nil, nil, byName},
		"OtherRole":  {"In a pool with another role, a line means the user who has the name.", []v1alpha1.Role{"ROLE_IGNORE_QUOTA"}, nil, &portalapi.Pool{Roles: []string{"ROLE_IGNORE_QUOTA"}}, byName},
		"Gains":      {"In a pool that is about to grant ROLE_MANAGER, a line means its pinned user.", []v1alpha1.Role{manager}, nil, nil, byID},
		"Has":        {"In a pool that grants ROLE_MANAGER, a line means its pinned user.", []v1alpha1.Role{manager}, []v1alpha1.Role{manager}, record(), byID},
		"Loses":      {"In a pool that is about to lose ROLE_MANAGER, a line means its pinned user.", nil, []v1alpha1.Role{manager}, record(), byID},
		"StatusLost": {"In a pool to which the portal grants ROLE_MANAGER, a line means its pinned user, also if the status does not have the role.", nil, nil, record(), byID},
		"Missing":    {"A user who has the name of a missing user and is in the pool stays.", []v1alpha1.Role{manager}, nil, nil, Declared{IDs: []string{"1"}, Open: []string{"Bob", "eve"}}},
		"Drift":      {"A role without a grant does not count: it is removed and makes no member of the pool a manager.", nil, nil, record(portalapi.RoleManager), byName},
	} {
		t.Run(name, func(t *testing.T) {
			pool := &v1alpha1.AgentPool{
				Spec:   v1alpha1.AgentPoolSpec{Roles: tc.roles, Members: lines("Bob", "eve")},
				Status: v1alpha1.AgentPoolStatus{Roles: tc.has, Members: []v1alpha1.PinnedMember{pin("bob", "1")}},
			}
			if name == "Missing" {
				pool.Status.Members = gone("bob", "1", v1alpha1.MemberMissing)
			}
			if diff := cmp.Diff(tc.want, DeclaredBy(pool, tc.record)); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.reason, diff)
			}
		})
	}
}

func TestSettled(t *testing.T) {
	for name, tc := range map[string]struct {
		reason   string
		spec     v1alpha1.AgentPoolSpec
		observed int64
		want     bool
	}{
		"Resolved":     {"Lines are settled if their pins are of the current generation.", v1alpha1.AgentPoolSpec{Roles: []v1alpha1.Role{manager}, Members: lines("bob")}, 2, true},
		"NewLines":     {"Lines are not settled after a change of the spec: a line may be new.", v1alpha1.AgentPoolSpec{Roles: []v1alpha1.Role{manager}, Members: lines("bob")}, 1, false},
		"NoLines":      {"A pool without lines is settled.", v1alpha1.AgentPoolSpec{Roles: []v1alpha1.Role{manager}}, 1, true},
		"NamesDecide":  {"A pool without ROLE_MANAGER is settled: names decide.", v1alpha1.AgentPoolSpec{Members: lines("bob")}, 1, true},
		"StatusLost":   {"Lines are not settled if the status is lost.", v1alpha1.AgentPoolSpec{Roles: []v1alpha1.Role{manager}, Members: lines("bob")}, 0, false},
		"NamesAndLost": {"A pool without ROLE_MANAGER is settled without a status.", v1alpha1.AgentPoolSpec{Members: lines("bob")}, 0, true},
	} {
		t.Run(name, func(t *testing.T) {
			pool := &v1alpha1.AgentPool{ObjectMeta: metav1.ObjectMeta{Generation: 2}, Spec: tc.spec, Status: v1alpha1.AgentPoolStatus{ObservedGeneration: tc.observed}}
			if got := Settled(pool, nil); got != tc.want {
				t.Errorf("%v: %s", got, tc.reason)
			}
		})
	}
}
