// SPDX-License-Identifier: Apache-2.0

package scimuser

import (
	"context"
	"errors"
	"fmt"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/kernel/conditions"
	"lightrun.com/scim-operator/internal/kernel/groupslice"
	"lightrun.com/scim-operator/internal/kernel/portalapi"
	"lightrun.com/scim-operator/internal/kernel/shell"
	sets "lightrun.com/scim-operator/internal/operator/decide/guard"
	"lightrun.com/scim-operator/internal/operator/decide/provision"
	"lightrun.com/scim-operator/internal/operator/pass"
	"lightrun.com/scim-operator/internal/operator/userplan"
)

// release releases the account of a user that the provider deleted, as onDelete says, unless a
// person dropped that: then the user is restored. It waits for the guard, the last manager and a
// portal that does not answer.
func (p *scope) release(ctx context.Context) pass.Outcome {
	owner := portalapi.Owner{UID: string(p.user.UID), Name: p.user.Name, Revision: p.user.Spec.Revision}
	own := userplan.Kept(p.user, p.View.Mirror)
	plan := provision.ComputeRelease(own, p.View.Spec.OnDelete, false)
	if own != nil {
		if owner.Revision < own.Owner.Revision && v1alpha1.AcceptedRevision(p.user.Annotations) != own.Owner.Revision {
			return pass.Stop(conditions.False(v1alpha1.ConditionProvisioned, v1alpha1.ReasonBackupOlder, provision.BackupOlder(p.user.Namespace, owner.Name, owner.Revision, own.Owner.Revision)))
		}
		owner.UID, owner.Revision = own.Owner.UID, max(owner.Revision, own.Owner.Revision)
	}
	if p.View.Spec.ManagementPolicy == v1alpha1.PolicyReportOnly {
		if own == nil {
			return pass.Next()
		}
		return p.ReportOnly(fmt.Sprintf("Would release the account: %s", plan.Mode))
	}
	do := func(ctx context.Context) error {
		err := p.View.Client.ReleaseAccount(ctx, owner, plan.Mode)
		if err == nil {
			p.View.Mirror.PutReleased(owner)
		}
		return err
	}
	if !plan.Removal {
		return p.Call(func() error { return do(ctx) })
	}
	o := p.guarded(ctx, userplan.RemovalOf(plan.Mode), do)
	if o.Refused || p.Removal.Verdict != sets.Keep {
		return o
	}
	return p.Undelete(ctx, func(taken string) string {
		return fmt.Sprintf("A person dropped this deletion (%s), but %s has the user name now: the account stays unchanged. Rename or delete that user in the identity provider to restore this one; or release the deletion, and that user gets the name in the portal: %s",
			p.Removal.Decision, taken, shell.Scim(p.user.Namespace, "release", "scimuser/"+p.user.Name, "--id", p.Removal.Decision))
	})
}

// finish takes the id out of the groups, releases the names and deletes the object.
func (p *scope) finish(ctx context.Context) pass.Outcome {
	p.Finished.Note(p.user.Name, p.Clock.Now())
	for _, group := range p.Groups.Containing(p.user.Name) {
		err := p.Slices.Change(ctx, group, []groupslice.Change{{User: p.user.Name}})
		if err != nil && !errors.Is(err, groupslice.ErrGroupGone) {
			return p.Retry(fmt.Errorf("take the user out of group %s: %w", group, err))
		}
	}
	return p.Finish(ctx, p.Registry(), v1alpha1.ClaimUser, "", p.user.Spec.UserName, p.user.Status.UserName)
}
