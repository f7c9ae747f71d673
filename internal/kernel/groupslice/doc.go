// SPDX-License-Identifier: Apache-2.0

// Package groupslice stores the members of groups in ScimGroupSlices, as EndpointSlices store the
// endpoints of a Service: a change of one member is one small write in a group of any size, and the
// creation of a group of 10,000 is about 64 writes.
//
// # Which slice
//
// The place of a user is the first 16 bits of the SCIM id. The slice <group>-<hhhh> with b bits
// covers the places whose first b bits equal those of hhhh. If several slices cover a place, the
// one with the fewest bits is the valid slice for that place; the others are unused. A new group
// has one slice, -0000 with 0 bits. A new group with many members has as many slices as it needs.
// All of them are written before the ScimGroup, so that a group that can be found is complete.
//
// A split increases the bits of a valid slice, so that the slice covers fewer places. Its bits
// never decrease, and no slice is deleted while its group exists. Therefore a slice stays the valid
// one for a place as long as it covers the place. That is why a process may cache slices, and why
// GETs in sequence, starting at the prefix with the fewest set bits, find the valid slice.
//
// # One member
//
// A slice has its members as text, one id on each line, because each write of a map or list costs
// the API server several times as much for each of its entries. An add or remove goes into the map
// spec.changes, which takes precedence: it is a JSON merge patch without a resourceVersion, so
// changes of different users do not conflict, and a repetition is harmless. It contains the epoch
// that its writer knows. The epoch of a slice grows with every change of its bits, and the CRD's
// rule refuses a patch with an older one (422): the writer reads the slice and repeats. It
// contains the uid too, so that it never applies to a slice that was deleted and restored. After
// a 404 the writer reads the group. A patch that may have been stored (a timeout, a broken
// connection) is never repeated by the Store.
//
// A Store combines changes: it sends one patch of a slice at a time, and all changes that it gets
// meanwhile become the next patch. If the API server refuses a patch because of its content, the
// Store tries each caller's part alone.
//
// A slice with many changes is rewritten: its members with the changes become the new text, at the
// resourceVersion that they were read from. A write of many changes does the same, so that they do
// not pass through the map. A late patch finds either the old text or the new one, and means the
// same in both.
//
// # Splits
//
// A slice with more than SliceTarget members is split after the write, before this process's next
// write to it; one that would exceed SliceMax is split before, together with the changes. A write
// of many changes splits above SliceMax only: a large group arrives in several requests that each
// write every slice. The writer
//
//  1. reads the slices that are to become valid, and then W, the valid slice;
//  2. fences: if one of the former exists, raises W's epoch;
//  3. creates them, or updates them at the resourceVersion of step 1, each in a new epoch;
//  4. increases W's bits in a new epoch, at the resourceVersion that the members were taken from.
//
// Before step 4 nothing has changed for readers, because W covers the same places with fewer bits.
// If the writer crashes, the next split takes over the slices that it left. Step 4 makes all of
// them valid at once, as this writer wrote them: another writer that wants to overwrite one of them
// must first read it and raise W's epoch, and then step 4 fails. A slow writer that overwrites one
// of them later gets a conflict on its resourceVersion, or fails to raise W's epoch. (Creating a
// slice proves that it did not exist, so the first attempt skips reading the slices that are to
// become valid.)
//
// If only the members of W changed before step 4, the writer copies the difference to the new
// slices and repeats step 4, so that a slice with many changes can be split.
//
// # Replacing all members
//
// A replacement first raises the round of the ScimGroup at its resourceVersion. Then it writes its
// round and members into every valid slice, by JSON patches that test epoch and round, so that it
// does not wait for single changes. A slice with too many new members is split as above. The
// replacement does not change a slice with a newer round, as if it had come before that newer
// replacement. Therefore overlapping replacements end with the newest one, and no replacement takes
// effect after a newer one. A replacement that changes nothing takes no round and writes nothing.
//
// # What is promised
//
// Each pair (group, user) is linearizable. A request over several slices is not atomic. The tests
// check this with porcupine on an in-memory API server: a seed determines the order of requests,
// connections break, requests are late, and writers are killed at every step. TestFake compares
// that API server with the real one.
//
// The revision of a slice never decreases, because a group with a lower revision than before counts
// as restored from a backup. A rule of the CRD refuses a lower revision, and the writer reads the
// slice and repeats the write. A writer takes a revision above the one that it last read, so that a
// writer whose clock is behind is not refused each time.
package groupslice
