// SPDX-License-Identifier: Apache-2.0

package contract

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	portalv1 "lightrun.com/scim-operator/api/portal/v1"
	"lightrun.com/scim-operator/internal/kernel/portalapi"
)

// since returns w with the precondition that the record has the revision. With 0, the precondition
// is that there is no record.
func since(revision int64, w portalapi.AccountWrite) portalapi.AccountWrite {
	w.IfRevision = &revision
	return w
}

func poolSince(revision int64, w portalapi.PoolWrite) portalapi.PoolWrite {
	w.IfRevision = &revision
	return w
}

// outdated fails unless err is the refusal that the precondition does not match.
func (p *portalTest) outdated(err error) {
	p.Helper()
	p.refused(err, portalapi.CodeStaleRevision)
	if e := new(portalapi.Error); !errors.As(err, &e) || e.Status != http.StatusPreconditionFailed {
		p.Errorf("refused with %v, want the status 412", err)
	}
}

func (p *portalTest) putOutdated(w portalapi.AccountWrite) {
	p.Helper()
	_, err := p.Client.PutAccount(p.Context(), w)
	p.outdated(err)
}

var preconditionTests = map[string]func(*portalTest){
	"A write whose precondition does not match the account is refused": func(p *portalTest) {
		p.scimOn()
		quota, managers := p.pool("Quota", portalapi.RoleIgnoreQuota), p.pool("Managers", portalapi.RoleManager)
		first := p.put(since(0, person("ada")))
		p.putOutdated(since(0, person("ada", managers.ID))) // decided before the account existed
		second := p.put(since(first.Revision, person("ada", quota.ID)))
		if second.Revision <= first.Revision {
			p.Errorf("the revision went from %d to %d", first.Revision, second.Revision)
		}
		p.audited("a late write", 1, func() { p.putOutdated(since(first.Revision, person("ada", managers.ID))) })
		p.putOutdated(since(second.Revision+1, person("ada", managers.ID)))
		p.equal("account after the late writes", p.user(first.ID).Roles, []string{portalapi.RoleIgnoreQuota, portalapi.RoleUser})
		if got := p.put(since(second.Revision, person("ada", managers.ID))); !slices.Contains(got.Roles, portalapi.RoleManager) {
			p.Errorf("decided on the newest version: %+v", got)
		}
	},
	"A write whose response was lost can be repeated": func(p *portalTest) {
		p.scimOn()
		quota := p.pool("Quota", portalapi.RoleIgnoreQuota)
		created := p.put(since(0, person("ada")))
		updated := p.put(since(created.Revision, person("ada", quota.ID)))
		p.audited("the repeats", 0, func() {
			p.equal("an update again", p.put(since(created.Revision, person("ada", quota.ID))), updated)
			p.equal("decided without a record", p.put(since(0, person("ada", quota.ID))), updated)
		})
		local := p.local("bob", func(c *portalv1.UserCreate) { c.Pools = []string{quota.ID} })
		p.existingOn()
		adopt := since(local.Revision, adopting("bob", local.ID, ""))
		adopted := p.put(adopt)
		p.equal("an adoption again", p.put(adopt), adopted)
	},
	"An account that a person changed in between is not adopted on the old revision": func(p *portalTest) {
		p.existingOn()
		local := p.local("ada")
		var edited portalv1.User
		p.manage("PATCH", "/users/"+local.ID, portalv1.UserPatch{DisplayName: ptr("Other")}, &edited)
		p.putOutdated(since(local.Revision, adopting("ada", local.ID, "")))
		p.put(since(edited.Revision, adopting("ada", local.ID, "")))
	},
	"A change of a pool's roles advances the revision of its members": func(p *portalTest) {
		p.scimOn()
		pool := p.putPool(team("Payments"))
		ada := p.put(person("ada", pool.ID))
		w := team("Payments", portalapi.RoleIgnoreQuota)
		w.Owner.Revision = 2
		p.putPool(w)
		p.putOutdated(since(ada.Revision, person("ada")))
		p.put(since(p.user(ada.ID).Revision, person("ada")))
	},
	"One of many writes with the same precondition succeeds": func(p *portalTest) {
		p.scimOn()
		ada := p.put(person("ada"))
		const n = 8
		errs := make(chan error, n)
		for i := range n {
			go func() {
				w := person("ada")
				w.DisplayName = number(i)
				_, err := p.Client.PutAccount(p.Context(), since(ada.Revision, w))
				errs <- err
			}()
		}
		landed := 0
		for range n {
			if err := <-errs; err == nil {
				landed++
			} else {
				p.outdated(err)
			}
		}
		if landed != 1 {
			p.Errorf("%d writes succeeded, want 1", landed)
		}
	},
	"A write whose precondition does not match the pool is refused": func(p *portalTest) {
		p.scimOn()
		put := func(w portalapi.PoolWrite) error {
			_, err := p.Client.PutPool(p.Context(), w)
			return err
		}
		first := p.putPool(poolSince(0, team("Payments", portalapi.RoleManager)))
		p.outdated(put(poolSince(0, team("Payments", portalapi.RoleIgnoreQuota))))
		second := p.putPool(poolSince(first.Revision, team("Payments")))
		p.outdated(put(poolSince(first.Revision, team("Payments", portalapi.RoleIgnoreQuota))))
		p.audited("a repeat", 0, func() { p.equal("a repeat", p.putPool(poolSince(first.Revision, team("Payments"))), second) })

		if !p.has(portalapi.CapabilityREST) {
			return
		}
		own := p.pool("Quota", portalapi.RoleIgnoreQuota)
		p.manage("PATCH", "/pools/"+own.ID, portalv1.PoolPatch{Description: ptr("changed in between")}, nil)
		adopt := team("Quota")
		adopt.Adopt = &portalapi.Adopt{ID: own.ID}
		p.outdated(put(poolSince(own.Revision, adopt)))
	},
	"Preconditions are entity tags": func(p *portalTest) {
		p.scimOn()
		body := portalv1.UserProvision{OwnerName: "s-ada", Revision: 1, UserName: "ada@example.test", Active: true, Pools: []string{}}
		put := func(headers ...string) answer {
			return p.http(p.Keys.Provisioning, "PUT", "/provisioning/users/u-ada", body, headers...)
		}
		p.refusedWith(put("If-Match", `"1"`, "If-None-Match", "*"), 400, portalapi.CodeInvalid)
		p.refusedWith(put("If-None-Match", `"1"`), 400, portalapi.CodeInvalid)
		p.refusedWith(put("If-Match", "one"), 400, portalapi.CodeInvalid)
		p.refusedWith(put("If-Match", `"1"`), 412, portalapi.CodeStaleRevision)
		made := put("If-None-Match", "*")
		if made.Status != 200 {
			p.Fatalf("created: %d %s", made.Status, made.Body)
		}
		body.DisplayName = "Other"
		p.refusedWith(put("If-None-Match", "*"), 412, portalapi.CodeStaleRevision)
		if got := put("If-Match", made.Header.Get("ETag")); got.Status != 200 {
			p.Errorf("updated: %d %s", got.Status, got.Body)
		}
		p.refusedWith(put("Operator-Leader", "not usable!"), 400, portalapi.CodeInvalid)
		p.refusedWith(put("Decided-By", "not%encoded"), 400, portalapi.CodeInvalid)
		p.refusedWith(put("Decided-By", strings.Repeat("x", 2000)), 400, portalapi.CodeInvalid)
	},
	"The audit names the person who decided about a write": func(p *portalTest) {
		p.scimOn()
		account, err := p.Client.PutAccount(portalapi.WithDecidedBy(p.Context(), "zoë@example.test"), person("ada"))
		p.ok(err)
		var page portalv1.AuditEventPage
		p.manage("GET", "/audit-events?limit=1&userId="+account.ID, nil, &page)
		changes := page.Items[0].Changes
		if last := changes[len(changes)-1]; last.Field != "decidedBy" || last.To != "zoë@example.test" {
			p.Errorf("the audit event says %+v", changes)
		}
	},
	"The process that bound last leads, and writes of former leaders are refused": func(p *portalTest) {
		p.scimOn()
		first, second := p.Process("first"), p.Process("second")
		bind := func(c portalapi.Client) error { return bindBy(p, c, binding("one")) }
		put := func(c portalapi.Client, w portalapi.AccountWrite) error {
			_, err := c.PutAccount(p.Context(), w)
			return err
		}
		p.ok(bind(first))
		p.ok(put(first, person("ada")))
		p.refused(put(second, person("bob")), portalapi.CodeStaleLeader)
		p.refused(put(p.Client, person("bob")), portalapi.CodeStaleLeader)

		before, err := p.Client.Configuration(p.Context())
		p.ok(err)
		p.audited("a new leader", 0, func() { p.ok(bind(second)) })
		after, err := p.Client.Configuration(p.Context())
		p.ok(err)
		p.equal("configuration", after, before)

		late := person("ada")
		late.Owner.Revision, late.Active = 99, false
		owner := portalapi.Owner{UID: "u-ada", Name: "s-ada", Revision: 99}
		for what, err := range map[string]error{
			"account":           put(first, late),
			"account release":   first.ReleaseAccount(p.Context(), owner, portalapi.ReleaseDelete),
			"mark of a removal": first.MarkAccount(p.Context(), owner, &portalapi.Mark{What: portalapi.RemovalDeactivation, State: portalapi.MarkHeld}),
			"mark of waiting":   first.MarkWaiting(p.Context(), p.local("carl").ID, owner),
			"mark of a pool":    first.MarkPool(p.Context(), portalapi.Owner{UID: "o-any"}, &portalapi.Mark{What: portalapi.RemovalManager, State: portalapi.MarkHeld}),
			"memberships": func() error {
				_, err := first.PutMemberships(p.Context(), "o-any", nil, nil)
				return err
			}(),
			"pool release": first.ReleasePool(p.Context(), "o-any", true),
			"binding":      bind(first),
		} {
			if portalapi.CodeOf(err) != portalapi.CodeStaleLeader {
				p.Errorf("%s of the former leader: %v, want %s", what, err, portalapi.CodeStaleLeader)
			}
		}
		_, err = first.PutPool(p.Context(), team("Payments"))
		p.refused(err, portalapi.CodeStaleLeader)
		p.ok(put(second, person("ada")))
		p.ok(bind(second))
		_, err = first.Removals(p.Context(), time.Hour) // every process may read
		p.ok(err)
	},
	"A refused binding makes no process the leader": func(p *portalTest) {
		p.scimOn()
		first, second := p.Process("first"), p.Process("second")
		p.ok(bindBy(p, first, binding("one")))
		p.refused(bindBy(p, second, binding("two")), portalapi.CodeOperatorBound)
		_, err := first.PutAccount(p.Context(), person("ada"))
		p.ok(err)
		p.ok(second.Unbind(p.Context(), binding("one").UID))
		p.ok(bindBy(p, second, binding("two")))
		_, err = first.PutAccount(p.Context(), person("bob"))
		p.refused(err, portalapi.CodeStaleLeader)
	},
}
