// SPDX-License-Identifier: Apache-2.0

package devenv

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestRandomPortsDiffer(t *testing.T) {
	ports, err := RandomPorts()
	if err != nil {
		t.Fatal(err)
	}
	if err := ports.free(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestTakenPortNamesItsFlag(t *testing.T) {
	ports, err := RandomPorts()
	if err != nil {
		t.Fatal(err)
	}
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	_, text, _ := net.SplitHostPort(listener.Addr().String())
	if ports.ManagerHealth, err = strconv.Atoi(text); err != nil {
		t.Fatal(err)
	}
	ports.SCIM = ports.Portal
	err = ports.free(t.Context())
	if err == nil {
		t.Fatal("taken ports were found free")
	}
	for _, want := range []string{
		"port " + text + " (the manager's health) is taken by another program: choose another with --port-manager-health or PORT_MANAGER_HEALTH",
		"is given to the Management Portal and to the SCIM webhook: choose another with --port-scim or PORT_SCIM",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%v\ndoes not say\n%s", err, want)
		}
	}
}

func TestSecondInstanceIsRefused(t *testing.T) {
	dir := t.TempDir()
	lock, err := lockFolder(dir)
	if err != nil {
		t.Fatal(err)
	}
	_, err = lockFolder(dir)
	if err == nil || !strings.Contains(err.Error(), "another instance (process "+strconv.Itoa(os.Getpid())+") uses") || !strings.Contains(err.Error(), "--dir") {
		t.Errorf("got %v", err)
	}
	if err := lock.Close(); err != nil {
		t.Fatal(err)
	}
	lock, err = lockFolder(dir)
	if err != nil {
		t.Fatalf("the lock must end with its process: %v", err)
	}
	_ = lock.Close()
}

func TestCredentialsLastAndAreSecret(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "credentials")
	first, err := loadCredentials(folder)
	if err != nil {
		t.Fatal(err)
	}
	second, err := loadCredentials(folder)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(first.values, second.values); diff != "" {
		t.Errorf("a second start changed them:\n%s", diff)
	}
	for name := range first.values {
		info, err := os.Stat(first.file(name))
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s is %v", name, info.Mode())
		}
		if len(first.get(name)) < 20 {
			t.Errorf("%s is short", name)
		}
	}
}

// TestValuesForAShell writes the values, sources them in a shell and reads them back.
func TestValuesForAShell(t *testing.T) {
	dir := t.TempDir()
	want := Values{
		Kubeconfig: "/tmp/a folder/it's here/kubeconfig", Kubectl: "/bin/kubectl", Namespace: Namespace, SCIMURL: "http://127.0.0.1:8091/scim/v2",
		SCIMToken: "lrp_$HOME`id`", PortalURL: "http://127.0.0.1:8090", PortalAPIKey: "k", AdminUser: adminUser, AdminPassword: `a"b\c`,
		SSOIssuer: "http://127.0.0.1:8099", SSOPassword: "",
	}
	file := filepath.Join(dir, EnvFile)
	if err := writeFile(file, []byte(want.Format())); err != nil {
		t.Fatal(err)
	}
	got, err := ReadValues(dir)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("read back (-want +got):\n%s", diff)
	}
	out, err := exec.CommandContext(t.Context(), "/bin/sh", "-c", `. "$1"; printf '%s|%s|%s' "$KUBECONFIG" "$SCIM_TOKEN" "$PORTAL_ADMIN_PASSWORD"`, "sh", file).CombinedOutput()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want.Kubeconfig+"|"+want.SCIMToken+"|"+want.AdminPassword, string(out)); diff != "" {
		t.Errorf("sourced (-want +got):\n%s", diff)
	}
}

func TestReadValuesOfNothing(t *testing.T) {
	if _, err := ReadValues(t.TempDir()); err == nil || !strings.Contains(err.Error(), "start it with make run") {
		t.Errorf("got %v", err)
	}
}
