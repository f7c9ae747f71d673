// SPDX-License-Identifier: Apache-2.0

package devenv

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"k8s.io/client-go/util/cert"
	"k8s.io/client-go/util/keyutil"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/test/framework/devenv/kubecontrollers"
	"lightrun.com/scim-operator/test/framework/devenv/process"
)

// tokenLife is the validity of the programs' service account tokens. No environment runs as long.
const tokenLife = 365 * 24 * time.Hour

// startControlPlane starts etcd and the API server, creates the administrator's client and
// kubeconfig, and starts Kubernetes' controllers if e.KubeControllers is set.
func (e *Environment) startControlPlane(ctx context.Context) error {
	authority, err := e.servingCertificate()
	if err != nil {
		return err
	}
	if err := e.authenticationFiles(); err != nil {
		return err
	}
	e.Kube = &rest.Config{
		Host:            "https://" + loopback(e.Ports.Kubernetes),
		BearerToken:     e.credentials.get(kubernetesToken),
		TLSClientConfig: rest.TLSClientConfig{CAData: authority},
		QPS:             -1,
	}
	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)); err != nil {
		return err
	}
	specs := e.specs()
	for _, name := range []string{Etcd, Kubernetes} {
		e.say("starting %s", name)
		if err := e.run(ctx, specs[name]); err != nil {
			return err
		}
	}
	if e.Client, err = client.NewWithWatch(e.Kube, client.Options{Scheme: scheme}); err != nil {
		return err
	}
	if err := writeKubeconfig(e.Values.Kubeconfig, e.Kube, e.Kube.BearerToken); err != nil || !e.KubeControllers {
		return err
	}
	return e.startKubeControllers()
}

// startKubeControllers starts Kubernetes' controllers and does not wait until they are ready: the
// program has no health endpoint, and no later step of the start needs it.
func (e *Environment) startKubeControllers() error {
	e.say("starting %s", kubecontrollers.Name)
	path, err := kubecontrollers.Find(e.Root, e.Assets)
	if err != nil {
		return err
	}
	child, err := process.Start(kubecontrollers.Spec(path, e.Values.Kubeconfig, e.path("logs", kubecontrollers.Name+".log")))
	if err != nil {
		return err
	}
	e.children = append(e.children, child)
	return nil
}

// servingCertificate creates the API server's self-signed certificate and returns it; clients use
// it as the authority. It is created at each start and is valid for a year, longer than any
// environment runs.
func (e *Environment) servingCertificate() ([]byte, error) {
	certificate, key, err := cert.GenerateSelfSignedCertKey("127.0.0.1", []net.IP{net.IPv4(127, 0, 0, 1)}, []string{"localhost"})
	if err != nil {
		return nil, err
	}
	return certificate, errors.Join(
		writeFile(e.path("kubernetes", "serving.crt"), certificate),
		writeFile(e.path("kubernetes", "serving.key"), key))
}

// authenticationFiles writes the file with the administrator's token, and the key that signs
// service account tokens if it does not exist.
func (e *Environment) authenticationFiles() error {
	if _, _, err := keyutil.LoadOrGenerateKeyFile(e.path("kubernetes", "service-accounts.key")); err != nil {
		return err
	}
	line := fmt.Sprintf("%s,developer,developer,system:masters\n", e.credentials.get(kubernetesToken))
	return writeFile(e.path("kubernetes", "tokens.csv"), []byte(line))
}

func (e *Environment) etcdArgs() []string {
	address := "http://" + loopback(e.Ports.Etcd)
	args := []string{
		"--data-dir=" + e.path("etcd"),
		"--listen-client-urls=" + address,
		"--advertise-client-urls=" + address,
		"--listen-peer-urls=http://127.0.0.1:0",
		"--auto-compaction-retention=1h",
		"--logger=zap",
	}
	if e.Volatile {
		args = append(args, "--unsafe-no-fsync")
	}
	return args
}

func (e *Environment) apiserverArgs() []string {
	return []string{
		"--etcd-servers=http://" + loopback(e.Ports.Etcd),
		"--bind-address=127.0.0.1",
		"--advertise-address=127.0.0.1",
		fmt.Sprintf("--secure-port=%d", e.Ports.Kubernetes),
		"--tls-cert-file=" + e.path("kubernetes", "serving.crt"),
		"--tls-private-key-file=" + e.path("kubernetes", "serving.key"),
		"--cert-dir=" + e.path("kubernetes"),
		"--token-auth-file=" + e.path("kubernetes", "tokens.csv"),
		"--authorization-mode=RBAC",
		"--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-key-file=" + e.path("kubernetes", "service-accounts.key"),
		"--service-account-signing-key-file=" + e.path("kubernetes", "service-accounts.key"),
		"--service-cluster-ip-range=10.0.0.0/24",
		"--endpoint-reconciler-type=none",
		"--profiling=false",
	}
}

// install applies the manifests by kubectl with the administrator's kubeconfig, waits until the API
// server serves the kinds, and creates the programs' kubeconfigs.
func (e *Environment) install(ctx context.Context) error {
	e.say("applying config/overlays/development")
	if err := e.kubectl(ctx, "apply", "--server-side", "--force-conflicts", "--field-manager=devenv",
		"-k", filepath.Join(e.Root, "config", "overlays", "development")); err != nil {
		return err
	}
	wait := []string{"wait", "--for=condition=Established", "--timeout=60s"}
	for _, kind := range []string{"scimusers", "scimgroups", "scimgroupslices", "agentpools", "identityconfigurations", "nameclaims"} {
		wait = append(wait, "crd/"+kind+"."+v1alpha1.GroupVersion.Group)
	}
	if err := e.kubectl(ctx, wait...); err != nil {
		return err
	}
	clients, err := kubernetes.NewForConfig(e.Kube)
	if err != nil {
		return err
	}
	for program, account := range map[string]string{Manager: "scim-manager", Webhook: "scim-webhook"} {
		request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: ptr.To(int64(tokenLife / time.Second))}}
		response, err := clients.CoreV1().ServiceAccounts(Namespace).CreateToken(ctx, account, request, metav1.CreateOptions{})
		if err != nil {
			return fmt.Errorf("request a token of the service account %s: %w", account, err)
		}
		if err := writeKubeconfig(e.path("kubernetes", program+".kubeconfig"), e.Kube, response.Status.Token); err != nil {
			return err
		}
	}
	return nil
}

// kubectl runs a kubectl command with the administrator's kubeconfig.
func (e *Environment) kubectl(ctx context.Context, args ...string) error {
	cmd := exec.CommandContext(ctx, e.Values.Kubectl, args...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+e.Values.Kubeconfig, "KUBECACHEDIR="+e.path("kubernetes", "cache"))
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("kubectl %s: %w\n%s", strings.Join(args, " "), err, out)
	}
	return nil
}

// writeKubeconfig writes a kubeconfig with the installation's namespace as the default.
func writeKubeconfig(file string, server *rest.Config, token string) error {
	const name = "scim-operator-dev"
	config := clientcmdapi.NewConfig()
	config.Clusters[name] = &clientcmdapi.Cluster{Server: server.Host, CertificateAuthorityData: server.CAData}
	config.AuthInfos[name] = &clientcmdapi.AuthInfo{Token: token}
	config.Contexts[name] = &clientcmdapi.Context{Cluster: name, AuthInfo: name, Namespace: Namespace}
	config.CurrentContext = name
	content, err := clientcmd.Write(*config)
	if err != nil {
		return err
	}
	return writeFile(file, content)
}
