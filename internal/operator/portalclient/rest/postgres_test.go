// SPDX-License-Identifier: Apache-2.0

package rest_test

import (
	"testing"

	"lightrun.com/scim-operator/test/conformance/contract"
	"lightrun.com/scim-operator/test/framework/postgres"
)

// The REST client with the real server on PostgreSQL.
func TestContractOnPostgreSQL(t *testing.T) {
	server := postgres.Start(t)
	contract.Run(t, func(t *testing.T) contract.Fixture { return fixture(t, server.Database(t)) })
}
