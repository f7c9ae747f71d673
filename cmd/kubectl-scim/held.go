// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	authenticationv1 "k8s.io/api/authentication/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/retry"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/kernel/conditions"
	"lightrun.com/scim-operator/internal/kernel/names"
	"lightrun.com/scim-operator/internal/operator/decide/guard"
)

// heldRemoval is an object whose removal the deprovisioning guard holds.
type heldRemoval struct {
	Kind    string      `json:"kind"`
	Name    string      `json:"name"`
	Title   string      `json:"title"` // user name, or name of the pool in the portal
	Since   metav1.Time `json:"since"`
	Message string      `json:"message"`

	v1alpha1.HeldRemoval `json:",inline"` // decision, removal and users

	object client.Object
}

// path returns the object as kind/name.
func (h *heldRemoval) path() string { return strings.ToLower(h.Kind) + "/" + h.Name }

func held(o *options) *cobra.Command {
	return &cobra.Command{
		Use:   "held",
		Short: "Removals that the deprovisioning guard holds",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, namespace, err := o.configured(cmd.Context())
			if err != nil {
				return err
			}
			all, err := heldIn(cmd.Context(), c, namespace)
			if err != nil {
				return err
			}
			if err := o.print(all, func(w io.Writer) { heldTable(w, all) }); err != nil || len(all) == 0 {
				return err
			}
			return errFound
		},
	}
}

func heldTable(w io.Writer, all []heldRemoval) {
	if len(all) == 0 {
		fmt.Fprintln(w, "No removal is held.")
		return
	}
	rows := [][]string{{"ID", "KIND", "NAME", "OBJECT", "LOSE", "USERS", "SINCE"}}
	for _, h := range all {
		rows = append(rows, []string{h.Decision, h.Kind, h.Title, h.Name, h.Removal, strconv.FormatInt(h.Users, 10), h.Since.UTC().Format("2006-01-02 15:04 UTC")})
	}
	table(w, rows)
}

// heldIn returns the held removals of the namespace, from the conditions of its objects.
func heldIn(ctx context.Context, c client.Client, namespace string) ([]heldRemoval, error) {
	var users v1alpha1.ScimUserList
	var pools v1alpha1.AgentPoolList
	if err := c.List(ctx, &users, client.InNamespace(namespace)); err != nil {
		return nil, fmt.Errorf("list ScimUsers: %w", err)
	}
	if err := c.List(ctx, &pools, client.InNamespace(namespace)); err != nil {
		return nil, fmt.Errorf("list AgentPools: %w", err)
	}
	all := []heldRemoval{}
	add := func(kind, title string, o client.Object, removal *v1alpha1.HeldRemoval, have []metav1.Condition) {
		if h := conditions.Find(have, v1alpha1.ConditionDeprovisioningHeld); removal != nil && h != nil && h.Status == metav1.ConditionTrue {
			all = append(all, heldRemoval{kind, o.GetName(), title, metav1.NewTime(guard.Since(removal.Decision)), h.Message, *removal, o})
		}
	}
	for i := range pools.Items {
		add("AgentPool", pools.Items[i].PortalName(), &pools.Items[i], pools.Items[i].Status.Held, pools.Items[i].Status.Conditions)
	}
	for i := range users.Items {
		add("ScimUser", users.Items[i].Spec.UserName, &users.Items[i], users.Items[i].Status.Held, users.Items[i].Status.Conditions)
	}
	return all, nil
}

func release(o *options) *cobra.Command {
	return decide(o, "release", "Carry out held removals", v1alpha1.AnnotationRelease)
}

func drop(o *options) *cobra.Command {
	return decide(o, "drop", "Drop held removals: accounts and pools stay as they are", v1alpha1.AnnotationDrop)
}

