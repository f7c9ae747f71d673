// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/operator/preview"
)

// withoutObject contains the accounts and pools in the portal that the operator manages and that
// have no object, the pools that it does not manage and that give roles to its users, and the local
// accounts that have roles by pools that it manages.
type withoutObject struct {
	Accounts []preview.Leftover `json:"accounts"`
	Pools    []preview.Pool     `json:"pools"`
	Unowned  []preview.Pool     `json:"poolsWithoutOwner"`

	LocalMembers []preview.LocalMember `json:"localMembers"`
}

func audit(o *options) *cobra.Command {
	var releaseThem bool
	var id string
	cmd := &cobra.Command{
		Use:   "audit",
		Short: "List the operator's accounts and pools that have no ScimUser or AgentPool; --release asks the operator to release them",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if id != "" && !releaseThem {
				return fmt.Errorf("--id names the held removal to release: use it with --release")
			}
			r, err := o.report(cmd.Context(), false)
			if err != nil {
				return err
			}
			found := withoutObject{r.WithoutUser, r.WithoutAgentPool, r.WithoutOwner, r.LocalMembers}
			none := len(found.Accounts)+len(found.Pools)+len(found.Unowned)+len(found.LocalMembers) == 0
			if err := o.print(found, func(w io.Writer) { auditTable(w, found) }); err != nil || none {
				return err
			}
			switch {
			case id != "":
				return o.releaseHeldPool(cmd.Context(), found.Pools, id)
			case releaseThem && len(found.Accounts)+len(found.Pools) > 0:
				return o.decideConfiguration(cmd.Context(), v1alpha1.AnnotationReleaseOwnerGone, now(),
					"These accounts are released as spec.onDelete says, and these pools if the deprovisioning guard lets their users lose what they give.")
			}
			return errFound
		},
	}
	cmd.Flags().BoolVar(&releaseThem, "release", false, "ask the operator to release what was found by now")
	cmd.Flags().StringVar(&id, "id", "", "with --release: release the pool whose removal the deprovisioning guard holds under this id")
	o.portalFlags(cmd)
	return cmd
}

func auditTable(w io.Writer, found withoutObject) {
	if len(found.Accounts)+len(found.Pools) == 0 {
		fmt.Fprintln(w, "Every account that the operator manages has its ScimUser, and every pool its AgentPool.")
	}
	if len(found.Accounts) > 0 {
		rows := [][]string{{"ACCOUNT", "USER NAME", "FOLLOWED", "STATUS", "ROLES"}}
		for _, a := range found.Accounts {
			rows = append(rows, []string{a.ID, a.UserName, "ScimUser " + a.ScimUser, a.Status, or(strings.Join(a.Roles, ","), "–")})
		}
		table(w, rows)
	}
	if len(found.Pools) > 0 {
		rows := [][]string{{"POOL", "NAME", "FOLLOWED", "ROLES", "USERS", "GUARD"}}
		for _, p := range found.Pools {
			rows = append(rows, []string{p.ID, p.Name, "AgentPool " + p.AgentPool, or(strings.Join(p.Roles, ","), "–"), strconv.Itoa(p.Users), guardOf(p)})
		}
		table(w, rows)
	}
	if len(found.Unowned) > 0 {
		rows := [][]string{{"POOL WITHOUT OWNER", "NAME", "ROLES", "SCIM USERS", "WHO"}}
		for _, p := range found.Unowned {
			rows = append(rows, []string{p.ID, p.Name, strings.Join(p.Roles, ","), strconv.Itoa(p.Users), some(p.UserNames)})
		}
		table(w, rows)
		fmt.Fprintln(w, "The operator does not change pools without an owner: their members keep the roles. To manage one, set spec.adopt of an AgentPool to its id; or change it in the portal.")
	}
	if len(found.LocalMembers) > 0 {
		rows := [][]string{{"LOCAL ACCOUNT", "USER NAME", "IN AGENTPOOLS", "ROLES BY THEM"}}
		for _, a := range found.LocalMembers {
			rows = append(rows, []string{a.ID, a.UserName, strings.Join(a.AgentPools, ","), strings.Join(a.Roles, ",")})
		}
		table(w, rows)
		fmt.Fprintln(w, "Neither the provider nor an AgentPool decides about a local account: it keeps these roles, also after its user was deleted with onDelete: Orphan. To take them away, change the account in the portal.")
	}
}

// maxNamed is the maximum number of users that a row names. -o json has all.
const maxNamed = 5

// some returns the first names, and how many others there are.
func some(names []string) string {
	out := strings.Join(names[:min(len(names), maxNamed)], ",")
	if more := len(names) - maxNamed; more > 0 {
		out += fmt.Sprintf(" and %d more", more)
	}
	return out
}

// guardOf returns what the guard holds of the pool, or what a person dropped.
func guardOf(p preview.Pool) string {
	switch {
	case p.Held == "":
		return "–"
	case p.Dropped:
		return "dropped " + p.Held
	}
	return "holds " + p.Held
}

// releaseHeldPool writes the decision about one pool to the configuration, because the pool has no
// AgentPool.
func (o *options) releaseHeldPool(ctx context.Context, pools []preview.Pool, id string) error {
	i := slices.IndexFunc(pools, func(p preview.Pool) bool { return p.Held == id })
	if i < 0 {
		return fmt.Errorf("no pool without an AgentPool has a held removal %q; kubectl scim audit lists them", id)
	}
	return o.decideConfiguration(ctx, v1alpha1.AnnotationRelease, id, fmt.Sprintf("Noted for the pool of AgentPool %s: %s, %d user(s).", pools[i].AgentPool, id, pools[i].Users))
}

// now returns the current time in the form of the annotations.
func now() string { return time.Now().UTC().Format(time.RFC3339) }
