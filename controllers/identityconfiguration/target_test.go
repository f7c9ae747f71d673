// SPDX-License-Identifier: Apache-2.0

package identityconfiguration_test

import (
	"context"
	"testing"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/kernel/portalapi"
	"lightrun.com/scim-operator/test/framework/onepass"
)

// limited is a portal that cannot do everything.
type limited struct{ portalapi.Client }

func (l limited) Configuration(ctx context.Context) (*portalapi.Configuration, error) {
	c, err := l.Client.Configuration(ctx)
	if err == nil {
		c.Limits = []string{"The target has no Groups"}
	}
	return c, err
}

// TestTarget is about what only a SCIM target reports.
func TestTarget(t *testing.T) {
	for name, tc := range map[string]struct {
		reason string
		given  func(*onepass.World)
		want   onepass.Want
	}{
		"Loss": {
			reason: "A target without most of its accounts stops all writes, and the condition has the command.",
			given: func(w *onepass.World) {
				key(w)
				refuse(w, "Bind", &portalapi.Error{Status: 409, Code: portalapi.CodeTargetChanged, Message: "the target was reset, accept loss 1a2b"})
			},
			want: onepass.Want{Ready: "False TargetChanged", Says: "kubectl scim accept identityconfiguration/default --loss 1a2b", Calls: "Bind", Again: retry},
		},
		"Limits": {
			reason: "What the target cannot do is one warning, and everything else works.",
			given: func(w *onepass.World) {
				key(w)
				w.Connect = func() (portalapi.Client, error) { return limited{w.Portal}, nil }
				known(w)
			},
			want: onepass.Want{Ready: "True Ready", Also: "Degraded", Calls: "Bind", Again: resync},
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := onepass.New(t, onepass.Pool(v1alpha1.DefaultName))
			w.Put(client.Object(configuration(nil)))
			tc.given(w)
			var c v1alpha1.IdentityConfiguration
			c.Name = v1alpha1.DefaultName
			w.Check(tc.reason, w.Parts.Configuration.Reconcile, &c, &c.Status.Conditions, tc.want)
		})
	}
}
