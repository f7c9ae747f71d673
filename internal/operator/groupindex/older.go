// SPDX-License-Identifier: Apache-2.0

package groupindex

import (
	"fmt"
	"strconv"

	"lightrun.com/scim-operator/internal/kernel/shell"
)

// Portal returns what the portal has recorded of groups. *mirror.Mirror implements it.
type Portal interface {
	// GroupRevision returns the highest revision of the group that the portal has recorded; 0 if
	// there is none. deleted is true if the portal has recorded that the provider deleted it.
	GroupRevision(id string) (revision int64, deleted bool)
}

// Older returns the portal's revision of the group if the group has not reached it, because its
// objects come from a backup. It returns 0 if the group is not older. An older group changes no
// pool: its former members do not return.
//
// A deletion that the portal has recorded is not older. It is carried out to its end, and without
// its slices the group has a lower revision.
//
// A change of single members gives the group a new revision, but its other members are still from
// the backup. So a group that was found to be older (OlderThan) stays older until all its members
// are replaced, until its content is that of the portal's revision, or until a person accepts it.
func Older(g Group, p Portal) (than int64) {
	recorded, deleted := p.GroupRevision(g.ID)
	if g.Deleted && deleted {
		return 0
	}
	than = g.OlderThan
	if g.Revision < recorded {
		than = max(than, recorded)
	}
	replaced := than == g.OlderThan && g.Whole && g.Replaced > g.OlderRound
	if than == 0 || replaced || g.Accepted == than || g.Revision == than {
		return 0
	}
	return than
}

// BackupOlder returns what an older group of the namespace waits for, and what a person can do.
func BackupOlder(namespace string, g Group, than int64) string {
	return fmt.Sprintf("The portal has revision %d of group %s, and its objects, from a backup, have %d: its pools keep the members that they have until the identity provider pushes all members of the group again. To let the backup replace what is newer: %s",
		than, g.ID, g.Revision, shell.Scim(namespace, "accept", "scimgroup/"+g.ID, "--revision", strconv.FormatInt(than, 10)))
}
