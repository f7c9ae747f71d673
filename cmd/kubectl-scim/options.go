// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/kernel/portalapi"
	"lightrun.com/scim-operator/internal/operator/portalclient/connect"
	"lightrun.com/scim-operator/internal/operator/preview"
)

// fieldManager is the field manager of decisions.
const fieldManager = "kubectl-scim"

// options contains the options of all commands.
type options struct {
	streams genericiooptions.IOStreams
	kube    *genericclioptions.ConfigFlags
	output  string

	portalURL string // replaces the URL in the configuration
	keyFile   string // replaces the key in the Secret
}

// portalFlags adds the flags of commands that read the portal.
func (o *options) portalFlags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&o.portalURL, "portal-url", "", "URL of the portal, if it differs from the URL within the cluster; default: the configuration's")
	cmd.Flags().StringVar(&o.keyFile, "portal-key-file", "", "file with a portal API key with the scope read; default: the key in the configured Secret")
}

// cluster returns a client of the API server, and the namespace to work in.
func (o *options) cluster() (client.Client, string, error) {
	namespace, _, err := o.kube.ToRawKubeConfigLoader().Namespace()
	if err != nil {
		return nil, "", fmt.Errorf("find the namespace: %w", err)
	}
	config, err := o.kube.ToRESTConfig()
	if err != nil {
		return nil, "", fmt.Errorf("find the Kubernetes API server: %w", err)
	}
	config.QPS = -1 // the API server limits a decision about many objects
	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)); err != nil {
		return nil, "", err
	}
	c, err := client.New(config, client.Options{Scheme: scheme})
	if err != nil {
		return nil, "", fmt.Errorf("reach the Kubernetes API server: %w", err)
	}
	return client.WithFieldOwner(c, fieldManager), namespace, nil
}

// report computes a preview.
func (o *options) report(ctx context.Context, migrate bool) (*preview.Report, error) {
	c, namespace, err := o.configured(ctx)
	if err != nil {
		return nil, err
	}
	p, err := o.portal(ctx, c, namespace)
	if err != nil {
		return nil, err
	}
	return preview.Compute(ctx, preview.Options{Objects: c, Portal: p, Namespace: namespace, Migrate: migrate})
}

// portal returns a client of the configured portal, with the configured key.
func (o *options) portal(ctx context.Context, c client.Client, namespace string) (portalapi.Client, error) {
	config, err := configuration(ctx, c, namespace)
	if err != nil {
		return nil, err
	}
	key, err := o.key(ctx, c, config)
	if err != nil {
		return nil, err
	}
	to := config.Spec.Portal
	if o.portalURL != "" {
		to.URL = o.portalURL
	}
	return connect.Client(to, key, connect.Options{Idle: 1, Namespace: namespace, Cached: c, Live: c, Writer: c})
}

func (o *options) key(ctx context.Context, c client.Client, config *v1alpha1.IdentityConfiguration) (string, error) {
	if o.keyFile != "" {
		data, err := os.ReadFile(o.keyFile)
		if err != nil {
			return "", fmt.Errorf("read the portal's key: %w", err)
		}
		return portalapi.ParseKey(data)
	}
	var secret corev1.Secret
	key := client.ObjectKey{Namespace: config.Namespace, Name: config.Spec.Portal.CredentialsSecretRef.Name}
	if err := c.Get(ctx, key, &secret); err != nil {
		return "", fmt.Errorf("read the portal's key from Secret %s (or give one with --portal-key-file): %w", key, err)
	}
	in := config.Spec.Portal.SecretKey()
	if len(secret.Data[in]) == 0 {
		return "", fmt.Errorf("the Secret %s has no key %q; give one with --portal-key-file", key, in)
	}
	parsed, err := portalapi.ParseKey(secret.Data[in])
	if err != nil {
		return "", fmt.Errorf("read the key %q of Secret %s: %w", in, key, err)
	}
	return parsed, nil
}
