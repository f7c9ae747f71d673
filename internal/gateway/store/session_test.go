// SPDX-License-Identifier: Apache-2.0

package store_test

import (
	"testing"

	"lightrun.com/scim-operator/test/framework/session"
)

// TestSessions replays recorded provider sessions against a real API server.
func TestSessions(t *testing.T) {
	for _, idp := range []string{"okta", "entra", "onelogin", "jumpcloud", "ping", "google", "authentik"} {
		t.Run(idp, func(t *testing.T) {
			s, err := session.Load(session.Find(idp))
			if err != nil {
				t.Fatal(err)
			}
			base := serve(t, newWorld(t).replica(t))
			results, err := s.Run(t.Context(), base, token, session.Options{})
			if err != nil {
				t.Fatal(err)
			}
			for _, problem := range session.Failures(results) {
				t.Error(problem)
			}
		})
	}
}
