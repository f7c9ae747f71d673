// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/gateway/server"
	"lightrun.com/scim-operator/internal/gateway/tokens"
	"lightrun.com/scim-operator/internal/gateway/tokens/jwt"
	"lightrun.com/scim-operator/internal/kernel/provider"
)

// bearer authenticates bearer tokens: static ones with the token files, others as JWTs of the
// issuers that the IdentityConfiguration trusts.
type bearer struct {
	set     *tokens.Set
	jwt     *jwt.Verifier
	issuers func() (all []v1alpha1.JWTIssuer, known bool)
}

func newBearer(set *tokens.Set, issuers func() ([]v1alpha1.JWTIssuer, bool)) bearer {
	return bearer{set: set, issuers: issuers, jwt: jwt.New(func() []jwt.Issuer {
		all, _ := issuers()
		out := make([]jwt.Issuer, len(all))
		for i, j := range all {
			out[i] = jwt.Issuer{URL: j.Issuer, Audiences: j.Audiences, Provider: provider.ID{Type: string(j.Provider), Name: j.ProviderName}, Required: j.RequiredClaims, CABundle: j.CABundle}
		}
		return out
	})}
}

// Authenticate implements server.Authenticator.
func (b bearer) Authenticate(ctx context.Context, token string) (server.Identity, error) {
	e, err := b.set.Authenticate(token)
	if err == nil {
		id := server.Identity{Name: e.Name, Provider: e.Provider}
		_, err = hex.Decode(id.Secret[:], []byte(e.Digest))
		return id, err
	}
	if !jwt.Looks(token) {
		return server.Identity{}, err
	}
	all, known := b.issuers()
	switch {
	case !known:
		return server.Identity{}, fmt.Errorf("%w: the IdentityConfiguration is not loaded yet", server.ErrUndecided)
	case len(all) == 0:
		return server.Identity{}, err
	}
	holder, err := b.jwt.Verify(ctx, token)
	if errors.Is(err, jwt.ErrUnavailable) {
		err = fmt.Errorf("%w: %w", server.ErrUndecided, err)
	}
	if err != nil {
		return server.Identity{}, err
	}
	return server.Identity{Name: "jwt:" + holder.Issuer, Provider: holder.Provider, Secret: holder.Key}, nil
}
