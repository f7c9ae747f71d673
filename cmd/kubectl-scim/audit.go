// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"lightrun.com/scim-operator/api/v1alpha1"
)

func audit(o *options) *cobra.Command {
	var releaseThem bool
	cmd := &cobra.Command{
		Use:   "audit",
		Short: "Accounts that are ours and whose ScimUser is gone; --release asks the operator to let them go",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			r, err := o.report(cmd.Context(), false)
			if err != nil {
				return err
			}
			if err := o.print(r.WithoutUser, func(w io.Writer) {
				if len(r.WithoutUser) == 0 {
					fmt.Fprintln(w, "Every account of ours has its ScimUser.")
					return
				}
				rows := [][]string{{"ACCOUNT", "USER NAME", "FOLLOWED"}}
				for _, a := range r.WithoutUser {
					rows = append(rows, []string{a.ID, a.UserName, "ScimUser " + a.ScimUser})
				}
				table(w, rows)
			}); err != nil || len(r.WithoutUser) == 0 {
				return err
			}
			if releaseThem {
				return o.decideAll(cmd.Context(), v1alpha1.AnnotationReleaseStrays, now(), "These accounts will be released as spec.onDelete says.")
			}
			return errFound
		},
	}
	cmd.Flags().BoolVar(&releaseThem, "release", false, "ask the operator to release the accounts found by now")
	o.portalFlags(cmd)
	return cmd
}

// now is the time as the annotations take it.
func now() string { return time.Now().UTC().Format(time.RFC3339) }
