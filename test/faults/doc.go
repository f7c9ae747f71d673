// SPDX-License-Identifier: Apache-2.0

// Package faults runs every single call that the controllers make during a company's day, to the
// portal and to Kubernetes, and lets each fail in every way: before its effect, after it, as a
// conflict, or with the death of the process. After each fault the company must end in exactly the
// same state as without it. At no time may a user lose access that they keep, or get access that
// nothing gives them.
//
// The test drives the controllers one pass at a time, with an in-memory Kubernetes API and the real
// portal's rules in memory, on a fake clock (testing/synctest). So a run is exact: the same faults,
// in the same order, every time. Tests that need real caches, watches and processes are in
// test/integration/stories and test/e2e.
package faults
