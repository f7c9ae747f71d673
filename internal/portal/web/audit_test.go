// SPDX-License-Identifier: Apache-2.0

package web_test

import (
	"encoding/csv"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"lightrun.com/scim-operator/internal/kernel/portalapi"
	"lightrun.com/scim-operator/internal/portal/store"
)

func TestAuditFiltersPage(t *testing.T) {
	c := newCompany(t)
	boss := c.manager()
	pushed := operator
	pushed.Cause = store.CauseProvider
	if err := c.store.ReleaseAccount(t.Context(), pushed, c.ada.Owner, portalapi.ReleaseDeactivate); err != nil {
		t.Fatal(err)
	}
	today := time.Now().UTC().Format(time.DateOnly)
	yesterday := time.Now().UTC().AddDate(0, 0, -1).Format(time.DateOnly)
	boss.get("/audit?cause=Provider").mustSay("Released the user ada@example.test", "because of the identity provider").mustNotSay("Created the user bob@example.test")
	boss.get("/audit?cause=Person&outcome=").mustSay("Created the user bob@example.test").mustNotSay("Released the user")
	boss.get("/audit?from="+today).mustSay("Created the user bob@example.test", `value="`+today+`"`)
	boss.get("/audit?to=" + yesterday).mustSay("No event matches")
	boss.get("/audit?from=soon").mustBe(http.StatusBadRequest).mustSay("as year-month-day")
	boss.get("/audit?cause=Fate").mustBe(http.StatusBadRequest).mustSay("Choose one of the causes")
	boss.get("/audit?cause=Provider").mustSay("/audit.csv?cause=Provider")
}

// exported reads the export with the filters.
func (v *visitor) exported(path string) [][]string {
	v.t.Helper()
	got := v.get(path).mustBe(http.StatusOK)
	text, marked := strings.CutPrefix(got.html, "\ufeff")
	if !marked || got.header.Get("Content-Type") != "text/csv; charset=utf-8" || !strings.Contains(got.header.Get("Content-Disposition"), "audit.csv") {
		v.t.Errorf("the export has the header %v, a mark: %v", got.header, marked)
	}
	rows, err := csv.NewReader(strings.NewReader(text)).ReadAll()
	if err != nil {
		v.t.Fatal(err)
	}
	return rows
}

func TestAuditExport(t *testing.T) {
	c := newCompany(t)
	boss := c.manager()
	formulas := []string{`=HYPERLINK("https://evil.example.test")`, "+1+1", "-1", "@SUM(A1)", "\tTab", "＝1"}
	for i, formula := range formulas {
		if _, err := c.store.CreatePool(t.Context(), manager, store.NewPool{Name: "Pool " + string(rune('a'+i)), Description: formula}); err != nil {
			t.Fatal(err)
		}
		if _, _, err := c.store.CreateKey(t.Context(), manager, store.NewKey{Name: formula, Scope: store.ScopeRead}); err != nil {
			t.Fatal(err)
		}
	}
	rows := boss.exported("/audit.csv")
	if len(rows) < 15 || rows[0][0] != "number" || rows[1][6] != "audit.export" {
		t.Fatalf("the export has %d rows; the newest is the export itself: %q", len(rows), rows[1])
	}
	for _, row := range rows {
		for _, cell := range row {
			if cell != "" && strings.ContainsAny(cell[:1], "=+-@\t\r") || strings.HasPrefix(cell, "＝") {
				t.Errorf("a spreadsheet reads %q as a formula", cell)
			}
		}
	}
	for _, formula := range formulas {
		if !slices.ContainsFunc(rows, func(row []string) bool { return row[8] == "'"+formula }) {
			t.Errorf("the export has no key with the name %q", formula)
		}
	}
	t.Log("the export has what the filters of the page select, and it is audited")
	for _, row := range boss.exported("/audit.csv?actor=operator")[1:] {
		if row[4] != "operator" {
			t.Errorf("the filtered export has %q", row)
		}
	}
	boss.get("/audit").mustSay("Exported the audit")
	boss.get("/audit.csv?from=soon").mustBe(http.StatusBadRequest)
	c.visitor().get("/audit.csv").mustSay("Sign in")
}

func TestErasePage(t *testing.T) {
	c := newCompany(t)
	boss := c.manager()
	path := "/users/" + c.ada.ID
	boss.get(path).mustNotSay(path + "/erase")
	boss.get(path + "/erase").mustBe(http.StatusBadRequest).mustSay("Only a user who left can be erased")
	boss.get("/users/" + c.grace.ID + "/erase").mustBe(http.StatusConflict).mustSay("delete the user there first")
	if err := c.store.ReleaseAccount(t.Context(), operator, c.ada.Owner, portalapi.ReleaseDeactivate); err != nil {
		t.Fatal(err)
	}
	boss.get(path).mustSay(path+"/erase", "Okta no longer has the user").mustNotSay("change this user in Okta")
	boss.get(path+"/erase").mustBe(http.StatusOK).mustSay("Erase Ada Demo?", "This cannot be undone", c.ada.ID)
	boss.post(path+"/erase", nil).mustBe(http.StatusBadRequest).mustSay("does not contain the revision")
	left, err := c.store.Account(t.Context(), c.ada.ID)
	if err != nil {
		t.Fatal(err)
	}
	boss.post(path+"/erase", url.Values{"revision": {revision(left.Revision)}}).mustBe(http.StatusOK).mustSay("The user was erased").mustNotSay("ada@example.test")
	boss.get("/audit").mustSay("Erased the user "+c.ada.ID).mustNotSay("ada@example.test", "Ada Demo")
	boss.get("/audit?user=" + c.ada.ID).mustSay("Created the user " + c.ada.ID)
}
