// SPDX-License-Identifier: Apache-2.0

// Package userplan plans what a user's account in the portal must become: it reads the mirror and
// the snapshot of pools, and the pure packages under decide compute the change. The controllers and
// the preview use the same plan.
package userplan
