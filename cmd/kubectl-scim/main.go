// SPDX-License-Identifier: Apache-2.0

// Command kubectl-scim is a kubectl plugin: `kubectl scim` shows what the operator would change in
// the portal and why, and writes a person's decisions as the annotations that the operator reads.
// It makes no decisions itself.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"lightrun.com/scim-operator/internal/kernel/version"
)

// Exit codes, like those of kubectl diff.
const (
	exitFound = 1 // found a change, a held removal or an account without a user
	exitError = 2
)

// errFound means that a command found something.
var errFound = errors.New("found")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	streams := genericiooptions.IOStreams{In: os.Stdin, Out: os.Stdout, ErrOut: os.Stderr}
	err := command(streams).ExecuteContext(ctx)
	stop()
	os.Exit(exitCode(err, streams))
}

func exitCode(err error, streams genericiooptions.IOStreams) int {
	switch {
	case err == nil:
		return 0
	case errors.Is(err, errFound):
		return exitFound
	}
	fmt.Fprintln(streams.ErrOut, "error:", err)
	return exitError
}

func command(streams genericiooptions.IOStreams) *cobra.Command {
	o := &options{streams: streams, kube: genericclioptions.NewConfigFlags(true)}
	root := &cobra.Command{
		Use:   "kubectl-scim",
		Short: "Show what SCIM provisioning does, and decide about it",
		Long: "Show what the operator would change in the portal and why, and decide what waits for a person.\n\n" +
			"Exit codes: 0 nothing found, 1 something found (a change, a held removal, an account without a user), 2 an error.",
		Annotations:       map[string]string{cobra.CommandDisplayNameAnnotation: "kubectl scim"},
		Version:           version.String(),
		SilenceUsage:      true,
		SilenceErrors:     true,
		CompletionOptions: cobra.CompletionOptions{HiddenDefaultCmd: true},
	}
	o.kube.AddFlags(root.PersistentFlags())
	root.PersistentFlags().StringVarP(&o.output, "output", "o", "table", "table, json or yaml")
	root.AddCommand(plan(o), audit(o), held(o), release(o), drop(o), accept(o), provider(o), bind(o), restore(o))
	return root
}
