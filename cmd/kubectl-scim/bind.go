// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/kernel/portalapi"
)

func bind(o *options) *cobra.Command {
	var replace bool
	cmd := &cobra.Command{
		Use:   "bind",
		Short: "Which operator the portal is bound to; --replace binds it to this one",
		Long: "Which operator the portal is bound to. After a cluster is lost, or for a move to another one, --replace replaces it by the operator of\n" +
			"this namespace. The binding keeps its id, so every account and pool finds its owner again. First make sure that the\n" +
			"other operator is gone: it can no longer write to the portal.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, namespace, err := o.cluster()
			if err != nil {
				return err
			}
			p, err := o.portal(cmd.Context(), c, namespace)
			if err != nil {
				return err
			}
			configuration, err := p.Configuration(cmd.Context())
			if err != nil {
				return fmt.Errorf("read the portal's binding: %w", err)
			}
			b := configuration.Binding
			if b == nil && replace {
				return errors.New("the portal is bound to no operator, so there is none to replace: this one binds it by itself")
			}
			if replace {
				return o.decideAll(cmd.Context(), v1alpha1.AnnotationReplaceOperator, b.ID,
					"Noted: this operator takes the place of the one of "+place(b)+".")
			}
			return o.print(b, func(w io.Writer) {
				if b == nil {
					fmt.Fprintln(w, "The portal is bound to no operator.")
					return
				}
				fmt.Fprintf(w, "The portal is bound to the operator of %s, for %s.\n", place(b), b.Provider())
			})
		},
	}
	cmd.Flags().BoolVar(&replace, "replace", false, "let the operator of this namespace take the place of the one that the portal is bound to")
	o.portalFlags(cmd)
	return cmd
}

func place(b *portalapi.Binding) string {
	return fmt.Sprintf("%s/%s in cluster %s", b.Namespace, b.Name, b.Cluster)
}
