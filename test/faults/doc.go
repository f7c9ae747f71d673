// SPDX-License-Identifier: Apache-2.0

// Package faults walks through every single call that the controllers make during a company's day,
// to the portal and to Kubernetes, and lets each fail in every way: before its effect, after it, as
// a conflict, or with the process dying right there. After each fault the company must end exactly
// as without it, and on the way nobody may lose access that they keep, or gain what nothing gives
// them.
//
// The controllers are driven one pass at a time, over a Kubernetes API in memory and the real
// portal's rules in memory, on a clock that costs nothing (testing/synctest). So one walk is exact:
// the same faults, in the same order, every time. What needs real caches, watches and processes is
// in test/integration/stories and test/e2e.
package faults
