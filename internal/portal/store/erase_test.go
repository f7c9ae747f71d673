// SPDX-License-Identifier: Apache-2.0

package store

import (
	"database/sql"
	"fmt"
	"strings"
	"testing"
	"time"

	"lightrun.com/scim-operator/internal/kernel/portalapi"
)

// everything returns all text in the database.
func everything(t *testing.T, s *Store) string {
	t.Helper()
	var b strings.Builder
	err := s.inSnapshot(t.Context(), func(c *conn) error {
		var tables []string
		err := c.each(func(rows *sql.Rows) error {
			var name string
			err := rows.Scan(&name)
			tables = append(tables, name)
			return err
		}, `SELECT name FROM sqlite_schema WHERE type = 'table'`)
		if err != nil {
			return err
		}
		for _, table := range tables {
			err := c.each(func(rows *sql.Rows) error {
				columns, err := rows.Columns()
				if err != nil {
					return err
				}
				values := make([]any, len(columns))
				for i := range values {
					values[i] = new(sql.NullString)
				}
				err = rows.Scan(values...)
				for i, v := range values {
					fmt.Fprintf(&b, "%s.%s=%s\n", table, columns[i], v.(*sql.NullString).String)
				}
				return err
			}, `SELECT * FROM `+table)
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// eraseStore is a portal with a chained audit and the leaver Eve: the provider deleted her.
func eraseStore(t *testing.T) (s *Store, eve *Account) {
	t.Helper()
	s, _ = signInStoreWith(t, Options{AuditKeys: ring(t, "a")})
	ctx := t.Context()
	owner := portalapi.Owner{UID: "u-eve", Name: "scim-eve", Revision: 1}
	_, err := s.PutPool(ctx, operator, portalapi.PoolWrite{Owner: portalapi.Owner{UID: "p", Name: "leads"}, Name: "Leads", Roles: []string{portalapi.RoleManager}})
	if err != nil {
		t.Fatal(err)
	}
	write := portalapi.AccountWrite{Owner: owner, UserName: "eve.leaver@example.test", DisplayName: "Evelina Leaver", GivenName: "Evelina", FamilyName: "Leaver", Email: "eve.private@example.test", ExternalID: "00u-eve-leaver", Active: true}
	if _, err := s.CreateAccount(ctx, Actor{Kind: Key, Name: "reader"}, NewAccount{UserName: write.UserName}); portalapi.CodeOf(err) != portalapi.CodeForbidden {
		t.Fatal(err)
	}
	if eve, err = s.PutAccount(ctx, operator, write); err != nil {
		t.Fatal(err)
	}
	if _, err := s.PutMemberships(ctx, operator, "p", []portalapi.MembershipWrite{{AccountID: eve.ID, IfRevision: eve.Revision, Add: true, Request: "push-2"}}, nil); err != nil {
		t.Fatal(err)
	}
	if eve, err = s.Account(ctx, eve.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := s.StartSession(ctx, eve, MethodSSO, time.Hour); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.CreateKey(ctx, ActorOf(eve, ""), NewKey{Name: "ci", Scope: ScopeRead}); err != nil {
		t.Fatal(err)
	}
	if err := s.EndSessions(ctx, Actor{Kind: Person, ID: eve.ID, Name: eve.UserName}, "another"); portalapi.CodeOf(err) != portalapi.CodeForbidden {
		t.Fatal(err) // the message has her name
	}
	if _, err := s.PutMemberships(ctx, operator, "p", []portalapi.MembershipWrite{{AccountID: eve.ID, IfRevision: eve.Revision, Request: "push-3"}}, nil); err != nil {
		t.Fatal(err)
	}
	if err := s.ReleaseAccount(ctx, operator, owner, portalapi.ReleaseDeactivate); err != nil {
		t.Fatal(err)
	}
	if eve, err = s.Account(ctx, eve.ID); err != nil {
		t.Fatal(err)
	}
	return s, eve
}

func TestErase(t *testing.T) {
	s, eve := eraseStore(t)
	ctx := t.Context()
	boss := Actor{Kind: Person, ID: "boss", Name: "boss@example.test", Scopes: []Scope{ScopeManage}}
	if !eve.ReadOnly || strings.Contains(eve.ReadOnlyReason, "change this user in") {
		t.Errorf("the page of a leaver says %q", eve.ReadOnlyReason)
	}
	removals, err := s.Removals(ctx, 48*time.Hour)
	if err != nil || removals.Removed != 1 {
		t.Fatal(removals, err)
	}
	events, err := s.AuditEvents(ctx, AuditFilter{TargetID: eve.ID}, 0, 100)
	if err != nil || events[0].TargetName != eve.UserName {
		t.Fatal(events, err)
	}
	stale := eve.Revision - 1
	if err := s.EraseAccount(ctx, boss, eve.ID, &stale); portalapi.CodeOf(err) != portalapi.CodeStaleRevision {
		t.Errorf("on an old revision: %v", err)
	}
	if err := s.EraseAccount(ctx, boss, eve.ID, &eve.Revision); err != nil {
		t.Fatal(err)
	}

	t.Log("nothing in the database names or describes her")
	for _, line := range strings.Split(everything(t, s), "\n") {
		for _, personal := range []string{"eve.", "Evelina", "Leaver", "leaver", "00u-eve"} {
			if strings.Contains(line, personal) && !strings.HasPrefix(line, "retired_owners") {
				t.Errorf("the database still has %q", line)
			}
		}
	}
	t.Log("the audit keeps its events by id, and its chain")
	after, err := s.AuditEvents(ctx, AuditFilter{TargetID: eve.ID}, 0, 100)
	if err != nil || len(after) != len(events)+2 || after[0].Action != "user.erase" || after[0].ActorName != boss.Name || after[2].Action != events[0].Action {
		t.Errorf("the audit has %+v, %v", after, err)
	}
	report, err := s.CheckAudit(ctx, portalapi.AuditHead{})
	if err != nil || len(report.Problems) > 0 || report.Erased == 0 {
		t.Errorf("the check of the audit: %+v, %v", report, err)
	}
	t.Log("the guard keeps its counts, and a late write of the former owner brings nothing back")
	if now, err := s.Removals(ctx, 48*time.Hour); err != nil || now.Removed != removals.Removed {
		t.Errorf("removals %+v, %v; want %+v", now, err, removals)
	}
	late := portalapi.AccountWrite{Owner: portalapi.Owner{UID: "u-eve", Name: "scim-eve", Revision: 9}, UserName: "eve.leaver@example.test", Active: true}
	if _, err := s.PutAccount(ctx, operator, late); portalapi.CodeOf(err) != portalapi.CodeStaleRevision {
		t.Errorf("a late write: %v", err)
	}
	if err := s.EraseAccount(ctx, boss, eve.ID, nil); portalapi.CodeOf(err) != portalapi.CodeNotFound {
		t.Errorf("a second time: %v", err)
	}
}

func TestEraseOnlyLeavers(t *testing.T) {
	s, eve := eraseStore(t)
	ctx := t.Context()
	boss := Actor{Kind: Person, Name: "boss", Scopes: []Scope{ScopeManage}}
	owned := portalapi.Owner{UID: "u-fay", Name: "scim-fay", Revision: 1}
	put := func(active bool) string {
		t.Helper()
		a, err := s.PutAccount(ctx, operator, portalapi.AccountWrite{Owner: owned, UserName: "fay@example.test", Active: active})
		if err != nil {
			t.Fatal(err)
		}
		return a.ID
	}
	for _, c := range []struct {
		reason string
		actor  Actor
		id     func() string
		code   portalapi.Code
	}{
		{"An active user is not erased.", boss, func() string { return put(true) }, portalapi.CodeInvalid},
		{"A user that the provider still has would come back.", boss, func() string { return put(false) }, portalapi.CodeReadOnly},
		{"What the guard holds is decided first.", boss, func() string {
			id := put(false)
			if err := s.MarkAccount(ctx, operator, owned, &portalapi.Mark{What: portalapi.RemovalDeletion, State: portalapi.MarkHeld}); err != nil {
				t.Fatal(err)
			}
			return id
		}, portalapi.CodeReadOnly},
		{"Only managers erase.", Actor{Kind: Key, Name: "reader", Scopes: []Scope{ScopeRead}}, func() string { return eve.ID }, portalapi.CodeForbidden},
		{"There is no such user.", boss, func() string { return "none" }, portalapi.CodeNotFound},
	} {
		id := c.id()
		if err := s.EraseAccount(ctx, c.actor, id, nil); portalapi.CodeOf(err) != c.code {
			t.Errorf("%s: %v", c.reason, err)
		}
		events, err := s.AuditEvents(ctx, AuditFilter{TargetID: id}, 0, 1)
		if err != nil || len(events) == 0 || events[0].Action != "user.erase" || events[0].Code != c.code {
			t.Errorf("%s: the refusal is not audited: %+v, %v", c.reason, events, err)
		}
	}
}
