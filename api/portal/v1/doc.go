// SPDX-License-Identifier: Apache-2.0

// Package portalv1 is the portal's wire contract: the OpenAPI document, and the models, client and
// server skeleton that oapi-codegen generates from it. To change the contract, edit openapi.yaml
// and run make generate. The server validates every request against the same document.
package portalv1

import _ "embed"

//go:generate go tool -modfile=../../../hack/tools/go.mod oapi-codegen -config oapi-codegen.yaml openapi.yaml

// Document is openapi.yaml, as served at /api/v1/openapi.yaml.
//
//go:embed openapi.yaml
var Document []byte
