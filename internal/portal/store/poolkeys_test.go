// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"testing"
	"time"

	"lightrun.com/scim-operator/internal/kernel/portalapi"
	"lightrun.com/scim-operator/test/framework/postgres"
)

// TestPoolKeys follows the keys of a pool: the first, a rotation, its reversal, revocations, and
// the end of a deprecated key.
func TestPoolKeys(t *testing.T) {
	for name, database := range map[string]string{"SQLite": Memory, "PostgreSQL": postgres.Start(t).Database(t)} {
		t.Run(name, func(t *testing.T) {
			ahead := time.Duration(0)
			s, err := Open(context.Background(), Options{Database: database, Now: func() time.Time { return time.Now().Add(ahead) }})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = s.Close() })
			testPoolKeys(t, s, &ahead)
		})
	}
}

func testPoolKeys(t *testing.T, s *Store, ahead *time.Duration) {
	ctx, boss, day := t.Context(), SystemActor("test"), 24*time.Hour
	pool, err := s.CreatePool(ctx, boss, NewPool{Name: "Team"})
	if err != nil {
		t.Fatal(err)
	}
	rotate := func(active string, overlap time.Duration, code portalapi.Code) (id, secret string) {
		t.Helper()
		k, secret, err := s.RotatePoolKey(ctx, boss, pool.ID, active, overlap)
		if portalapi.CodeOf(err) != code || err != nil && code == "" {
			t.Fatalf("rotate: %v, want %q", err, code)
		}
		if err != nil {
			return "", ""
		}
		return k.ID, secret
	}
	works := func(secret string, want bool) {
		t.Helper()
		p, _, err := s.AgentPool(ctx, secret)
		if want && (err != nil || p.ID != pool.ID) || !want && portalapi.CodeOf(err) != portalapi.CodeUnauthenticated {
			t.Errorf("the key joins %+v (%v), want that it works: %v", p, err, want)
		}
	}
	active := func(want string) {
		t.Helper()
		all, err := s.PoolKeys(ctx, pool.ID)
		if err != nil || want == "" && len(all) > 0 && all[0].Active() || want != "" && (len(all) == 0 || !all[0].Active() || all[0].ID != want) {
			t.Errorf("keys %+v, want %s active (%v)", all, want, err)
		}
	}
	code := func(err error, want portalapi.Code) {
		t.Helper()
		if portalapi.CodeOf(err) != want || err != nil && want == "" {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	works("lra_unknown", false)
	first, one := rotate("", 0, "")
	works(one, true)
	rotate("", day, portalapi.CodeStaleRevision)                                   // another manager was faster
	rotate(first, MaxOverlap+1, portalapi.CodeInvalid)                             // no key lasts for ever
	rotate(first, -time.Second, portalapi.CodeInvalid)                             // nor has it ended before
	second, two := rotate(first, 7*day, "")                                        // both work
	works(one, true)                                                               //
	works(two, true)                                                               //
	active(second)                                                                 //
	rotate(second, day, portalapi.CodePoolKeyRotating)                             // a third would be too many
	code(s.RevertPoolKey(ctx, boss, pool.ID, second), portalapi.CodeStaleRevision) // it is active
	code(s.RevertPoolKey(ctx, boss, pool.ID, first), "")
	active(first)
	works(one, true)
	works(two, true) // agents that have it already keep it until the date
	code(s.RevokePoolKey(ctx, boss, pool.ID, second), "")
	works(two, false)
	code(s.RevokePoolKey(ctx, boss, pool.ID, second), portalapi.CodeStaleRevision)
	third, three := rotate(first, 7*day, "")
	*ahead = 7*day - time.Minute
	works(one, true)
	*ahead = 7 * day
	works(one, false)
	works(three, true)
	code(s.RevertPoolKey(ctx, boss, pool.ID, first), portalapi.CodeStaleRevision) // it has ended
	fourth, four := rotate(third, day, "")                                        // the ended key does not prevent it
	code(s.RevokePoolKey(ctx, boss, pool.ID, fourth), "")
	works(four, false)
	works(three, true)
	active("")
	code(s.RevertPoolKey(ctx, boss, pool.ID, third), "") // the way back without an active key
	active(third)
	all, err := s.PoolKeys(ctx, pool.ID)
	if err != nil || len(all) != 1 || !all[0].LastUsedAt.After(time.Now()) || all[0].Hint != three[len(three)-4:] {
		t.Errorf("keys %+v, %v", all, err)
	}
	events, err := s.AuditEvents(ctx, AuditFilter{TargetID: pool.ID}, 0, 100)
	if err != nil {
		t.Fatal(err)
	}
	done := map[string]int{}
	for _, e := range events {
		if !e.Refused() {
			done[e.Action]++
		}
	}
	if done["pool-key.rotate"] != 4 || done["pool-key.revert"] != 2 || done["pool-key.revoke"] != 2 {
		t.Errorf("the audit has %v", done)
	}
	if err := s.DeletePool(ctx, boss, pool.ID, nil); err != nil {
		t.Fatal(err)
	}
	works(three, false)
	code(func() error { _, _, err := s.RotatePoolKey(ctx, boss, pool.ID, "", 0); return err }(), portalapi.CodeNotFound)
	code(func() error {
		_, _, err := s.RotatePoolKey(ctx, Actor{Kind: Person, Name: "ada"}, pool.ID, "", 0)
		return err
	}(), portalapi.CodeForbidden)
}
