// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"lightrun.com/scim-operator/internal/kernel/portalapi"
)

// PlanState is the state of the newest migration plan that the operator has published.
type PlanState struct {
	ID      string // empty if there is none
	Answers int64  // the Configuration.PlanRequest that it answers
	At      time.Time
}

// MigrationPlan is the newest plan with its counts. Lines contains those who lose something first.
type MigrationPlan struct {
	PlanState
	MigrationLoss
	Lines []portalapi.MigrationLine
	Total int // number of lines
	Stay  int // number of local accounts that stay local
}

// MigrationLoss counts the accounts that a plan migrates, and those of them that lose something.
type MigrationLoss struct {
	Adopted, Deactivated, Activated, Manager, Access int
}

// RequestPlan asks the operator for a new plan and returns the number of the request. The plan
// answers it when PlanState.Answers is not smaller.
func (s *Store) RequestPlan(ctx context.Context, actor Actor) (request int64, err error) {
	if err := actor.allowed(ScopeManage); err != nil {
		return 0, err
	}
	err = s.inTx(ctx, func(t *tx) error {
		if _, err := t.exec(`UPDATE identity_configuration SET plan_request = plan_request + 1`); err != nil {
			return err
		}
		if err := t.touch(portalapi.ChangeConfiguration, "default", false); err != nil {
			return err
		}
		return t.row(`SELECT plan_request FROM identity_configuration`).Scan(&request)
	})
	return request, err
}

// PutMigrationPlan stores a part of a plan. It replaces the newest plan when the last part arrives.
// Refusals: STALE_LEADER.
func (s *Store) PutMigrationPlan(ctx context.Context, actor Actor, plan portalapi.MigrationPlan, first, last bool) error {
	return s.provision(ctx, actor, &event{action: "migration.plan", targetKind: "IdentityConfiguration"}, func(t *tx) error {
		config, err := t.configuration()
		if err != nil {
			return err
		}
		if plan.ID != config.Plan.ID && plan.ID != config.approved {
			if err := t.putPlanLines(config, plan, first); err != nil {
				return err
			}
		}
		if !last {
			return nil
		}
		_, err = t.exec(`UPDATE identity_configuration SET plan_id = ?, plan_answers = ?, plan_at = ?`, plan.ID, plan.Request, micros(t.now))
		return err
	})
}

func (t *tx) putPlanLines(config *Configuration, plan portalapi.MigrationPlan, first bool) error {
	if first { // plans that nothing refers to, and an earlier attempt at this one
		if _, err := t.exec(`DELETE FROM migration_plan_lines WHERE plan_id NOT IN (?, ?)`, config.Plan.ID, config.approved); err != nil {
			return err
		}
	}
	var position int64
	if err := t.row(`SELECT COUNT(*) FROM migration_plan_lines WHERE plan_id = ?`, plan.ID).Scan(&position); err != nil {
		return err
	}
	for i, l := range plan.Lines {
		text, err := json.Marshal(l)
		if err != nil {
			return err
		}
		if _, err := t.exec(`INSERT INTO migration_plan_lines (plan_id, account_id, position, outcome, becomes, loses, loses_manager, line)
			VALUES (`+marks(8)+`) ON CONFLICT DO NOTHING`, plan.ID, l.AccountID, position+int64(i), string(l.Outcome), string(l.Becomes),
			len(l.RolesLost)+len(l.PoolsLost) > 0, slices.Contains(l.RolesLost, portalapi.RoleManager), string(text)); err != nil {
			return err
		}
	}
	return nil
}

// MigrationPlan returns the newest plan with up to limit lines, or nil if there is none.
func (s *Store) MigrationPlan(ctx context.Context, limit int) (p *MigrationPlan, err error) {
	err = s.inSnapshot(ctx, func(c *conn) error {
		config, err := c.configuration()
		if err != nil || config.Plan.ID == "" {
			return err
		}
		p = &MigrationPlan{PlanState: config.Plan}
		if p.MigrationLoss, p.Total, err = c.planCounts(p.ID); err != nil {
			return err
		}
		p.Stay = p.Total - p.Adopted
		return c.each(func(rows *sql.Rows) error {
			var text string
			if err := rows.Scan(&text); err != nil {
				return err
			}
			var l portalapi.MigrationLine
			err := json.Unmarshal([]byte(text), &l)
			p.Lines = append(p.Lines, l)
			return err
		}, `SELECT line FROM migration_plan_lines WHERE plan_id = ? ORDER BY CASE WHEN outcome <> 'Adopted' THEN 2 WHEN loses OR becomes = 'Deactivated' THEN 0 ELSE 1 END,
			outcome, position LIMIT ?`, p.ID, limit)
	})
	return p, err
}

// planCounts counts the lines of a plan.
func (c *conn) planCounts(id string) (n MigrationLoss, total int, err error) {
	const count = `COALESCE(SUM(CASE WHEN outcome = 'Adopted' AND `
	err = c.row(`SELECT COUNT(*), `+count+`TRUE THEN 1 ELSE 0 END), 0), `+count+`becomes = 'Deactivated' THEN 1 ELSE 0 END), 0), `+
		count+`becomes = 'Active' THEN 1 ELSE 0 END), 0), `+count+`loses_manager THEN 1 ELSE 0 END), 0), `+count+`loses THEN 1 ELSE 0 END), 0)
		FROM migration_plan_lines WHERE plan_id = ?`, id).Scan(&total, &n.Adopted, &n.Deactivated, &n.Activated, &n.Manager, &n.Access)
	return n, total, err
}

// asApproved refuses the migration of a local account that takes more from its user than the plan
// that a manager approved. A hand-over is a consent of its own.
func (t *tx) asApproved(before, after *Account) error {
	config, err := t.configuration()
	if err != nil || config.approved == "" || before == nil || before.ManagedBy != portalapi.ManagedByLocal || after.ManagedBy != portalapi.ManagedBySCIM || before.HandedOver {
		return err
	}
	var l portalapi.MigrationLine
	err = t.each(func(rows *sql.Rows) error {
		var text string
		if err := rows.Scan(&text); err != nil {
			return err
		}
		return json.Unmarshal([]byte(text), &l)
	}, `SELECT line FROM migration_plan_lines WHERE plan_id = ? AND account_id = ? AND outcome = 'Adopted'`, config.approved, before.ID)
	if err != nil {
		return err
	}
	lost := missing(before.Roles, slices.Concat(after.Roles, l.RolesLost))
	lost = append(lost, missing(poolsOf(before), slices.Concat(poolsOf(after), l.PoolsLost))...)
	if before.active() && !after.active() && l.Becomes != portalapi.StatusDeactivated {
		lost = append(lost, "the sign-in")
	}
	if len(lost) == 0 {
		return nil
	}
	return refuse(portalapi.CodePlanChanged, "the migration of the local user %s would take %s, and the approved plan does not; open Login methods, choose Preview and save the new plan", before.ID, strings.Join(lost, ", "))
}

// missing returns the values of had that have lacks.
func missing(had, have []string) []string {
	return slices.DeleteFunc(slices.Clone(had), func(v string) bool { return slices.Contains(have, v) })
}

func poolsOf(a *Account) []string {
	all := make([]string, len(a.PoolRefs))
	for i, p := range a.PoolRefs {
		all[i] = p.Name
	}
	return all
}
