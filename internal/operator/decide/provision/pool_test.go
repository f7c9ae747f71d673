// SPDX-License-Identifier: Apache-2.0

package provision

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/kernel/portalapi"
)

func TestComputePool(t *testing.T) {
	none, manager := []string{}, []string{"ROLE_MANAGER"}
	me, other := portalapi.Owner{UID: "u", Name: "payments"}, portalapi.Owner{UID: "x", Name: "other"}
	write := func(change ...func(*portalapi.PoolWrite)) portalapi.PoolWrite {
		w := portalapi.PoolWrite{Owner: me, Name: "Payments", Roles: manager}
		for _, c := range change {
			c(&w)
		}
		return w
	}
	named := func(name string) func(*portalapi.PoolWrite) { return func(w *portalapi.PoolWrite) { w.Name = name } }
	giving := func(roles ...string) func(*portalapi.PoolWrite) {
		return func(w *portalapi.PoolWrite) { w.Roles = roles }
	}
	own := &portalapi.Pool{ID: "1", Name: "Payments", Owner: me, Roles: manager}
	tampered := &portalapi.Pool{ID: "1", Name: "Payments", Owner: me, Roles: []string{"ROLE_IGNORE_QUOTA", "ROLE_MANAGER"}, Ungranted: manager}
	portals := &portalapi.Pool{ID: "2", Name: "payments", Roles: none}
	def := &portalapi.Pool{ID: "d", Name: "Default", Default: true, Roles: none}

	for name, tc := range map[string]struct {
		reason string
		want   portalapi.PoolWrite
		have   PoolFacts
		action Action
		why    string // the condition's reason
		writes string // the name that is written; empty if nothing is written
		loses  bool
	}{
		"New":       {reason: "An AgentPool without a pool in the portal creates it.", want: write(), action: Create, writes: "Payments"},
		"Same":      {reason: "A pool in the desired state is not written.", want: write(), have: PoolFacts{Own: own, Named: own}, action: None},
		"Renamed":   {reason: "A changed name is written.", want: write(named("Pay")), have: PoolFacts{Own: own}, action: Update, writes: "Pay"},
		"Described": {reason: "A changed description is written.", want: write(func(w *portalapi.PoolWrite) { w.Description = "d" }), have: PoolFacts{Own: own, Named: own}, action: Update, writes: "Payments"},
		"Emptied": {reason: "Absent or empty roles remove all roles, and the plan reports the loss of ROLE_MANAGER.",
			want: write(giving()), have: PoolFacts{Own: own, Named: own}, action: Update, writes: "Payments", loses: true},
		"Tampered": {reason: "A role without a grant is removed without the guard.",
			want: write(giving("ROLE_IGNORE_QUOTA")), have: PoolFacts{Own: tampered, Named: tampered}, action: Update, writes: "Payments"},
		"TamperedAndWanted": {reason: "A wanted role that the portal has without a grant is granted by a write.",
			want: write(giving("ROLE_IGNORE_QUOTA", "ROLE_MANAGER")), have: PoolFacts{Own: tampered, Named: tampered}, action: Update, writes: "Payments"},
		"Clash": {reason: "A rename to the name of a pool that was created in the portal waits.",
			want: write(), have: PoolFacts{Own: &portalapi.Pool{ID: "1", Name: "Pay", Owner: me, Roles: manager}, Named: portals}, action: Wait, why: v1alpha1.ReasonPoolExists},
		"ClashTakesRoles": {reason: "A name conflict does not delay the removal of roles.",
			want: write(giving()), have: PoolFacts{Own: &portalapi.Pool{ID: "1", Name: "Pay", Owner: me, Roles: manager}, Named: portals}, action: Update, why: v1alpha1.ReasonPoolExists, writes: "Pay", loses: true},
		"Swap": {reason: "A rename waits while another AgentPool's pool has the name.",
			want: write(), have: PoolFacts{Own: &portalapi.Pool{ID: "1", Name: "Pay", Owner: me, Roles: manager}, Named: &portalapi.Pool{ID: "2", Name: "Payments", Owner: other}}, action: Wait, why: v1alpha1.ReasonNameReleasePending},
		"RenamedToDefault": {reason: "No pool can be renamed to the default pool's name.",
			want: write(named("DEFAULT")), have: PoolFacts{Own: own, Named: def}, action: Wait, why: v1alpha1.ReasonDefaultPoolName},

		"NamedLikeThePortals": {reason: "A pool created in the portal is not adopted because of its name.",
			want: write(), have: PoolFacts{Named: portals}, action: Wait, why: v1alpha1.ReasonConsentRequired},
		"Chosen": {reason: "spec.adopt is the consent to adopt a pool of the portal.",
			want: write(), have: PoolFacts{Named: portals, Adopt: "2", Adopted: portals}, action: Adopt, writes: "Payments"},
		"ChosenByAnotherName": {reason: "A pool that spec.adopt names is renamed to the AgentPool's name.",
			want: write(), have: PoolFacts{Adopt: "3", Adopted: &portalapi.Pool{ID: "3", Name: "SRE", Roles: manager}}, action: Adopt, writes: "Payments"},
		"ChosenLosesManager": {reason: "The plan of an adoption reports that its members lose ROLE_MANAGER.",
			want: write(giving()), have: PoolFacts{Adopt: "3", Adopted: &portalapi.Pool{ID: "3", Name: "SRE", Roles: manager}}, action: Adopt, writes: "Payments", loses: true},
		"ChosenAndNamed": {reason: "If another pool in the portal has the AgentPool's name, one of the two must be renamed before the adoption.",
			want: write(), have: PoolFacts{Named: portals, Adopt: "3", Adopted: &portalapi.Pool{ID: "3", Name: "SRE"}}, action: Wait, why: v1alpha1.ReasonAdoptRefused},
		"ChosenIsNotThere": {reason: "A wrong spec.adopt does not create a second pool.",
			want: write(), have: PoolFacts{Adopt: "3"}, action: Wait, why: v1alpha1.ReasonAdoptRefused},
		"ChosenBesideOwn": {reason: "An AgentPool that has a pool adopts no second one; it still removes roles.",
			want: write(giving()), have: PoolFacts{Own: own, Named: own, Adopt: "3"}, action: Update, why: v1alpha1.ReasonAdoptRefused, writes: "Payments", loses: true},
		"ChosenDefault": {reason: "spec.adopt does not adopt the default pool.",
			want: write(), have: PoolFacts{Adopt: "d", Adopted: def}, action: Wait, why: v1alpha1.ReasonDefaultPoolName},

		"Default": {reason: "AgentPool/default adopts the default pool, which keeps its name.",
			want: write(named("default"), func(w *portalapi.PoolWrite) { w.Default = true }), have: PoolFacts{Named: def}, action: Adopt, writes: "Default"},
		"OwnedDefault": {reason: "An AgentPool that still owns the default pool does not change it.",
			want: write(), have: PoolFacts{Own: &portalapi.Pool{ID: "d", Name: "Default", Default: true, Owner: me, Roles: none}}, action: Wait, why: v1alpha1.ReasonDefaultPoolName},
	} {
		t.Run(name, func(t *testing.T) {
			p := ComputePool(tc.want, tc.have)
			if p.Action != tc.action || p.Reason != tc.why || p.LosesManager != tc.loses || p.Write.Name != tc.writes {
				t.Errorf("%s Got %s %q writing %q, loses manager %v", tc.reason, p.Action, p.Reason, p.Write.Name, p.LosesManager)
			}
			if (p.Reason == "") != (p.Message == "") {
				t.Errorf("reason %q with the message %q", p.Reason, p.Message)
			}
		})
	}
}

