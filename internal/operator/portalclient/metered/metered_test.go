// SPDX-License-Identifier: Apache-2.0

package metered_test

import (
	"context"
	"errors"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"lightrun.com/scim-operator/internal/kernel/portalapi"
	"lightrun.com/scim-operator/internal/operator/portalclient/metered"
	"lightrun.com/scim-operator/test/framework/fakeportal"
)

func TestMetricLabels(t *testing.T) {
	h := metered.NewHistogram()
	p := fakeportal.New(t, fakeportal.Options{})
	c := metered.New(p, h)
	if _, err := c.Roles(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := c.PutAccount(t.Context(), portalapi.AccountWrite{}); portalapi.CodeOf(err) != portalapi.CodeInvalid {
		t.Fatalf("the error is %v", err)
	}
	p.Before = func(context.Context, fakeportal.Call) error { return errors.New("refused") }
	if _, err := c.Bind(t.Context(), portalapi.Binding{}); err == nil {
		t.Fatal("no error")
	}
	if n := testutil.CollectAndCount(h); n != 3 {
		t.Errorf("%d series, want 3", n)
	}
	if problems, err := testutil.CollectAndLint(h); err != nil || len(problems) > 0 {
		t.Errorf("%v %v", problems, err)
	}
}
