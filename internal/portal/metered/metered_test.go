package metered_test

import (
	"context"
	"errors"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"lightrun.com/scim-operator/internal/portal"
	"lightrun.com/scim-operator/internal/portal/fake"
	"lightrun.com/scim-operator/internal/portal/metered"
)

func TestMetricLabels(t *testing.T) {
	h := metered.NewHistogram()
	p := fake.New(t, fake.Options{})
	c := metered.New(p, h)
	if _, err := c.Roles(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := c.PutAccount(t.Context(), portal.AccountWrite{}); portal.CodeOf(err) != portal.CodeInvalid {
		t.Fatalf("the error is %v", err)
	}
	p.Before = func(context.Context, fake.Call) error { return errors.New("refused") }
	if _, err := c.Bind(t.Context(), portal.Binding{}); err == nil {
		t.Fatal("no error")
	}
	if n := testutil.CollectAndCount(h); n != 3 {
		t.Errorf("%d series, want 3", n)
	}
	if problems, err := testutil.CollectAndLint(h); err != nil || len(problems) > 0 {
		t.Errorf("%v %v", problems, err)
	}
}
