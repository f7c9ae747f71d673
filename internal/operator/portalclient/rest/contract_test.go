// SPDX-License-Identifier: Apache-2.0

package rest_test

import (
	"context"
	"path/filepath"
	"testing"

	"lightrun.com/scim-operator/internal/kernel/portalapi"
	"lightrun.com/scim-operator/internal/operator/portalclient/rest"
	"lightrun.com/scim-operator/test/conformance/contract"
	"lightrun.com/scim-operator/test/framework/portaltest"
)

// The REST client with the real server on an SQLite file.
func TestContract(t *testing.T) {
	contract.Run(t, func(t *testing.T) contract.Fixture { return fixture(t, filepath.Join(t.TempDir(), "portal.db")) })
}

// fixture returns the REST client and the server on a new database.
func fixture(t *testing.T, database string) contract.Fixture {
	clock := &portaltest.Clock{}
	s := portaltest.Store(t, portaltest.Options{Database: database, Clock: clock, Unreachable: contract.Unreachable})
	url := portaltest.Serve(t, s)
	process := func(leader string) portalapi.Client {
		client, err := rest.New(rest.Options{URL: url, Key: func(context.Context) (string, error) { return portaltest.ProvisioningKey, nil }, Leader: leader})
		if err != nil {
			t.Fatal(err)
		}
		return client
	}
	return (contract.Fixture{
		Client: process(""), Process: process, URL: url,
		Keys:    contract.Keys{Manage: portaltest.ManageKey, Read: portaltest.ReadKey, Provisioning: portaltest.ProvisioningKey, SCIM: portaltest.SCIMKey},
		Advance: clock.Advance,
		Truncate: func(keep int) {
			if err := s.TruncateFeed(t.Context(), keep); err != nil {
				t.Fatal(err)
			}
		},
		NewEpoch: func() {
			if err := s.NewFeedEpoch(t.Context()); err != nil {
				t.Fatal(err)
			}
		},
	}).OnStubs()
}
