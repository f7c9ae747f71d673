// Package groupslice keeps the members of groups in ScimGroupSlices.
package groupslice
