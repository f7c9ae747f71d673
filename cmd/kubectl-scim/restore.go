// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/kernel/conditions"
)

func restore(o *options) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "restore open|close",
		Short: "Open and close the restore window, in which an export of ScimUsers and groups can be restored",
		Long: "While the restore window of the namespace is open, the Kubernetes users that it names can restore ScimUsers, ScimGroups and\n" +
			"ScimGroupSlices, and the manager writes nothing to the portal.",
	}
	var timeout time.Duration
	open := &cobra.Command{
		Use:   "open [USER...]",
		Short: "Open the restore window for you, or for the Kubernetes users that you name",
		RunE: func(cmd *cobra.Command, users []string) error {
			return o.openWindow(cmd.Context(), users, timeout)
		},
	}
	open.Flags().DurationVar(&timeout, "timeout", time.Minute, "how long to wait until the manager reports that it writes nothing")
	cmd.AddCommand(open, &cobra.Command{
		Use:   "close",
		Short: "Close the restore window: the manager writes to the portal again",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, namespace, err := o.installed(cmd.Context())
			if err != nil {
				return err
			}
			if err := setWindow(cmd.Context(), c, namespace, nil); err != nil {
				return err
			}
			fmt.Fprintf(o.streams.Out, "The restore window of %s is closed.\n", namespace)
			return nil
		},
	})
	return cmd
}

func (o *options) openWindow(ctx context.Context, users []string, timeout time.Duration) error {
	c, namespace, err := o.installed(ctx)
	if err != nil {
		return err
	}
	if len(users) == 0 {
		me, err := userName(ctx, c)
		if err != nil {
			return err
		}
		users = []string{me}
	}
	if err := setWindow(ctx, c, namespace, users); err != nil {
		return err
	}
	if err := awaitWindow(ctx, c, namespace, timeout); err != nil {
		return err
	}
	fmt.Fprintf(o.streams.Out, "The restore window of %s is open for %s.\n", namespace, strings.Join(users, ", "))
	return nil
}

// setWindow opens the window for the Kubernetes users, or closes it if users is empty.
func setWindow(ctx context.Context, c client.Client, namespace string, users []string) error {
	ns := &corev1.Namespace{}
	if err := c.Get(ctx, client.ObjectKey{Name: namespace}, ns); err != nil {
		return fmt.Errorf("get the namespace %s (choose it with -n): %w", namespace, err)
	}
	before := ns.DeepCopy()
	delete(ns.Annotations, v1alpha1.AnnotationRestore)
	if len(users) > 0 {
		if ns.Annotations == nil {
			ns.Annotations = map[string]string{}
		}
		slices.Sort(users)
		ns.Annotations[v1alpha1.AnnotationRestore] = strings.Join(slices.Compact(users), ",")
	}
	if err := c.Patch(ctx, ns, client.MergeFrom(before)); err != nil {
		return fmt.Errorf("annotate the namespace %s: %w", namespace, err)
	}
	return nil
}

// awaitWindow waits until the manager reports that the window is open. It does not wait if there is
// no IdentityConfiguration: then the manager writes to no portal, and it reads the window before it
// starts to.
func awaitWindow(ctx context.Context, c client.Client, namespace string, timeout time.Duration) error {
	err := wait.PollUntilContextTimeout(ctx, time.Second/2, timeout, true, func(ctx context.Context) (bool, error) {
		config, err := configuration(ctx, c, namespace)
		if apierrors.IsNotFound(err) {
			return true, nil
		}
		return err == nil && conditions.IsTrue(config.Status.Conditions, v1alpha1.ConditionRestoreOpen), err
	})
	if wait.Interrupted(err) {
		return fmt.Errorf("the window is open, but the manager has not reported that within %s: make sure that the manager runs, then repeat this command before you restore anything", timeout)
	}
	return err
}
