// SPDX-License-Identifier: Apache-2.0

// Package e2e tells stories on the built programs: etcd, a real Kubernetes API server, the portal,
// the webhook and the manager run as processes (test/framework/devenv, the same code as `make
// run`), an identity provider is played over HTTP, and what became of it is read in Kubernetes and
// in the portal.
//
// Most stories share one environment and each leaves it as it found it; those that restart
// everything have their own. Nothing sleeps: a story waits for a condition, with a deadline, and
// says what it saw last when the time is up.
package e2e
