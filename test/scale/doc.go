// SPDX-License-Identifier: Apache-2.0

// Package scale states what many people cost: budgets of calls and writes as tests, time and memory
// as benchmarks. The cluster's cache and the portal are maps, so that what is counted and measured
// is the controllers' own.
package scale
