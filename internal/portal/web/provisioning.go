// SPDX-License-Identifier: Apache-2.0

package web

import (
	"net/http"
	"strings"

	"lightrun.com/scim-operator/internal/kernel/portalapi"
	"lightrun.com/scim-operator/internal/kernel/shell"
	"lightrun.com/scim-operator/internal/portal/store"
)

// provisioningPage is the page Provisioning: what arrives from the identity provider, and what does
// not get through, each with its remedy.
type provisioningPage struct {
	*store.Arrivals
	SCIM      bool
	Provider  string
	Binding   *portalapi.Binding // nil if no operator is connected
	Errors    []provisioningError
	HeldUsers []heldRecord
	HeldPools []heldRecord
	Status    string // the command that shows the operator's status
}

// provisioningError is a record that the portal refuses to change as the operator asks.
type provisioningError struct {
	store.AuditEvent
	Path   string // of the record's page; empty if it has none
	Remedy string
}

// heldRecord is a user or a pool with a held removal.
type heldRecord struct {
	Name, Path string
	What       portalapi.Removal
	Decide     decision
}

func (s *site) provisioning(v *visit) error {
	arrivals, err := s.store.Arrivals(v.Context())
	if err != nil {
		return err
	}
	config, err := s.store.Configuration(v.Context())
	if err != nil {
		return err
	}
	page := provisioningPage{Arrivals: arrivals, SCIM: config.SCIMEnabled, Provider: providerName(config), Binding: config.Binding}
	namespace := operatorNamespace(config)
	page.Status = "kubectl get idconf,scimusers,agentpools"
	if namespace != "" {
		page.Status += " -n " + shell.Quote(namespace)
	}
	for _, e := range arrivals.Errors {
		one := provisioningError{AuditEvent: e, Remedy: remedy(e.Code, page.Provider)}
		switch {
		case e.TargetID == "":
		case e.TargetKind == "User":
			one.Path = "/users/" + e.TargetID
		case e.TargetKind == "Pool":
			one.Path = "/pools/" + e.TargetID
		}
		page.Errors = append(page.Errors, one)
	}
	for i := range arrivals.HeldUsers {
		u := &arrivals.HeldUsers[i]
		page.HeldUsers = append(page.HeldUsers, heldRecord{displayName(u), "/users/" + u.ID, u.Mark.What, commands(namespace, "scimuser", u.Mark)})
	}
	for i := range arrivals.HeldPools {
		p := &arrivals.HeldPools[i]
		page.HeldPools = append(page.HeldPools, heldRecord{p.Name, "/pools/" + p.ID, p.Mark.What, commands(namespace, "agentpool", p.Mark)})
	}
	return s.show(v, http.StatusOK, "provisioning", view{Title: "Provisioning", Section: "provisioning", Body: page})
}

// remedies say what to do about a write of the operator that the portal refuses; %s is the identity
// provider.
var remedies = map[portalapi.Code]string{
	portalapi.CodeLocalAccount:     "A local user has this name. Hand the user over on the user's page, or turn on “Provision existing users with SCIM” under Login methods.",
	portalapi.CodeDuplicateUser:    "Another user has this name. Change the name in %s, or of the other user.",
	portalapi.CodeDuplicatePool:    "Another pool has this name. Change displayName of the AgentPool, or hand the other pool over on its page.",
	portalapi.CodePlanChanged:      "The approved plan does not take this from the user. Open Login methods, choose Preview and save the new plan.",
	portalapi.CodeLastManager:      "No local manager with a password would remain. Give another local user a password and the manager role first.",
	portalapi.CodeSCIMRequired:     "SCIM is off. Turn it on under Login methods, or expect no changes from %s.",
	portalapi.CodeUnknownRole:      "The portal has no such role. Correct spec.roles of the AgentPool.",
	portalapi.CodeRoleNotGrantable: "The role belongs to the vendor. Remove it from spec.roles of the AgentPool.",
	portalapi.CodeUnknownPool:      "The pool is gone. The operator lists the pools again and repeats the write.",
	portalapi.CodeDefaultPool:      "Only AgentPool/default manages the default pool. Give the other AgentPool another displayName.",
	portalapi.CodeInvalid:          "The portal does not accept this value. Correct it in %s, or in the AgentPool.",
	portalapi.CodeIDPConfigured:    "Another identity provider is integrated. The condition Bound of IdentityConfiguration/default says how to replace it.",
	portalapi.CodeOperatorBound:    "Another operator is connected. The condition Bound of IdentityConfiguration/default says how to replace it.",
	portalapi.CodeManagedElsewhere: "Another IdentityConfiguration declares the login methods. Change them there.",
	portalapi.CodeSSONotReachable:  "The issuer cannot be reached. Correct it in the IdentityConfiguration.",
	portalapi.CodeForbidden:        "The operator's API key has another scope. Give the operator a key with the scope provisioning.",
	portalapi.CodeNotFound:         "The record is gone. The operator lists the records again and repeats the write.",
}

func remedy(code portalapi.Code, provider string) string {
	text, ok := remedies[code]
	if !ok {
		return "The reason says what to do. The operator repeats the write."
	}
	return strings.Replace(text, "%s", provider, 1)
}
