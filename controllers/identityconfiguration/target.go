// SPDX-License-Identifier: Apache-2.0

package identityconfiguration

import (
	"strings"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/kernel/conditions"
	"lightrun.com/scim-operator/internal/kernel/portalapi"
	"lightrun.com/scim-operator/internal/kernel/shell"
	"lightrun.com/scim-operator/internal/operator/pass"
)

// warnOfLimits reports what a SCIM target cannot do, once for all users.
func (p *scope) warnOfLimits() pass.Outcome {
	m := p.View.Mirror
	if m == nil || !m.Listed() || len(m.Configuration().Limits) == 0 {
		return pass.Next()
	}
	return pass.Warn(conditions.True(v1alpha1.ConditionDegraded, v1alpha1.ReasonTargetLimits, strings.Join(m.Configuration().Limits, ". ")))
}

// lossRemedy adds the command that accepts the loss of accounts, whose id ends the refusal.
func (p *scope) lossRemedy(refused error) error {
	words := strings.Fields(said(refused))
	id := words[len(words)-1]
	return &portalapi.Error{
		Status: 409, Code: portalapi.CodeTargetChanged,
		Message: said(refused) + ": " + shell.Scim(p.config.Namespace, "accept", "identityconfiguration/default", "--loss", id),
	}
}
