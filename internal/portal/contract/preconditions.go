package contract

import (
	"errors"
	"net/http"
	"slices"
	"time"

	"lightrun.com/scim-operator/internal/portal"
	"lightrun.com/scim-operator/internal/portal/openapi"
)

// since returns w with the precondition that the record has the revision; 0: that there is no
// record.
func since(revision int64, w portal.AccountWrite) portal.AccountWrite {
	w.IfRevision = &revision
	return w
}

func poolSince(revision int64, w portal.PoolWrite) portal.PoolWrite {
	w.IfRevision = &revision
	return w
}

// outdated fails unless err says that the precondition no longer matches.
func (p *portalTest) outdated(err error) {
	p.Helper()
	p.refused(err, portal.CodeStaleRevision)
	if e := new(portal.Error); !errors.As(err, &e) || e.Status != http.StatusPreconditionFailed {
		p.Errorf("refused with %v, want the status 412", err)
	}
}

func (p *portalTest) putOutdated(w portal.AccountWrite) {
	p.Helper()
	_, err := p.Client.PutAccount(p.Context(), w)
	p.outdated(err)
}

var preconditionTests = map[string]func(*portalTest){
	"A write whose precondition does not match the account is refused": func(p *portalTest) {
		p.scimOn()
		quota, managers := p.pool("Quota", portal.RoleIgnoreQuota), p.pool("Managers", portal.RoleManager)
		first := p.put(since(0, person("ada")))
		p.putOutdated(since(0, person("ada", managers.ID))) // decided before the account existed
		second := p.put(since(first.Revision, person("ada", quota.ID)))
		if second.Revision <= first.Revision {
			p.Errorf("the revision went from %d to %d", first.Revision, second.Revision)
		}
		p.audited("a late write", 1, func() { p.putOutdated(since(first.Revision, person("ada", managers.ID))) })
		p.putOutdated(since(second.Revision+1, person("ada", managers.ID)))
		p.equal("account after the late writes", p.user(first.ID).Roles, []string{portal.RoleIgnoreQuota, portal.RoleUser})
		if got := p.put(since(second.Revision, person("ada", managers.ID))); !slices.Contains(got.Roles, portal.RoleManager) {
			p.Errorf("decided on the newest version: %+v", got)
		}
	},
	"A write whose response was lost can be repeated": func(p *portalTest) {
		p.scimOn()
		quota := p.pool("Quota", portal.RoleIgnoreQuota)
		created := p.put(since(0, person("ada")))
		updated := p.put(since(created.Revision, person("ada", quota.ID)))
		p.audited("the repeats", 0, func() {
			p.equal("an update again", p.put(since(created.Revision, person("ada", quota.ID))), updated)
			p.equal("decided without a record", p.put(since(0, person("ada", quota.ID))), updated)
		})
		local := p.local("bob", func(c *openapi.UserCreate) { c.Pools = []string{quota.ID} })
		p.existingOn()
		adopt := since(local.Revision, adopting("bob", local.ID, ""))
		adopted := p.put(adopt)
		p.equal("an adoption again", p.put(adopt), adopted)
	},
	"An account that a person changed in between is not adopted on the old revision": func(p *portalTest) {
		p.existingOn()
		local := p.local("ada")
		var edited openapi.User
		p.manage("PATCH", "/users/"+local.ID, openapi.UserPatch{DisplayName: ptr("Other")}, &edited)
		p.putOutdated(since(local.Revision, adopting("ada", local.ID, "")))
		p.put(since(edited.Revision, adopting("ada", local.ID, "")))
	},
	"A change of a pool's roles advances the revision of its members": func(p *portalTest) {
		p.scimOn()
		pool := p.putPool(team("Payments"))
		ada := p.put(person("ada", pool.ID))
		w := team("Payments", portal.RoleIgnoreQuota)
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
		put := func(w portal.PoolWrite) error {
			_, err := p.Client.PutPool(p.Context(), w)
			return err
		}
		first := p.putPool(poolSince(0, team("Payments", portal.RoleManager)))
		p.outdated(put(poolSince(0, team("Payments", portal.RoleIgnoreQuota))))
		second := p.putPool(poolSince(first.Revision, team("Payments")))
		p.outdated(put(poolSince(first.Revision, team("Payments", portal.RoleIgnoreQuota))))
		p.audited("a repeat", 0, func() { p.equal("a repeat", p.putPool(poolSince(first.Revision, team("Payments"))), second) })

		own := p.pool("Quota", portal.RoleIgnoreQuota)
		p.manage("PATCH", "/pools/"+own.ID, openapi.PoolPatch{Description: ptr("changed in between")}, nil)
		adopt := team("Quota")
		adopt.Adopt = &portal.Adopt{ID: own.ID}
		p.outdated(put(poolSince(own.Revision, adopt)))
	},
	"Preconditions are entity tags": func(p *portalTest) {
		p.scimOn()
		body := openapi.UserProvision{OwnerName: "s-ada", Revision: 1, UserName: "ada@example.test", Active: true, Pools: []string{}}
		put := func(headers ...string) answer {
			return p.http(p.Keys.Provisioning, "PUT", "/provisioning/users/u-ada", body, headers...)
		}
		p.no(put("If-Match", `"1"`, "If-None-Match", "*"), 400, portal.CodeInvalid)
		p.no(put("If-None-Match", `"1"`), 400, portal.CodeInvalid)
		p.no(put("If-Match", "one"), 400, portal.CodeInvalid)
		p.no(put("If-Match", `"1"`), 412, portal.CodeStaleRevision)
		made := put("If-None-Match", "*")
		if made.Status != 200 {
			p.Fatalf("created: %d %s", made.Status, made.Body)
		}
		body.DisplayName = "Other"
		p.no(put("If-None-Match", "*"), 412, portal.CodeStaleRevision)
		if got := put("If-Match", made.Header.Get("ETag")); got.Status != 200 {
			p.Errorf("updated: %d %s", got.Status, got.Body)
		}
		p.no(put("Operator-Leader", "not usable!"), 400, portal.CodeInvalid)
	},
	"The process that bound last leads, and writes of former leaders are refused": func(p *portalTest) {
		p.scimOn()
		first, second := p.Process("first"), p.Process("second")
		bind := func(c portal.Client) error { return bindBy(p, c, binding("one")) }
		put := func(c portal.Client, w portal.AccountWrite) error {
			_, err := c.PutAccount(p.Context(), w)
			return err
		}
		p.ok(bind(first))
		p.ok(put(first, person("ada")))
		p.refused(put(second, person("bob")), portal.CodeStaleLeader)
		p.refused(put(p.Client, person("bob")), portal.CodeStaleLeader)

		before, err := p.Client.Configuration(p.Context())
		p.ok(err)
		p.audited("a new leader", 0, func() { p.ok(bind(second)) })
		after, err := p.Client.Configuration(p.Context())
		p.ok(err)
		p.equal("configuration", after, before)

		late := person("ada")
		late.Owner.Revision, late.Active = 99, false
		owner := portal.Owner{UID: "u-ada", Name: "s-ada", Revision: 99}
		for what, err := range map[string]error{
			"account":           put(first, late),
			"account release":   first.ReleaseAccount(p.Context(), owner, portal.ReleaseDelete),
			"mark of a removal": first.MarkHeld(p.Context(), owner, &portal.Mark{What: portal.RemovalDeactivation, State: portal.MarkHeld}),
			"mark of waiting":   first.MarkWaiting(p.Context(), p.local("carl").ID, owner),
			"mark of a pool":    first.MarkPoolHeld(p.Context(), portal.Owner{UID: "o-any"}, &portal.Mark{What: portal.RemovalManager, State: portal.MarkHeld}),
			"memberships": func() error {
				_, err := first.PutMemberships(p.Context(), "o-any", nil)
				return err
			}(),
			"pool release": first.ReleasePool(p.Context(), "o-any", true),
			"binding":      bind(first),
		} {
			if portal.CodeOf(err) != portal.CodeStaleLeader {
				p.Errorf("%s of the former leader: %v, want %s", what, err, portal.CodeStaleLeader)
			}
		}
		_, err = first.PutPool(p.Context(), team("Payments"))
		p.refused(err, portal.CodeStaleLeader)
		p.ok(put(second, person("ada")))
		p.ok(bind(second))
		_, err = first.Removals(p.Context(), time.Hour) // every process may read
		p.ok(err)
	},
	"A refused binding makes no process the leader": func(p *portalTest) {
		p.scimOn()
		first, second := p.Process("first"), p.Process("second")
		p.ok(bindBy(p, first, binding("one")))
		p.refused(bindBy(p, second, binding("two")), portal.CodeOperatorBound)
		_, err := first.PutAccount(p.Context(), person("ada"))
		p.ok(err)
		p.ok(second.Unbind(p.Context(), binding("one").UID))
		p.ok(bindBy(p, second, binding("two")))
		_, err = first.PutAccount(p.Context(), person("bob"))
		p.refused(err, portal.CodeStaleLeader)
	},
}
