// SPDX-License-Identifier: Apache-2.0

// Command demo replays a day in a small company against a running `make run`: users are pushed,
// groups are pushed, pools are declared, one user changes teams, one is renamed, one leaves. It
// acts as the identity provider over SCIM, with the requests that Okta and Entra ID send, and as a
// platform engineer with kubectl. After each step it compares each account with the expected one
// and shows it in Kubernetes and in the portal, or at the SCIM target. Names contain a random tag,
// so it can run repeatedly.
package main

import (
	"context"
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	portalv1 "lightrun.com/scim-operator/api/portal/v1"
	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/test/framework/devenv"
	"lightrun.com/scim-operator/test/framework/idp"
)

func main() {
	log.SetLogger(logr.Discard()) // client libraries log here
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "\nmake demo:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	dir := os.Getenv("RUN_DIR")
	if dir == "" {
		dir = ".run"
	}
	flags := flag.NewFlagSet("make demo", flag.ContinueOnError)
	flags.StringVar(&dir, "dir", dir, "data folder of the running make run (RUN_DIR)")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q; see --help", flags.Arg(0))
	}
	d, err := connect(dir)
	if err != nil {
		return err
	}
	return d.day(ctx)
}

// demo is one replay.
type demo struct {
	values   devenv.Values
	tag      string
	provider *idp.Provider
	kube     client.Client
	portal   *portalv1.ClientWithResponses // nil with a SCIM target
	over     *http.Client
}

// connect reads the addresses and credentials of the running environment.
func connect(dir string) (*demo, error) {
	values, err := devenv.ReadValues(dir)
	if err != nil {
		return nil, err
	}
	over := &http.Client{Timeout: 30 * time.Second}
	d := &demo{
		values: values, over: over, tag: strings.ToLower(rand.Text()[:4]),
		provider: &idp.Provider{URL: values.SCIMURL, Token: values.SCIMToken, HTTP: over},
	}
	config, err := clientcmd.BuildConfigFromFlags("", values.Kubeconfig)
	if err != nil {
		return nil, err
	}
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		return nil, err
	}
	if d.kube, err = client.New(config, client.Options{Scheme: scheme}); err != nil {
		return nil, fmt.Errorf("reach the API server of %s: %w", dir, err)
	}
	if values.TargetURL != "" {
		return d, nil
	}
	d.portal, err = portalv1.NewClientWithResponses(values.PortalURL+"/api/v1", portalv1.WithHTTPClient(over),
		portalv1.WithRequestEditorFn(func(_ context.Context, r *http.Request) error {
			r.Header.Set("Authorization", "Bearer "+values.PortalAPIKey)
			return nil
		}))
	return d, err
}
