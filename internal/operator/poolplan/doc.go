// SPDX-License-Identifier: Apache-2.0

// Package poolplan plans what a pool in the portal must become, with its members: it reads the
// mirror, the index of groups and the snapshot of pools, and the pure packages under decide compute
// the change. The controllers and the preview use the same plan.
package poolplan