func TestRoleNames(t *testing.T) {
	for _, none := range [][]v1alpha1.Role{nil, {}} {
		if got := RoleNames(none); got == nil || len(got) != 0 {
			t.Errorf("RoleNames(%#v) = %#v, want an empty list", none, got)
		}
	}
	if got := RoleNames([]v1alpha1.Role{"ROLE_B", "ROLE_A"}); !slices.IsSorted(got) {
		t.Errorf("got %v", got)
	}
}

func TestPinned(t *testing.T) {
	refs := []v1alpha1.GroupReference{{DisplayName: "Site leads"}, {ExternalID: "x 1"}, {ID: "g3"}}
	var want []v1alpha1.PinnedGroup
	for i, ref := range refs {
		want = append(want, v1alpha1.PinnedGroup{GroupReference: ref, Group: fmt.Sprint("g", i+1), Deleted: i == 1})
	}
	members := []v1alpha1.PinnedMember{{UserName: "ada lovelace", ID: "u1"}, {UserName: "id", ID: "u2", Gone: v1alpha1.MemberDeleted}}
	declared := &v1alpha1.AgentPool{Status: v1alpha1.AgentPoolStatus{Groups: want, Members: members}}
	record := &portalapi.Pool{Pins: WantPool(declared).Pins}
	if diff := cmp.Diff(members, PinnedMembers(record)); diff != "" {
		t.Errorf("the pins of members that the portal keeps (-want +got):\n%s", diff)
	}
	if got := PinnedMembers(nil); got != nil {
		t.Errorf("members without a record: %v", got)
	}
	got := Pinned(record)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the pins that the portal keeps (-want +got):\n%s", diff)
	}
	if got := Pinned(nil); got != nil {
		t.Errorf("without a record: %v", got)
	}
}

