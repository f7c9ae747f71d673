// SPDX-License-Identifier: Apache-2.0

// Package rights tests who may write what, on a real API server with the policies and the RBAC of
// config/, and with Kubernetes' own garbage collector, namespace controller and role aggregation.
// Its table lists operations, each with the subjects that may perform it. All other subjects are
// refused. If RBAC permits the request and a policy refuses it, the message gives the reason.
package rights
