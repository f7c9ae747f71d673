// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"lightrun.com/scim-operator/api/v1alpha1"
)

func provider(o *options) *cobra.Command {
	var replace string
	cmd := &cobra.Command{
		Use:   "provider",
		Short: "What a change of the identity provider does; --replace approves it",
		Long: "After spec.identityProvider was changed, the first provider keeps working until a person approves the change. This shows\n" +
			"what the change does, and --replace approves it.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if replace != "" {
				return o.decideAll(cmd.Context(), v1alpha1.AnnotationReplaceProvider, replace, "Noted: "+replace+" may be replaced.")
			}
			r, err := o.report(cmd.Context(), false)
			if err != nil {
				return err
			}
			answer := map[string]string{"provider": r.Provider, "replacement": r.Replacement}
			if err := o.print(answer, func(w io.Writer) {
				fmt.Fprintln(w, or(r.Replacement, "The portal is integrated with the provider that the configuration names: "+r.Provider+"."))
			}); err != nil || r.Replacement == "" {
				return err
			}
			return errFound
		},
	}
	cmd.Flags().StringVar(&replace, "replace", "", "the provider that the portal is integrated with and that may be replaced, such as Okta or Okta/name")
	o.portalFlags(cmd)
	return cmd
}