func decide(o *options, verb, short, annotation string) *cobra.Command {
	var all bool
	var id string
	cmd := &cobra.Command{
		Use:     verb + " NAME... [--id ID] | --all",
		Short:   short,
		Example: "  kubectl scim " + verb + " ada@example.com\n  kubectl scim " + verb + " agentpool/payments --id mwxpemhe-ecf183e4ba2e\n  kubectl scim " + verb + " --all",
		Args: func(_ *cobra.Command, args []string) error {
			if all == (len(args) > 0) {
				return fmt.Errorf("name what to %s, as kubectl scim held lists it, or use --all", verb)
			}
			if id != "" && len(args) != 1 {
				return fmt.Errorf("--id names a removal of one object: name that object too")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if all {
				return o.decideAll(cmd.Context(), annotation)
			}
			return o.decideSome(cmd.Context(), annotation, args, id)
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "everything that is held now, each removal by its id")
	cmd.Flags().StringVar(&id, "id", "", "only if exactly this removal is held, as kubectl scim held and the condition give its id")
	return cmd
}

// decideConfiguration writes a decision to the configuration.
func (o *options) decideConfiguration(ctx context.Context, annotation, value, done string) error {
	c, namespace, err := o.cluster()
	if err != nil {
		return err
	}
	config, err := configuration(ctx, c, namespace)
	if err != nil {
		return err
	}
	if err := annotate(ctx, c, config, annotation, value); err != nil {
		return err
	}
	fmt.Fprintln(o.streams.Out, done)
	return nil
}

// decideAll writes a decision about each held removal to its object. It covers nothing that is held
// later, because another removal has another id.
func (o *options) decideAll(ctx context.Context, annotation string) error {
	c, namespace, err := o.configured(ctx)
	if err != nil {
		return err
	}
	all, err := heldIn(ctx, c, namespace)
	if err != nil {
		return err
	}
	if len(all) == 0 {
		fmt.Fprintln(o.streams.Out, "No removal is held.")
		return nil
	}
	me, err := userName(ctx, c)
	if err != nil {
		return err
	}
	var failed []error
	for i := range all {
		if err := o.note(ctx, c, me, annotation, &all[i]); err != nil {
			failed = append(failed, err)
		}
	}
	return errors.Join(failed...)
}

// note writes the decision of the user me about a held removal to its object.
func (o *options) note(ctx context.Context, c client.Client, me, annotation string, h *heldRemoval) error {
	if err := annotateAs(ctx, c, me, h.object, annotation, h.Decision); err != nil {
		return err
	}
	fmt.Fprintf(o.streams.Out, "Noted at %s %s: %s, %d user(s).\n", h.Kind, h.Name, h.Decision, h.Users)
	return nil
}

// decideSome writes a decision about the held removal to each named object. If id is not empty, the
// id of the removal must be equal. The decision is about exactly the users of that removal: another
// set has another id. If one of the names is wrong or ambiguous, nothing is written.
func (o *options) decideSome(ctx context.Context, annotation string, wanted []string, id string) error {
	c, namespace, err := o.configured(ctx)
	if err != nil {
		return err
	}
	all, err := heldIn(ctx, c, namespace)
	if err != nil {
		return err
	}
	var chosen []*heldRemoval
	for _, name := range wanted {
		h, err := choose(all, name, id)
		if err != nil {
			return err
		}
		if h != nil {
			chosen = append(chosen, h)
			continue
		}
		if id != "" { // then name is the only one that is wanted
			if found, err := o.decideDropped(ctx, c, namespace, annotation, name, id); found || err != nil {
				return err
			}
		}
		return fmt.Errorf("nothing is held about %q; kubectl scim held lists what is", name)
	}
	me, err := userName(ctx, c)
	if err != nil {
		return err
	}
	for _, h := range chosen {
		if err := o.note(ctx, c, me, annotation, h); err != nil {
			return err
		}
	}
	return nil
}

// choose returns the held removal that a name means, nil if it means none. A name is kind/name, or
// the name of an object, a user name or the name of a pool in the portal. A user and a pool can
// have the same name, and a decision is about one object, so a name of several held objects is an
// error unless the id selects one of them.
func choose(all []heldRemoval, name, id string) (*heldRemoval, error) {
	var found []*heldRemoval
	for i := range all {
		h := &all[i]
		if strings.EqualFold(h.path(), name) {
			found = []*heldRemoval{h}
			break
		}
		if h.Name == name || names.Fold(h.Title) == names.Fold(name) {
			found = append(found, h)
		}
	}
	if len(found) > 1 {
		paths := make([]string, len(found))
		for i, h := range found {
			paths[i] = h.path()
		}
		if found = slices.DeleteFunc(found, func(h *heldRemoval) bool { return h.Decision != id }); len(found) != 1 {
			return nil, fmt.Errorf("%q names several objects with a held removal: %s; name the one that you mean as listed here", name, strings.Join(paths, ", "))
		}
	}
	if len(found) == 0 {
		return nil, nil
	}
	if h := found[0]; id != "" && id != h.Decision {
		return nil, fmt.Errorf("%s %s has another held removal by now, %s, of %d user(s); see kubectl scim held", h.Kind, h.Name, h.Decision, h.Users)
	}
	return found[0], nil
}

// decideDropped writes a decision about a removal that a person dropped before, so that it is not
// held any more. The object, as kind/name, and the id identify the removal.
func (o *options) decideDropped(ctx context.Context, c client.Client, namespace, annotation, object, id string) (found bool, err error) {
	kind, name, _ := strings.Cut(object, "/")
	key := client.ObjectKey{Namespace: namespace, Name: name}
	var at client.Object
	var have []metav1.Condition
	switch strings.ToLower(kind) {
	case "agentpool":
		var pool v1alpha1.AgentPool
		err = c.Get(ctx, key, &pool)
		at, have = &pool, pool.Status.Conditions
	case "scimuser":
		var user v1alpha1.ScimUser
		err = c.Get(ctx, key, &user)
		at, have = &user, user.Status.Conditions
	default:
		return false, nil
	}
	if apierrors.IsNotFound(err) {
		return false, nil
	} else if err != nil {
		return false, fmt.Errorf("get %s: %w", object, err)
	}
	dropped := func(c metav1.Condition) bool {
		return c.Reason == v1alpha1.ReasonRemovalDropped && strings.Contains(c.Message, id)
	}
	if !slices.ContainsFunc(have, dropped) {
		return false, nil
	}
	if err := annotate(ctx, c, at, annotation, id); err != nil {
		return false, err
	}
	fmt.Fprintf(o.streams.Out, "Noted at %s: %s, which was dropped before.\n", object, id)
	return true, nil
}

// annotate writes a decision with the caller's user name. After another client's write it reads the
// object again: a decision names its subject by id, so it is about the new state too. It refuses an
// object that was deleted and created again.
func annotate(ctx context.Context, c client.Client, o client.Object, name, value string) error {
	me, err := userName(ctx, c)
	if err != nil {
		return err
	}
	return annotateAs(ctx, c, me, o, name, value)
}

func annotateAs(ctx context.Context, c client.Client, me string, o client.Object, name, value string) error {
	uid := o.GetUID()
	conflicted := false
	err := retry.RetryOnConflict(retry.DefaultBackoff, func() error {
		if conflicted {
			if err := c.Get(ctx, client.ObjectKeyFromObject(o), o); err != nil {
				return err
			}
			if o.GetUID() != uid {
				return errors.New("it was deleted and created again meanwhile; look at the new object, then decide again")
			}
		}
		conflicted = true
		before := o.DeepCopyObject().(client.Object)
		o.SetAnnotations(decided(o.GetAnnotations(), me, name, value))
		return c.Patch(ctx, o, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{}))
	})
	if err != nil {
		return fmt.Errorf("annotate %s: %w", o.GetName(), err)
	}
	return nil
}

// decided returns the annotations with the user's decision. An object has the name of one user who
// decided, so the earlier decisions of another user are removed.
func decided(annotations map[string]string, user, name, value string) map[string]string {
	a := maps.Clone(annotations)
	if a == nil {
		a = map[string]string{}
	}
	if a[v1alpha1.AnnotationDecidedBy] != user {
		for _, earlier := range v1alpha1.DecisionAnnotations() {
			delete(a, earlier)
		}
	}
	switch name { // the newer one of the two annotations counts
	case v1alpha1.AnnotationRelease:
		delete(a, v1alpha1.AnnotationDrop)
	case v1alpha1.AnnotationDrop:
		delete(a, v1alpha1.AnnotationRelease)
	}
	a[name], a[v1alpha1.AnnotationDecidedBy] = value, user
	return a
}

// userName returns the API server's name for the caller. A policy compares it with the decision.
func userName(ctx context.Context, c client.Client) (string, error) {
	review := &authenticationv1.SelfSubjectReview{}
	if err := c.Create(ctx, review); err != nil {
		return "", fmt.Errorf("ask the API server for your user name, which a decision contains: %w", err)
	}
	return review.Status.UserInfo.Username, nil
}
