// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/kernel/names"
	"lightrun.com/scim-operator/internal/kernel/shell"
	"lightrun.com/scim-operator/internal/operator/preview"
)

func plan(o *options) *cobra.Command {
	var migration bool
	cmd := &cobra.Command{
		Use:   "plan [user|pool NAME]",
		Short: "What the operator would change in the portal now, and why; nothing is changed",
		Long: "What the operator would change in the portal now, for all objects or for one user or pool, and why. The operator itself\n" +
			"decides with the same functions. Nothing is changed.",
		Example: "  kubectl scim plan\n  kubectl scim plan user ada@example.com\n  kubectl scim plan --migration",
		Args:    cobra.MatchAll(cobra.MaximumNArgs(2), kindAndName),
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := o.report(cmd.Context(), migration)
			if err != nil {
				return err
			}
			if len(args) == 2 {
				if err := narrow(r, args[0], args[1]); err != nil {
					return err
				}
			}
			if err := o.print(r, func(w io.Writer) { planTable(w, r, len(args) == 2) }); err != nil {
				return err
			}
			if r.Changes() > 0 {
				return errFound
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&migration, "migration", false, `preview with "Provision existing users with SCIM" on, and report the result for local accounts`)
	o.portalFlags(cmd)
	return cmd
}

func kindAndName(_ *cobra.Command, args []string) error {
	if len(args) == 0 || len(args) == 2 && (args[0] == "user" || args[0] == "pool") {
		return nil
	}
	return fmt.Errorf("give no argument for all objects, or a kind and a name: user NAME, or pool NAME")
}

// narrow keeps only the steps whose object or title has the name.
func narrow(r *preview.Report, kind, name string) error {
	others := func(s preview.Step) bool { return s.Name != name && names.Fold(s.Title) != names.Fold(name) }
	left := &r.Users
	if kind == "pool" {
		left, r.Users = &r.Pools, nil
	} else {
		r.Pools = nil
	}
	if *left = slices.DeleteFunc(*left, others); len(*left) == 0 {
		return fmt.Errorf("there is no %s %q; give the object's name, or the user name or the pool's name in the portal", kind, name)
	}
	return nil
}

func planTable(w io.Writer, r *preview.Report, detailed bool) {
	header(w, r)
	steps := slices.Concat(r.Pools, r.Users)
	rows := [][]string{{"KIND", "NAME", "ACTION", "WHAT AND WHY"}}
	for _, s := range steps {
		if s.Action == "None" && len(s.Changes) == 0 && s.Reason == "" && !detailed {
			continue
		}
		rows = append(rows, []string{s.Kind, s.Title, s.Action, what(s)})
		for _, c := range s.Changes {
			rows = append(rows, []string{"", "", "", fmt.Sprintf("  %s: %s → %s", c.Field, or(c.From, "–"), or(c.To, "–"))})
		}
		if detailed {
			rows = append(rows, origins(s)...)
		}
	}
	if !detailed {
		rows = append(rows, leftovers(r)...)
	}
	if len(rows) > 1 {
		table(w, rows)
	}
	if !detailed {
		fmt.Fprintf(w, "%d of %d objects change the portal.\n", r.Changes(), r.Objects())
	}
	if !detailed {
		leftoverCounts(w, r)
	}
	if g := r.Guard; g.Removals > 0 && !detailed {
		fmt.Fprintf(w, "The deprovisioning guard counts %d removal(s); %d more fit its budget for %s, so it would hold %d.\n", g.Removals, g.Left, g.Window, g.Held)
	}
	if r.Migration != nil {
		migrationTable(w, r.Migration)
	}
}

// leftovers returns a row for each account and pool in the portal whose object is gone.
func leftovers(r *preview.Report) (rows [][]string) {
	for _, a := range r.WithoutUser {
		says := fmt.Sprintf("ScimUser %s no longer exists. The account is %s, with %s", a.ScimUser, a.Status, or(strings.Join(a.Roles, ","), "no role"))
		if len(a.Leaves) > 0 {
			says += ". No group or line names the user: it leaves " + strings.Join(a.Leaves, ",")
		}
		rows = append(rows, []string{"Account", a.UserName, "None", v1alpha1.ReasonOwnerGone + ": " + says})
	}
	for _, p := range r.WithoutAgentPool {
		rows = append(rows, []string{"Pool", p.Name, "None", fmt.Sprintf("%s: AgentPool %s no longer exists. The pool gives %d user(s) %s", v1alpha1.ReasonOwnerGone, p.AgentPool, p.Users, or(strings.Join(p.Roles, ","), "no role"))})
	}
	return rows
}

// leftoverCounts prints how many accounts and pools have lost their object, and how to release
// them.
func leftoverCounts(w io.Writer, r *preview.Report) {
	var counts []string
	managers := 0
	for _, a := range r.WithoutUser {
		if a.Manages() {
			managers++
		}
	}
	if n := len(r.WithoutUser); n > 0 {
		counts = append(counts, fmt.Sprintf("%d account(s), %d with ROLE_MANAGER", n, managers))
	}
	if n := len(r.WithoutAgentPool); n > 0 {
		counts = append(counts, fmt.Sprintf("%d pool(s)", n))
	}
	if len(counts) > 0 {
		fmt.Fprintf(w, "Without their object in Kubernetes, and kept until they are released: %s. To release them: %s\n", strings.Join(counts, "; "), shell.Scim(r.Namespace, "audit", "--release"))
	}
}

func header(w io.Writer, r *preview.Report) {
	fmt.Fprintf(w, "Namespace %s, provider %s\n", r.Namespace, r.Provider)
	if r.Waits != "" {
		fmt.Fprintf(w, "Nothing is written now: %s. What follows would be done otherwise.\n", r.Waits)
	}
}

func what(s preview.Step) string {
	if s.Reason != "" {
		return s.Reason + ": " + s.Message
	}
	return s.Message
}

// origins returns a user's pools and roles, each with its source.
func origins(s preview.Step) [][]string {
	var rows [][]string
	for _, p := range s.Pools {
		rows = append(rows, []string{"", "", "", fmt.Sprintf("  in pool %s (%s)", p.Name, p.Source)})
	}
	for _, g := range s.Roles {
		rows = append(rows, []string{"", "", "", fmt.Sprintf("  holds %s from %s", g.Name, strings.Join(g.From, ", "))})
	}
	return rows
}

func migrationTable(w io.Writer, m *preview.Migration) {
	fmt.Fprintln(w, "\nMigration of local accounts:")
	rows := [][]string{{"ACCOUNT", "BECOMES", "BECAUSE"}}
	add := func(all []preview.Account, becomes, because string) {
		for _, a := range all {
			rows = append(rows, []string{a.UserName, becomes, because})
		}
	}
	loses := func(a preview.Account) bool { return slices.Contains(m.LosingManager, a) }
	add(m.LosingManager, "SCIM", "the provider pushed this user name; LOSES ROLE_MANAGER: no pool of theirs gives it")
	add(slices.DeleteFunc(slices.Clone(m.Adopted), loses), "SCIM", "the provider pushed this user name")
	add(m.LastManager, "local", "the last local manager with a password; make another one first")
	for _, a := range m.Ambiguous {
		rows = append(rows, []string{a.UserName, "local", "ambiguous: " + a.Message})
	}
	add(m.Unmatched, "local", "the provider has not pushed this user name")
	table(w, rows)
}
