// SPDX-License-Identifier: Apache-2.0

package devenv

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Values contains what a developer or a program needs to use a running environment; the file env in
// the data folder contains them.
type Values struct {
	Kubeconfig    string // KUBECONFIG; its default namespace is the installation's
	Kubectl       string // KUBECTL
	Namespace     string // SCIM_NAMESPACE
	SCIMURL       string // SCIM_URL, ending in /scim/v2
	SCIMToken     string // SCIM_TOKEN
	PortalURL     string // PORTAL_URL
	PortalAPIKey  string // PORTAL_API_KEY, scope manage
	AdminUser     string // PORTAL_ADMIN_USER
	AdminPassword string // PORTAL_ADMIN_PASSWORD
	SSOIssuer     string // SSO_ISSUER
	SSOPassword   string // SSO_PASSWORD, the password of every user of the development single sign-on
	TargetURL     string // SCIM_TARGET_URL; empty with the portal. The fields of the portal and of SSO are empty with a target
	TargetToken   string // SCIM_TARGET_TOKEN
}

// fields pairs the variables with their values, in the order of the file.
func (v *Values) fields() []struct {
	name  string
	value *string
} {
	return []struct {
		name  string
		value *string
	}{
		{"KUBECONFIG", &v.Kubeconfig}, {"KUBECTL", &v.Kubectl}, {"SCIM_NAMESPACE", &v.Namespace},
		{"SCIM_URL", &v.SCIMURL}, {"SCIM_TOKEN", &v.SCIMToken},
		{"PORTAL_URL", &v.PortalURL}, {"PORTAL_API_KEY", &v.PortalAPIKey},
		{"PORTAL_ADMIN_USER", &v.AdminUser}, {"PORTAL_ADMIN_PASSWORD", &v.AdminPassword},
		{"SSO_ISSUER", &v.SSOIssuer}, {"SSO_PASSWORD", &v.SSOPassword},
		{"SCIM_TARGET_URL", &v.TargetURL}, {"SCIM_TARGET_TOKEN", &v.TargetToken},
	}
}

func (e *Environment) values() Values {
	v := Values{
		Kubeconfig: e.path("kubeconfig"),
		Kubectl:    filepath.Join(e.Assets, "kubectl"),
		Namespace:  Namespace,
		SCIMURL:    "http://" + loopback(e.Ports.SCIM) + "/scim/v2",
		SCIMToken:  e.credentials.get(scimKey),
	}
	if e.scim() {
		v.TargetURL, v.TargetToken = "http://"+loopback(e.Ports.Portal)+"/scim/v2", e.credentials.get(targetToken)
		return v
	}
	v.PortalURL, v.PortalAPIKey = "http://"+loopback(e.Ports.Portal), e.credentials.get(manageKey)
	v.AdminUser, v.AdminPassword = adminUser, e.credentials.get(adminPassword)
	v.SSOIssuer, v.SSOPassword = "http://"+loopback(e.Ports.OIDC), e.credentials.get(ssoPassword)
	return v
}

// EnvFile is the name of the file in the data folder that exists while everything serves. It
// contains the addresses.
const EnvFile = "env"

// Format writes the values for a shell to source.
func (v Values) Format() string {
	var b strings.Builder
	fmt.Fprintf(&b, "# A running environment; this file is removed when it stops.\n# To use its kubectl: export PATH=\"%s:$PATH\"\n", filepath.Dir(v.Kubectl))
	for _, f := range v.fields() {
		fmt.Fprintf(&b, "export %s=%s\n", f.name, quote(*f.value))
	}
	return b.String()
}

// ReadValues reads the file env of a data folder. An error means that nothing runs there.
func ReadValues(dir string) (Values, error) {
	var v Values
	content, err := os.ReadFile(filepath.Join(dir, EnvFile))
	if errors.Is(err, os.ErrNotExist) {
		return v, fmt.Errorf("nothing runs in %s (there is no %s): start it with make run and wait until it says that it is ready", dir, filepath.Join(dir, EnvFile))
	}
	if err != nil {
		return v, err
	}
	for _, line := range strings.Split(string(content), "\n") {
		name, value, _ := strings.Cut(strings.TrimPrefix(line, "export "), "=")
		for _, f := range v.fields() {
			if f.name == name {
				*f.value = strings.ReplaceAll(strings.Trim(value, "'"), `'\''`, "'")
			}
		}
	}
	return v, nil
}

// quote quotes a text as one word for a shell.
func quote(text string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_./:@,+", r)
	}
	if text != "" && strings.TrimFunc(text, plain) == "" {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}

// announce writes the file env.
func (e *Environment) announce(context.Context) error {
	return writeFile(e.path(EnvFile), []byte(e.Values.Format()))
}

// withdraw removes it.
func (e *Environment) withdraw() error {
	if err := os.Remove(e.path(EnvFile)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}
