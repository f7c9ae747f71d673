// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/kernel/portalapi"
	"lightrun.com/scim-operator/internal/kernel/shell"
	"lightrun.com/scim-operator/internal/operator/decide/provision"
)

func bind(o *options) *cobra.Command {
	var replace bool
	cmd := &cobra.Command{
		Use:   "bind",
		Short: "Show which operator the portal is bound to; --replace binds it to the operator of this namespace",
		Long: "Show which operator the portal is bound to. After a cluster is lost, or to move to another cluster, --replace binds the portal to the\n" +
			"operator of this namespace. The binding keeps its id, so every account and pool finds its owner again. First make sure that\n" +
			"the other operator no longer runs. After the replacement the portal refuses its writes.",
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
				return errors.New("the portal is bound to no operator, so --replace is not needed: the operator of this namespace binds the portal itself")
			}
			if replace {
				return o.replaceOperator(cmd.Context(), c, namespace, b)
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

// replaceOperator approves that the operator of the namespace replaces the bound one. A change of
// the provider is another decision, so the text says which one the portal keeps.
func (o *options) replaceOperator(ctx context.Context, c client.Client, namespace string, b *portalapi.Binding) error {
	config, err := configuration(ctx, c, namespace)
	if err != nil {
		return err
	}
	if b.UID == string(config.UID) {
		fmt.Fprintln(o.streams.Out, "The portal is bound to this operator already.")
		return nil
	}
	done := "Noted: this operator takes the place of the one of " + place(b) + "."
	declared := provision.WantBinding(config, "")
	if first, want := b.Provider(), declared.Provider(); !first.IsRefined(want) {
		done += fmt.Sprintf(" The portal stays integrated with %s, and %s is refused. To replace %s afterwards: %s", first, want, first, shell.Scim(namespace, "provider", "--replace", first.String()))
	}
	return o.decideConfiguration(ctx, v1alpha1.AnnotationReplaceOperator, b.ID, done)
}

func place(b *portalapi.Binding) string {
	return fmt.Sprintf("%s/%s in cluster %s", b.Namespace, b.Name, b.Cluster)
}
