// SPDX-License-Identifier: Apache-2.0

package web_test

import (
	"fmt"
	"net/http"
	"testing"

	"lightrun.com/scim-operator/internal/kernel/portalapi"
	"lightrun.com/scim-operator/internal/portal/store"
)

// BenchmarkLoginMethods requests the page with 100,000 accounts, 1,000 of them waiting for the
// migration. The aim is 50 ms.
func BenchmarkLoginMethods(b *testing.B) {
	s := newSite(b)
	s.methods(portalapi.LoginMethods{SSO: portalapi.SSO{Enabled: true, Type: "OIDC", Issuer: "https://demo.example.test", ClientID: "portal"}, SCIMEnabled: true})
	for i := range 99_000 {
		s.put(fmt.Sprintf("person%06d", i), true)
	}
	for i := range 1_000 {
		name := fmt.Sprintf("local%06d", i)
		a, err := s.store.CreateAccount(b.Context(), manager, store.NewAccount{UserName: name + "@example.test"})
		if err == nil {
			err = s.store.MarkWaiting(b.Context(), operator, a.ID, portalapi.Owner{UID: name, Name: name})
		}
		if err != nil {
			b.Fatal(err)
		}
	}
	boss := s.manager()
	for b.Loop() {
		boss.get(methodsPath).mustBe(http.StatusOK)
	}
}
