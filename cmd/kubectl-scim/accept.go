// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"lightrun.com/scim-operator/api/v1alpha1"
)

func accept(o *options) *cobra.Command {
	var groups, members []string
	var revision int64
	var loss string
	cmd := &cobra.Command{
		Use:   "accept agentpool/NAME --group ID | agentpool/NAME --member ID | scimuser/NAME --revision N | scimgroup/NAME --revision N | identityconfiguration/default --loss ID",
		Short: "Accept what a condition asks about: a group or user of a pool, an older backup, or a SCIM target that lost accounts",
		Long: "Accept the group that GroupChanged names, so that it fills the pool; the user that MemberChanged names, so that the line in spec.members of the\n" +
			"pool means that user; or the backup that BackupOlder names, so that it replaces a newer revision in the portal;\n" +
			"or the loss of accounts that TargetChanged names, so that they are created again. The conditions give the command.",
		Example: "  kubectl scim accept agentpool/payments --group 7c1f6c1e-5b8e-4f1e-9d3a-0c1e2f3a4b5c\n" +
			"  kubectl scim accept agentpool/leads --member 5e2f8a1b-3c4d-4e5f-8a9b-0c1d2e3f4a5b\n" +
			"  kubectl scim accept scimuser/2b1c0d9e-8f7a-4b6c-9d5e-4f3a2b1c0d9e --revision 1767225600000",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if loss != "" {
				return o.acceptLoss(cmd.Context(), args[0], loss)
			}
			return o.accept(cmd.Context(), args[0], groups, members, revision)
		},
	}
	cmd.Flags().StringSliceVar(&groups, "group", nil, "id of the group that may fill the pool; repeat it for several")
	cmd.Flags().StringSliceVar(&members, "member", nil, "SCIM id of the user that a line of spec.members may mean; repeat it for several")
	cmd.Flags().Int64Var(&revision, "revision", 0, "the portal's revision, which the backup may replace")
	cmd.Flags().StringVar(&loss, "loss", "", "id of the loss of accounts at a SCIM target")
	return cmd
}

// acceptLoss lets the operator create the accounts again that a SCIM target lost.
func (o *options) acceptLoss(ctx context.Context, object, id string) error {
	if kind, name, _ := strings.Cut(object, "/"); !strings.EqualFold(kind, "identityconfiguration") || name != v1alpha1.DefaultName {
		return fmt.Errorf("--loss needs identityconfiguration/default, not %q", object)
	}
	return o.decideConfiguration(ctx, v1alpha1.AnnotationAcceptLoss, id, "Accepted: the lost accounts are created again.")
}

func (o *options) accept(ctx context.Context, object string, groups, members []string, revision int64) error {
	kind, name, _ := strings.Cut(object, "/")
	var into client.Object
	annotation, value := v1alpha1.AnnotationAcceptBackup, strconv.FormatInt(revision, 10)
	switch strings.ToLower(kind) {
	case "agentpool":
		into, annotation, value = &v1alpha1.AgentPool{}, v1alpha1.AnnotationAcceptGroups, strings.Join(groups, ",")
		if len(members) > 0 {
			annotation, value = v1alpha1.AnnotationAcceptMembers, strings.Join(members, ",")
		}
		if len(groups) > 0 == (len(members) > 0) || revision != 0 {
			return fmt.Errorf("name the group that may fill the pool, --group ID, or the user that a line may mean, --member ID, as the condition GroupChanged or MemberChanged gives it")
		}
	case "scimuser":
		into = &v1alpha1.ScimUser{}
	case "scimgroup":
		into = &v1alpha1.ScimGroup{}
	default:
		return fmt.Errorf("%q is not agentpool/NAME, scimuser/NAME or scimgroup/NAME", object)
	}
	if annotation == v1alpha1.AnnotationAcceptBackup && (revision <= 0 || len(groups)+len(members) > 0) {
		return fmt.Errorf("name the revision that the backup may replace: --revision N, as the condition BackupOlder gives it")
	}
	c, namespace, err := o.configured(ctx)
	if err != nil {
		return err
	}
	if err := c.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, into); err != nil {
		return fmt.Errorf("get %s: %w", object, err)
	}
	if err := annotate(ctx, c, into, annotation, value); err != nil {
		return err
	}
	fmt.Fprintf(o.streams.Out, "Accepted at %s: %s.\n", object, value)
	return nil
}
