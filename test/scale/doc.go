// SPDX-License-Identifier: Apache-2.0

// Package scale states what many users cost: budgets of calls and writes as tests, time and memory
// as benchmarks. The cluster's cache and the portal are maps, so that the results are only the
// controllers' own.
package scale
