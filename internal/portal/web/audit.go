// SPDX-License-Identifier: Apache-2.0

package web

import (
	"net/http"
	"net/url"
	"strconv"

	"lightrun.com/scim-operator/internal/portal/store"
)

// auditPage is the page Audit.
type auditPage struct {
	Query       auditQuery
	Filtered    bool
	Events      []store.AuditEvent
	First, Next string // links; empty if there is no such page
}

type auditQuery struct{ Actor, User, Outcome string }

func (q auditQuery) values() url.Values {
	v := url.Values{}
	for name, value := range map[string]string{"actor": q.Actor, "user": q.User, "outcome": q.Outcome} {
		if value != "" {
			v.Set(name, value)
		}
	}
	return v
}

func (s *site) audit(v *visit) error {
	q := auditQuery{v.FormValue("actor"), v.FormValue("user"), v.FormValue("outcome")}
	before, err := strconv.ParseInt(v.FormValue("before"), 10, 64)
	if err != nil {
		before = 0 // begin with the newest event
	}
	f := store.AuditFilter{Actor: q.Actor, TargetID: q.User, Refused: q.Outcome == "refused"}
	events, err := s.store.AuditEvents(v.Context(), f, before, perPage+1)
	if err != nil {
		return err
	}
	page := auditPage{Query: q, Filtered: len(q.values()) > 0, Events: events}
	if before > 0 {
		page.First = link("/audit", q.values())
	}
	if len(events) > perPage {
		page.Events = events[:perPage]
		values := q.values()
		values.Set("before", strconv.FormatInt(events[perPage-1].ID, 10))
		page.Next = link("/audit", values)
	}
	return s.show(v, http.StatusOK, "audit", view{Title: "Audit", Section: "audit", Body: page})
}
