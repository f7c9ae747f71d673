// SPDX-License-Identifier: Apache-2.0

package scimuser

import (
	"context"
	"fmt"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/kernel/names"
	"lightrun.com/scim-operator/internal/operator/pass"
)

// claim takes the claim on the user name.
func (p *scope) claim(ctx context.Context) pass.Outcome {
	o := p.Claim(ctx, &p.unclaimed, "user name")
	p.claimed = !o.Ends()
	return o
}

// settleName finds the name that status shows: after a rename the former one, until no account has
// it any more; then its claim is released. A rename back to the former name at the same moment is a
// conflict.
func (p *scope) settleName(ctx context.Context) pass.Outcome {
	former, name := p.user.Status.UserName, p.user.Spec.UserName
	p.userName = former
	switch {
	case !p.claimed, former != "" && p.snapshot == nil:
		return pass.Next()
	case former == "" || names.Fold(former) == names.Fold(name):
		p.userName = name
		return pass.Next()
	case p.have != nil && names.Fold(p.have.UserName) != names.Fold(name):
		return pass.Next()
	}
	if err := p.Registry().Release(ctx, v1alpha1.ClaimUser, former, p.user); err != nil {
		return p.Retry(fmt.Errorf("release the former user name: %w", err))
	}
	p.userName = name
	return pass.Next()
}
