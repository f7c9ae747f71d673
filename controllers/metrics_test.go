// SPDX-License-Identifier: Apache-2.0

package controllers_test

import (
	"os"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"k8s.io/client-go/tools/events"

	"lightrun.com/scim-operator/controllers"
	"lightrun.com/scim-operator/internal/kernel/portalapi"
	"lightrun.com/scim-operator/internal/operator/portalclient/metered"
	"lightrun.com/scim-operator/internal/operator/portalclient/session"
	"lightrun.com/scim-operator/test/framework/fakeportal"

	"lightrun.com/scim-operator/api/v1alpha1"
)

func TestEveryMetricIsExplained(t *testing.T) {
	p := controllers.Assemble(nil, nil, func(string) events.EventRecorder { return nil }, controllers.Options{Namespace: "n"})
	calls := metered.NewHistogram()
	client := metered.New(fakeportal.New(t, fakeportal.Options{}), calls)
	listed := make(chan struct{})
	p.Session.Subscribe(func(e session.Event) {
		if e.Listed {
			close(listed)
		}
	})
	p.Session.Open(t.Context(), "key", client, &v1alpha1.IdentityConfigurationSpec{})
	<-listed
	t.Cleanup(func() { p.Session.Close(session.Block{}) })
	if _, err := client.PutAccount(t.Context(), portalapi.AccountWrite{}); err == nil {
		t.Fatal("no error")
	}
	r := prometheus.NewRegistry()
	r.MustRegister(calls, controllers.Collector(p))
	if problems, err := testutil.GatherAndLint(r); err != nil || len(problems) > 0 {
		t.Errorf("%v %v", problems, err)
	}
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	doc, err := os.ReadFile("../docs/reference/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	if len(families) != 8 {
		t.Errorf("%d metrics, want 8", len(families))
	}
	for _, f := range families {
		if !strings.Contains(string(doc), "`"+f.GetName()+"`") {
			t.Errorf("docs/reference/metrics.md does not explain %s", f.GetName())
		}
	}
}
