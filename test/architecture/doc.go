// SPDX-License-Identifier: Apache-2.0

// Package architecture holds the import rules of the whole house: which room may import which, and
// what from outside. The table is in rooms_test.go; ARCHITECTURE.md prints it as the floor plan. It
// also holds that no program links what only tests use, and that every exported name has a comment.
package architecture
