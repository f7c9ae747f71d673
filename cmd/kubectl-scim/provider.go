// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"lightrun.com/scim-operator/api/v1alpha1"
	kernelprovider "lightrun.com/scim-operator/internal/kernel/provider"
	"lightrun.com/scim-operator/internal/kernel/shell"
	"lightrun.com/scim-operator/internal/operator/decide/provision"
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
				return o.replaceProvider(cmd.Context(), replace)
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

// replaceProvider approves that the configured provider replaces first. It refuses any other
// provider than the bound one, and an approval that no change waits for: it would take effect at a
// later change, which no person has seen.
func (o *options) replaceProvider(ctx context.Context, first string) error {
	c, namespace, err := o.configured(ctx)
	if err != nil {
		return err
	}
	config, err := configuration(ctx, c, namespace)
	if err != nil {
		return err
	}
	status := config.Status.Provider
	if status == nil {
		return fmt.Errorf("the manager has not reported yet which provider the portal is integrated with: repeat the command when the condition %s reports it", v1alpha1.ConditionBound)
	}
	declared := provision.WantBinding(config, "")
	bound, want := kernelprovider.ID{Type: string(status.Type), Name: status.Name}, declared.Provider()
	switch {
	case bound.IsRefined(want):
		return fmt.Errorf("the portal is integrated with %s, and the configuration names %s: no change of the provider waits for a decision", bound, want)
	case first != bound.String():
		return fmt.Errorf("the portal is integrated with %s, not with %s. To have %s replace it: %s", bound, first, want, shell.Scim(namespace, "provider", "--replace", bound.String()))
	}
	return o.decideConfiguration(ctx, v1alpha1.AnnotationReplaceProvider, first, "Noted: "+first+" may be replaced.")
}
