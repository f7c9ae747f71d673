// SPDX-License-Identifier: Apache-2.0

package web

import (
	"encoding/csv"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"lightrun.com/scim-operator/internal/kernel/portalapi"
	"lightrun.com/scim-operator/internal/portal/store"
)

// auditPage is the page Audit.
type auditPage struct {
	Query       auditQuery
	Filtered    bool
	Events      []store.AuditEvent
	First, Next string // links; empty if there is no such page
	Export      string // link to the same events as a file
}

// auditQuery contains the filters of the page, as in the URL. From and To are days.
type auditQuery struct{ Actor, User, Outcome, Cause, From, To string }

func (q auditQuery) values() url.Values {
	v := url.Values{}
	for name, value := range map[string]string{"actor": q.Actor, "user": q.User, "outcome": q.Outcome, "cause": q.Cause, "from": q.From, "to": q.To} {
		if value != "" {
			v.Set(name, value)
		}
	}
	return v
}

// filter returns the filter of the query. Both days are included, in UTC.
func (q auditQuery) filter() (store.AuditFilter, error) {
	f := store.AuditFilter{Actor: q.Actor, TargetID: q.User, Refused: q.Outcome == "refused", Cause: store.Cause(q.Cause)}
	if q.Cause != "" && !f.Cause.Known() {
		return f, refusal(http.StatusBadRequest, portalapi.CodeInvalid, "Choose one of the causes in the list.")
	}
	for _, day := range []struct {
		text string
		to   *time.Time
		add  int
	}{{q.From, &f.From, 0}, {q.To, &f.To, 1}} {
		if day.text == "" {
			continue
		}
		t, err := time.Parse(time.DateOnly, day.text)
		if err != nil {
			return f, refusal(http.StatusBadRequest, portalapi.CodeInvalid, "Write the first and the last day as year-month-day, such as 2026-01-31.")
		}
		*day.to = t.AddDate(0, 0, day.add)
	}
	return f, nil
}

func (v *visit) auditQuery() auditQuery {
	q := auditQuery{Outcome: v.FormValue("outcome"), Cause: v.FormValue("cause")}
	for name, to := range map[string]*string{"actor": &q.Actor, "user": &q.User, "from": &q.From, "to": &q.To} {
		*to = strings.TrimSpace(v.FormValue(name))
	}
	return q
}

func (s *site) audit(v *visit) error {
	q := v.auditQuery()
	f, problem := q.filter()
	page := auditPage{Query: q, Filtered: len(q.values()) > 0, Export: link("/audit.csv", q.values())}
	if e := asRefusal(problem); e != nil {
		return s.show(v, e.Status, "audit", view{Title: "Audit", Section: "audit", Problem: e.Message, Body: page})
	}
	before, err := strconv.ParseInt(v.FormValue("before"), 10, 64)
	if err != nil {
		before = 0 // begin with the newest event
	}
	if page.Events, err = s.store.AuditEvents(v.Context(), f, before, perPage+1); err != nil {
		return err
	}
	if before > 0 {
		page.First = link("/audit", q.values())
	}
	if len(page.Events) > perPage {
		page.Events = page.Events[:perPage]
		values := q.values()
		values.Set("before", strconv.FormatInt(page.Events[perPage-1].ID, 10))
		page.Next = link("/audit", values)
	}
	return s.show(v, http.StatusOK, "audit", view{Title: "Audit", Section: "audit", Body: page})
}

// exportPart is the number of events that the export reads at once.
const exportPart = 1000

// exportAudit responds with the events of the filters as a file for spreadsheets, newest first. The
// export is audited.
func (s *site) exportAudit(v *visit) error {
	q := v.auditQuery()
	f, err := q.filter()
	if err != nil {
		return err
	}
	if q.Actor != "" {
		q.Actor = "one" // an event must not name a user in its filter: an erasure could not clear it
	}
	if err := s.store.AuditExported(v.Context(), v.actor(), q.values().Encode()); err != nil {
		return err
	}
	h := v.w.Header()
	h.Set("Content-Type", "text/csv; charset=utf-8")
	h.Set("Content-Disposition", `attachment; filename="audit.csv"`)
	_, _ = v.w.Write([]byte("\ufeff")) // spreadsheets read UTF-8 only with it
	w := csv.NewWriter(v.w)
	_ = w.Write([]string{"number", "time (UTC)", "cause", "actor kind", "actor", "actor id", "action", "target kind", "target", "target id", "outcome", "code", "message", "changes", "request id"})
	for before := int64(0); ; {
		events, err := s.store.AuditEvents(v.Context(), f, before, exportPart)
		if err != nil {
			s.log.Error(err, "The export of the audit ended early", "request", v.id)
			panic(http.ErrAbortHandler) // the browser reports an incomplete file
		}
		for _, e := range events {
			_ = w.Write(safeRow(csvRow(e)))
		}
		w.Flush()
		if len(events) < exportPart || w.Error() != nil {
			return nil // an error means that the browser left
		}
		before = events[len(events)-1].ID
	}
}

func csvRow(e store.AuditEvent) []string {
	outcome := "done"
	if e.Refused() {
		outcome = "refused"
	}
	changes := make([]string, len(e.Changes))
	for i, c := range e.Changes {
		changes[i] = c.Field + ": " + c.From + " -> " + c.To
	}
	return []string{strconv.FormatInt(e.ID, 10), e.At.UTC().Format(time.RFC3339), string(e.Cause), string(e.ActorKind), e.ActorName, e.ActorID, e.Action,
		e.TargetKind, e.TargetName, e.TargetID, outcome, string(e.Code), e.Message, strings.Join(changes, "\n"), e.RequestID}
}

// safeRow puts an apostrophe before cells that a spreadsheet would read as a formula (OWASP, CSV
// injection): users choose their names.
func safeRow(cells []string) []string {
	for i, c := range cells {
		if first, _ := utf8.DecodeRuneInString(c); strings.ContainsRune("=+-@\t\r\n|%＝＋－＠", first) && c != "" {
			cells[i] = "'" + c
		}
	}
	return cells
}
