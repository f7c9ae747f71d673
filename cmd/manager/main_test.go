// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/test/framework/kubefake"
)

func TestParse(t *testing.T) {
	for name, tc := range map[string]struct {
		reason string
		args   []string
		env    string // POD_NAMESPACE
		says   string // of the error; empty if there is none
		check  func(options) bool
	}{
		"Defaults":       {reason: "The manager starts with the Pod's namespace alone.", env: "company", check: func(o options) bool { return o.namespace == "company" && o.elect && o.lease == 15*time.Second }},
		"FlagWins":       {reason: "The flag of the namespace takes precedence over the environment.", args: []string{"--namespace=other"}, env: "company", check: func(o options) bool { return o.namespace == "other" }},
		"NoNamespace":    {reason: "The manager does not start without a namespace: it would watch all of them.", says: "--namespace is not set"},
		"ShortLease":     {reason: "The manager does not start with a lease that a leader could not renew in time.", args: []string{"--namespace=company", "--leader-elect-lease-duration=1s"}, says: "give 3s or more"},
		"UnexpectedWord": {reason: "A word without a flag is a mistake, such as a space after a flag's =.", args: []string{"--namespace=company", "now"}, says: `unexpected argument "now"`},
		"Version":        {reason: "The version is printed without any configuration.", args: []string{"--version"}, check: func(o options) bool { return o.version }},
		"UnknownFlag":    {reason: "An unknown flag is refused.", args: []string{"--portal=x"}, says: "not defined"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("POD_NAMESPACE", tc.env)
			o, err := parse(tc.args)
			switch {
			case tc.says != "" && (err == nil || !strings.Contains(err.Error(), tc.says)):
				t.Errorf("%v, want an error that says %q: %s", err, tc.says, tc.reason)
			case tc.says == "" && (err != nil || !tc.check(o)):
				t.Errorf("%+v, %v: %s", o, err, tc.reason)
			}
		})
	}
}

func TestClusterID(t *testing.T) {
	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		reason  string
		objects []client.Object
		want    string
		says    string // of the error; nil if there is none
	}{
		"Known":   {reason: "The UID of kube-system is the cluster's for its whole life.", objects: []client.Object{&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "kube-system", UID: "uid"}}}, want: "uid"},
		"Unknown": {reason: "Without the UID of kube-system the portal could take two clusters for one: the error names the option.", says: "set --cluster-id"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := clusterID(t.Context(), kubefake.New(t, scheme, tc.objects...))
			if got != tc.want || (err == nil) != (tc.says == "") || err != nil && !strings.Contains(err.Error(), tc.says) {
				t.Errorf("%q, %v: %s", got, err, tc.reason)
			}
		})
	}
}

func TestConnect(t *testing.T) {
	for name, tc := range map[string]struct {
		reason string
		portal v1alpha1.Portal
		says   string // of the error; nil if there is none
	}{
		"Plain":     {reason: "A client for the portal needs only an address.", portal: v1alpha1.Portal{URL: "https://portal.example.test"}},
		"NoAddress": {reason: "A client for the portal is refused without an address.", says: "URL"},
		"SCIM":      {reason: "The address of a SCIM target has a path.", portal: v1alpha1.Portal{Driver: v1alpha1.PortalDriverSCIM, URL: "https://app.example.test/scim/v2"}},
		"Driver":    {reason: "A driver that this version does not have is refused, and the error names the others.", portal: v1alpha1.Portal{Driver: "LDAP", URL: "https://portal.example.test"}, says: "use Contract or SCIM"},
		"BadBundle": {reason: "A CA bundle without a certificate is refused: it would trust nothing.", portal: v1alpha1.Portal{URL: "https://portal.example.test", CABundle: []byte("none")}, says: "certificate"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := connectBy(nil, "company", nil, "leader")(tc.portal, "key")
			if (err == nil) != (tc.says == "") || err != nil && !strings.Contains(err.Error(), tc.says) {
				t.Errorf("%v: %s", err, tc.reason)
			}
		})
	}
}
