// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"lightrun.com/scim-operator/api/v1alpha1"
)

// managerAccounts are the service accounts of the manager, in the layout with one account and in
// the layout with separate accounts. The manifests create one of them.
var managerAccounts = []string{"scim-operator", "scim-manager"}

// configured returns a client of the API server, and the namespace to work in. It fails if the
// namespace has no IdentityConfiguration: in another namespace, a command would find nothing, and
// that answer would look like a good one.
func (o *options) configured(ctx context.Context) (client.Client, string, error) {
	c, namespace, err := o.cluster()
	if err != nil {
		return nil, "", err
	}
	if _, err := configuration(ctx, c, namespace); err != nil {
		return nil, "", err
	}
	return c, namespace, nil
}

// installed is like configured, but a service account of the manager is sufficient: the
// IdentityConfiguration can be one of the objects that were lost and are restored.
func (o *options) installed(ctx context.Context) (client.Client, string, error) {
	c, namespace, err := o.cluster()
	if err != nil {
		return nil, "", err
	}
	_, missing := configuration(ctx, c, namespace)
	if !apierrors.IsNotFound(missing) {
		return c, namespace, missing
	}
	for _, name := range managerAccounts {
		err := c.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, &corev1.ServiceAccount{})
		if err == nil {
			return c, namespace, nil
		}
		if !apierrors.IsNotFound(err) {
			return nil, "", fmt.Errorf("find out whether the operator is installed in the namespace %s: %w", namespace, err)
		}
	}
	return nil, "", fmt.Errorf("the operator is not installed in the namespace %s, which has no service account of it: %w", namespace, missing)
}

func configuration(ctx context.Context, c client.Client, namespace string) (*v1alpha1.IdentityConfiguration, error) {
	config := &v1alpha1.IdentityConfiguration{}
	err := c.Get(ctx, client.ObjectKey{Namespace: namespace, Name: v1alpha1.DefaultName}, config)
	switch {
	case meta.IsNoMatchError(err):
		return nil, fmt.Errorf("the cluster does not have the kinds of the operator: apply its manifests first: %w", err)
	case apierrors.IsNotFound(err):
		return nil, &elsewhereError{says: elsewhere(ctx, c, namespace), notFound: err}
	case err != nil:
		return nil, fmt.Errorf("get IdentityConfiguration %s of the namespace %s (choose the namespace with -n): %w", v1alpha1.DefaultName, namespace, err)
	}
	return config, nil
}

// elsewhereError says where the operator may be. It is an error of the class NotFound, whose own
// text names only a resource.
type elsewhereError struct {
	says     string
	notFound error
}

func (e *elsewhereError) Error() string { return e.says }
func (e *elsewhereError) Unwrap() error { return e.notFound }

// elsewhere says that the namespace has no IdentityConfiguration, and which namespaces have one if
// the caller may know that.
func elsewhere(ctx context.Context, c client.Client, namespace string) string {
	says := fmt.Sprintf("the namespace %s has no IdentityConfiguration; choose the operator's namespace with -n", namespace)
	var all v1alpha1.IdentityConfigurationList
	if err := c.List(ctx, &all); err != nil || len(all.Items) == 0 {
		return says // the caller may only read some namespaces, or there is no IdentityConfiguration
	}
	var found []string
	for i := range all.Items {
		found = append(found, "-n "+all.Items[i].Namespace)
	}
	slices.Sort(found)
	return fmt.Sprintf("the namespace %s has no IdentityConfiguration; choose the operator's namespace: %s", namespace, strings.Join(found, " or "))
}
