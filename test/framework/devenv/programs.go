// SPDX-License-Identifier: Apache-2.0

package devenv

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"lightrun.com/scim-operator/test/framework/devenv/process"
)

// adminUser is the portal's first local manager, who can sign in with a password.
const adminUser = "admin@example.test"

// spec is a program and the URL of its readiness.
type spec struct {
	process.Spec
	health string
}

// specs returns all programs with their arguments.
func (e *Environment) specs() map[string]spec {
	healthy := func(port int) string { return "http://" + loopback(port) + "/readyz" }
	all := map[string]spec{
		Etcd:       {health: "http://" + loopback(e.Ports.Etcd) + "/health"},
		Kubernetes: {health: "https://" + loopback(e.Ports.Kubernetes) + "/readyz"},
		SSO:        {health: e.Values.SSOIssuer + "/.well-known/openid-configuration"},
		Portal:     {health: healthy(e.Ports.Portal)},
		Target:     {health: healthy(e.Ports.Portal)},
		Webhook:    {health: healthy(e.Ports.WebhookHealth)},
		Manager:    {health: healthy(e.Ports.ManagerHealth)},
	}
	args := map[string][]string{
		Etcd: e.etcdArgs(), Kubernetes: e.apiserverArgs(), SSO: e.ssoArgs(), Portal: e.portalArgs(), Target: e.targetArgs(), Webhook: e.webhookArgs(Webhook, e.Ports), Manager: e.managerArgs(),
	}
	for name, ports := range e.replicas {
		all[name], args[name] = spec{health: healthy(ports.WebhookHealth), Spec: process.Spec{Path: filepath.Join(e.Programs, Webhook)}}, e.webhookArgs(name, ports)
	}
	for name, s := range all {
		folder := e.Programs
		if name == Etcd || name == Kubernetes {
			folder = e.Assets
			s.Stop = 30 * time.Second // the API server finishes its watches
		}
		if s.Path == "" {
			s.Path = filepath.Join(folder, name)
		}
		s.Name, s.Args = name, args[name]
		s.Log = e.path("logs", name+".log")
		if name == Manager {
			s.Env = append(os.Environ(), e.ManagerEnv...)
		}
		all[name] = s
	}
	return all
}

func (e *Environment) ssoArgs() []string {
	return []string{
		"--listen=" + loopback(e.Ports.OIDC),
		"--client-id=" + ssoClient,
		"--client-secret-file=" + e.credentials.file(clientSecret),
		"--shared-password-file=" + e.credentials.file(ssoPassword),
		"--redirect-uri=" + e.Values.PortalURL + "/sso/callback",
	}
}

func (e *Environment) portalArgs() []string {
	args := []string{
		"--listen=" + loopback(e.Ports.Portal),
		"--public-url=" + e.Values.PortalURL,
		"--database=" + e.portalDatabase(),
		"--insecure-http-cookies",
		"--log-level=" + e.logLevel(),
	}
	if e.fresh() { // later the keys and the manager belong to the developer
		args = append(args,
			"--bootstrap-admin-user="+adminUser,
			"--bootstrap-admin-password-file="+e.credentials.file(adminPassword),
			"--bootstrap-key=manage="+e.credentials.file(manageKey),
			"--bootstrap-key=provisioning="+e.credentials.file(provisioningKey),
			"--bootstrap-key=scim:Okta="+e.credentials.file(scimKey))
	}
	return args
}

func (e *Environment) targetArgs() []string {
	return []string{"--listen=" + loopback(e.Ports.Portal), "--token-file=" + e.credentials.file(targetToken), "--dir=" + e.path("target")}
}

// kubeconfig returns the file that a program reads.
func (e *Environment) kubeconfig(name, program string) string {
	return cmp.Or(e.Kubeconfigs[name], e.path("kubernetes", program+".kubeconfig"))
}

func (e *Environment) webhookArgs(name string, ports Ports) []string {
	return append([]string{
		"--kubeconfig=" + e.kubeconfig(name, Webhook),
		"--namespace=" + Namespace,
		"--listen=" + loopback(ports.SCIM),
		"--health-listen=" + loopback(ports.WebhookHealth),
		"--metrics-listen=" + loopback(ports.WebhookMetrics),
		"--token-dir=" + e.path("secrets"),
		"--log-level=" + e.logLevel(),
	}, e.WebhookArgs...)
}

func (e *Environment) managerArgs() []string {
	return append([]string{
		"--kubeconfig=" + e.kubeconfig(Manager, Manager),
		"--namespace=" + Namespace,
		"--health-listen=" + loopback(e.Ports.ManagerHealth),
		"--metrics-listen=" + loopback(e.Ports.ManagerMetrics),
		"--log-level=" + e.logLevel(),
	}, e.ManagerArgs...)
}

func (e *Environment) logLevel() string {
	if e.LogLevel == "" {
		return "info"
	}
	return e.LogLevel
}

// AddWebhook starts one more replica of the SCIM webhook, on its own ports. It returns its name,
// for Kill and Restart, and its SCIM base URL.
func (e *Environment) AddWebhook(ctx context.Context) (name, url string, err error) {
	ports, err := RandomPorts()
	if err != nil {
		return "", "", err
	}
	if e.replicas == nil {
		e.replicas = map[string]Ports{}
	}
	name = fmt.Sprintf("%s-%d", Webhook, len(e.replicas)+2)
	e.replicas[name] = ports
	return name, "http://" + loopback(ports.SCIM) + "/scim/v2", e.run(ctx, e.specs()[name])
}

// run starts a program and waits until it serves, as long as Patience allows.
func (e *Environment) run(ctx context.Context, s spec) error {
	child, err := process.Start(s.Spec)
	if err != nil {
		return err
	}
	e.children = append(e.children, child)
	patience := cmp.Or(e.Patience, time.Minute)
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var last string
	err = poll(ctx, func(ctx context.Context) (bool, error) {
		if err := child.Err(); err != nil {
			return false, err
		}
		last = e.probe(ctx, s.health)
		return last == "", nil
	})
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("%s is not ready after %s (%s); its log is %s", s.Name, patience, last, s.Log)
	}
	return err
}

// probe requests a health endpoint on loopback and returns "" if it is healthy.
func (e *Environment) probe(ctx context.Context, url string) string {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return err.Error()
	}
	// This requests only the health and sends no secret, so the certificate does not matter.
	insecure := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true}}
	answer, err := insecure.Do(request)
	if err != nil {
		return err.Error()
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return url + " responds with " + answer.Status
	}
	return ""
}

// poll calls ask until it returns true or an error, or ctx ends.
func poll(ctx context.Context, ask func(context.Context) (bool, error)) error {
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	for {
		if yes, err := ask(ctx); yes || err != nil {
			return err
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