func TestGrantedRoles(t *testing.T) {
	pools := map[string]*portalapi.Pool{
		"quota":    {ID: "quota", Roles: []string{"ROLE_IGNORE_QUOTA"}, Owner: portalapi.Owner{UID: "x"}},
		"managers": {ID: "managers", Roles: []string{"ROLE_MANAGER"}, Owner: portalapi.Owner{UID: "x"}},
		"tampered": {ID: "tampered", Roles: []string{"ROLE_MANAGER"}, Ungranted: []string{"ROLE_MANAGER"}, Owner: portalapi.Owner{UID: "x"}},
	}
	owned := func(change func(*portalapi.Account)) *portalapi.Account {
		a := &portalapi.Account{Owner: portalapi.Owner{UID: "u"}, Roles: []string{"ROLE_MANAGER", "ROLE_USER"}}
		change(a)
		return a
	}
	for name, tc := range map[string]struct {
		reason  string
		account *portalapi.Account
		want    []string
	}{
		"ByPools":     {"The roles of pools to which the owner added the user are granted.", owned(func(a *portalapi.Account) { a.Pools = []string{"managers", "quota"} }), []string{"ROLE_MANAGER", "ROLE_IGNORE_QUOTA"}},
		"Membership":  {"A membership without a grant grants nothing.", owned(func(a *portalapi.Account) { a.Pools, a.Ungranted = []string{"managers"}, []string{"managers"} }), nil},
		"PoolRole":    {"A role of the pool without a grant is not granted to its members.", owned(func(a *portalapi.Account) { a.Pools = []string{"tampered"} }), nil},
		"Direct":      {"A direct role without a grant is not granted.", owned(func(a *portalapi.Account) { a.DirectRoles = []string{"ROLE_MANAGER"} }), nil},
		"UnknownPool": {"Roles of an unknown pool count as granted, so that the guard counts too many rather than too few.", owned(func(a *portalapi.Account) { a.Pools = []string{"new"} }), []string{"ROLE_MANAGER", "ROLE_USER"}},
		"Local":       {"The roles of a local account are granted by administrators.", &portalapi.Account{Roles: []string{"ROLE_MANAGER"}, DirectRoles: []string{"ROLE_MANAGER"}}, []string{"ROLE_MANAGER"}},
	} {
		t.Run(name, func(t *testing.T) {
			got := GrantedRoles(tc.account, func(id string) *portalapi.Pool { return pools[id] })
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.reason, diff)
			}
		})
	}
}

func TestConsentCommand(t *testing.T) {
	want := portalapi.PoolWrite{Owner: portalapi.Owner{UID: "u", Name: "group-id"}, Name: `Rock'n "Roll"`}
	record := &portalapi.Pool{ID: "7", Name: want.Name, Owner: portalapi.Owner{UID: "x", Name: "gone"}}
	p := ComputePool(want, PoolFacts{Namespace: "lightrun", Named: record, Owner: Gone})
	const command = `kubectl patch agentpool group-id -n lightrun --type merge -p '{"spec":{"adopt":"7","displayName":"Rock'\''n \"Roll\""}}'`
	if p.Reason != v1alpha1.ReasonConsentRequired || !strings.HasSuffix(p.Message, ": "+command) {
		t.Errorf("%s: %s", p.Reason, p.Message)
	}
}
