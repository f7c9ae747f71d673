// SPDX-License-Identifier: Apache-2.0

package scimgroup

import (
	"context"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/kernel/conditions"
	"lightrun.com/scim-operator/internal/operator/groupindex"
	"lightrun.com/scim-operator/internal/operator/pass"
	"lightrun.com/scim-operator/internal/operator/portalclient/mirror"
)

// backup finds out whether the group's objects come from a backup that is older than what the
// portal has seen of the group. While the portal is not known, the answer is that of the status.
func (p *scope) backup(ctx context.Context) pass.Outcome {
	if m := p.portal(); m != nil {
		return p.compare(ctx, m)
	}
	return pass.Next()
}

// compare compares the group with what the portal has seen. The cache can be behind what a former
// leader recorded there, so the objects are read before the status says that they are older.
func (p *scope) compare(ctx context.Context, m *mirror.Mirror) pass.Outcome {
	g, known := p.known()
	if !known {
		return pass.Next()
	}
	than := groupindex.Older(g, m)
	p.than = than
	switch {
	case than == 0:
		p.older, p.round = 0, 0
		return pass.Next()
	case than == g.OlderThan:
		return pass.Next()
	case !g.Whole:
		return pass.Next() // the slices may not be restored yet
	}
	now, err := groupindex.Live(ctx, p.Live, client.ObjectKeyFromObject(p.group))
	if err != nil {
		return p.Retry(err)
	}
	if !now.Whole || groupindex.Older(now, m) != than {
		return pass.Quiet(pass.ConflictPause) // the objects, or the cache, are not complete yet
	}
	p.older, p.round = than, now.Round
	return pass.Next()
}

// waits ends the pass over a deletion that comes from an older backup: the provider may have the
// group again.
func (p *scope) waits(context.Context) pass.Outcome {
	g, known := p.known()
	if !known || p.than == 0 {
		return pass.Next()
	}
	return pass.Stop(conditions.False(v1alpha1.ConditionPoolsResolved, v1alpha1.ReasonBackupOlder, groupindex.BackupOlder(p.group.Namespace, g, p.than)))
}
