// SPDX-License-Identifier: Apache-2.0

package server

import (
	"net/http"

	"lightrun.com/scim-operator/internal/scim"
)

// retryError is a temporary error, with the time after which to retry.
type retryError struct {
	err   *scim.Error
	after int // seconds
}

func (e *retryError) Error() string { return e.err.Error() }
func (e *retryError) Unwrap() error { return e.err }

// admit checks whether the configuration allows the operation now. Discovery is always allowed.
func (c *call) admit() error {
	if !c.resource.gated || c.operation.handle == nil {
		return nil
	}
	switch {
	case c.config.Missing != "":
		return &retryError{after: 5, err: scim.Failure(http.StatusServiceUnavailable,
			"The cluster does not serve %s: its CustomResourceDefinition is missing or being deleted. Nothing was changed; retry the request.", c.config.Missing)}
	case !c.config.Known:
		return &retryError{after: 5, err: scim.Failure(http.StatusServiceUnavailable,
			"It is unknown whether SCIM is on: the IdentityConfiguration named default is missing, or the portal is unreachable. Nothing was changed; retry the request.")}
	case !c.config.SCIM:
		return scim.Failure(http.StatusForbidden,
			"SCIM is off, so nothing was changed. Turn it on in the portal under Settings, Identity and Access Management, Identity Configuration, Login methods, or in loginMethods.scim of the IdentityConfiguration.")
	case !c.config.Groups && c.resource.groups && c.operation.writes:
		return errGroupsOff()
	}
	return nil
}

func errGroupsOff() error {
	return scim.Failure(http.StatusForbidden,
		"Group provisioning is off, so nothing was changed. Turn it on with loginMethods.scim.provisionGroups of the IdentityConfiguration or in the portal's login methods, or stop pushing groups.")
}
