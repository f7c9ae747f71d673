// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	portalv1 "lightrun.com/scim-operator/api/portal/v1"
	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/test/framework/devenv"
)

// TestRestartKeepsEverything: an environment that is stopped and started on the same folder has the
// same data, including a developer's changes. While an environment runs, no other can use its
// folder or ports.
func TestRestartKeepsEverything(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	o := options(t, dir)
	env := start(t, o)
	w := newWorld(t, env)
	ada, eve := w.name("ada"), w.name("eve")
	w.arrive(ada)
	eveID := w.arrive(eve)
	before := w.becomes(ada, "arrives", active)
	w.becomes(eve, "arrives", active)
	checkPrivateFiles(t, dir)

	if err := refusedStart(t, o); !strings.Contains(err.Error(), "another instance") {
		t.Errorf("a second instance on the folder: %v", err)
	}
	second := o
	second.Dir = filepath.Join(t.TempDir(), "other")
	if err := refusedStart(t, second); !strings.Contains(err.Error(), "is taken by another program: choose another with --port-portal or PORT_PORTAL") {
		t.Errorf("a second instance on the ports: %v", err)
	}

	// A developer changes what make run had set up.
	var idconf v1alpha1.IdentityConfiguration
	key := client.ObjectKey{Namespace: devenv.Namespace, Name: v1alpha1.DefaultName}
	if err := env.Client.Get(t.Context(), key, &idconf); err != nil {
		t.Fatal(err)
	}
	idconf.Spec.OnDelete = v1alpha1.UserOrphan
	if err := env.Client.Update(t.Context(), &idconf); err != nil {
		t.Fatal(err)
	}
	w.loginMethods(func(m *portalv1.LoginMethods) { m.SCIM.ProvisionExistingUsers = true })

	if err := env.Stop(); err != nil {
		t.Fatal(err)
	}
	if _, err := devenv.ReadValues(dir); err == nil {
		t.Error("the file env still exists after the stop")
	}
	begun := time.Now()
	env = start(t, o)
	t.Logf("a warm start took %s", time.Since(begun).Round(time.Millisecond))
	if len(env.Notes) > 0 {
		t.Errorf("notes after a plain restart: %v", env.Notes)
	}
	again := newWorld(t, env)
	again.tag = w.tag
	if after := again.becomes(ada, "still exists", active); after.ID != before.ID || after.Revision != before.Revision {
		t.Errorf("the account was %+v and is %+v", before, after)
	}
	if a := again.must("GET", "/Users/"+eveID, nil, http.StatusOK); a.Body["userName"] != eve {
		t.Errorf("read back %v", a.Body)
	}
	if err := env.Client.Get(t.Context(), key, &idconf); err != nil || idconf.Spec.OnDelete != v1alpha1.UserOrphan {
		t.Errorf("the developer's change of onDelete is gone: %v %v", idconf.Spec.OnDelete, err)
	}
	got, err := env.API.GetIdentityConfigurationWithResponse(t.Context())
	if err != nil || got.JSON200 == nil || !got.JSON200.LoginMethods.SCIM.ProvisionExistingUsers {
		t.Errorf("the developer's change on the page Login methods is gone: %v %s", err, got.Body)
	}
	again.arrive(again.name("late"))
	again.becomes(again.name("late"), "is pushed after the restart", active)
}

// refusedStart returns the error of a start that must fail.
func refusedStart(t *testing.T, o devenv.Options) error {
	t.Helper()
	env, err := devenv.Start(t.Context(), o)
	if err == nil {
		t.Fatal(errors.Join(errors.New("the start must fail"), env.Stop()))
	}
	return err
}

// checkPrivateFiles checks that only the owner can read files with secrets.
func checkPrivateFiles(t *testing.T, dir string) {
	t.Helper()
	for _, name := range []string{"env", "kubeconfig", "credentials/portal-key-manage", "kubernetes/tokens.csv", "kubernetes/manager.kubeconfig", "kubernetes/serving.key"} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Error(err)
		} else if info.Mode().Perm() != 0o600 {
			t.Errorf("%s is %v, must be for its owner alone", name, info.Mode())
		}
	}
}

// TestStartNamesTheProgramThatEnded: if a program ends by itself, Start fails with its name, its
// exit status, its log file and the end of its log.
func TestStartNamesTheProgramThatEnded(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	o := options(t, dir)
	if err := os.MkdirAll(filepath.Join(dir, "portal", "portal.db"), 0o700); err != nil { // a folder where the database goes
		t.Fatal(err)
	}
	err := refusedStart(t, o)
	for _, want := range []string{"portal ended unexpectedly", "portal.log", "exit status 1", "the portal's database"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q does not say %q", err, want)
		}
	}
	nothingListens(t, o.Ports)
}
