// SPDX-License-Identifier: Apache-2.0

// Package e2e tests the built programs by stories: etcd, a real Kubernetes API server, the portal,
// the webhook and the manager run as processes (test/framework/devenv, the same code as `make
// run`), the test acts as the identity provider over HTTP, and reads the results in Kubernetes and
// in the portal.
//
// Most stories share one environment, and each removes what it created; stories that restart
// everything have their own. Nothing sleeps: a story waits for a condition, with a deadline, and
// reports the last state when the time is up.
package e2e
