// SPDX-License-Identifier: Apache-2.0

package stories_test

import (
	"fmt"
	"slices"
	"testing"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/portal/store"
	"lightrun.com/scim-operator/test/framework/idp"
)

// TestAuditNamesRequest: the changes that follow from a SCIM request have its id. Changes by a
// person or the portal have not.
func TestAuditNamesRequest(t *testing.T) {
	w := newWorld(t, wideGuard)
	fast := w.pool("quick", v1alpha1.AgentPoolSpec{Groups: names("Fast"), Roles: []v1alpha1.Role{quota}})
	ada, bob := w.push("ada@example.test"), w.push("bob@example.test")
	g := w.group("Fast", ada)
	w.provisioned(ada, user, quota)
	w.says(fast, v1alpha1.ConditionReady, v1alpha1.ReasonReady)
	record := fast.Status.Pool

	t.Log("a request adds a member")
	w.send("PATCH", "/Groups/"+g.Name, idp.Patch(idp.AddMembers(bob.Name)), "X-Request-Id", "adds-bob")
	w.provisioned(bob, user, quota)
	w.audits(record, "adds-bob", "membersAdded", "bob@example.test")
	w.send("PATCH", "/Groups/"+g.Name, idp.Patch(idp.RemoveMembers(bob.Name)), "X-Request-Id", "removes-bob")
	w.provisioned(bob, user)
	w.audits(record, "removes-bob", "membersRemoved", "bob@example.test")

	t.Log("a person changes the pool: that has no request")
	before := len(w.audit(record))
	w.changePool(fast, func(s *v1alpha1.AgentPoolSpec) { s.Members = []v1alpha1.PoolMember{{UserName: "bob@example.test"}} })
	w.provisioned(bob, user, quota)
	w.changePool(fast, func(s *v1alpha1.AgentPoolSpec) { s.Groups, s.Members, s.Roles = nil, nil, []v1alpha1.Role{manager} })
	w.eventually("all members have left", func() error {
		if a := w.account("ada@example.test"); a.IsManager() || len(a.PoolRefs) > 2 || w.portalPool(record).Members > 0 {
			return fmt.Errorf("pools %v", a.PoolRefs)
		}
		return nil
	})
	for _, e := range w.audit(record)[before:] {
		if slices.Contains([]string{"adds-bob", "removes-bob"}, e.RequestID) {
			t.Errorf("%s has the id of an older request: %+v", e.Action, e)
		}
	}

	t.Log("the changes of a group's own pool have the ids of the group's requests")
	own := w.ownPool(g)
	w.says(own, v1alpha1.ConditionReady, v1alpha1.ReasonReady)
	record = own.Status.Pool
	w.by("renames", g, func(s *v1alpha1.ScimGroupSpec) { s.DisplayName = "Faster" })
	w.audits(record, "renames", "name", "Faster")
	w.by("deletes", g, func(s *v1alpha1.ScimGroupSpec) { s.Deleted = true })
	w.gone(g)
	if e := w.audit(record); e[len(e)-1].Action != "pool.delete" || e[len(e)-1].RequestID != "deletes" {
		t.Errorf("the last event is %+v", e[len(e)-1])
	}
}

// by edits a group with this request id.
func (w *world) by(request string, g *v1alpha1.ScimGroup, edit func(*v1alpha1.ScimGroupSpec)) {
	w.t.Helper()
	w.changeGroup(g, edit, "X-Request-Id", request)
}

// audit returns the record's events in the portal's audit, oldest first.
func (w *world) audit(id string) []store.AuditEvent {
	w.t.Helper()
	all, err := w.store.AuditEvents(w.t.Context(), store.AuditFilter{TargetID: id}, 0, 1000)
	w.must(err)
	slices.Reverse(all)
	return all
}

// audits waits for an audit event of the record with the request, if one is given, in which the
// field changes to or from the value.
func (w *world) audits(id, request, field, value string) {
	w.t.Helper()
	w.eventually("the audit names the request "+request, func() error {
		for _, e := range w.audit(id) {
			for _, c := range e.Changes {
				if (request == "" || e.RequestID == request) && c.Field == field && (c.To == value || c.From == value) {
					return nil
				}
			}
		}
		return fmt.Errorf("%+v", w.audit(id))
	})
}
