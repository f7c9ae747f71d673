// SPDX-License-Identifier: Apache-2.0

// Package groupslice stores the members of groups in ScimGroupSlices, as EndpointSlices store the
// endpoints of a Service: a change of one member is one small write in a group of any size, and a
// group of 10,000 is about 130 writes.
//
// # Which slice
//
// A user's place is the first 16 bits of the SCIM id. The slice <group>-<hhhh> with b bits covers
// the places whose first b bits equal those of hhhh. In force for a place is the covering slice
// with the fewest bits. A new group has one slice, -0000 with 0 bits; a larger one starts with as
// many as it needs. All are written before the ScimGroup, so that a group that can be found is
// complete.
//
// Splits narrow a slice in force; nothing widens it, and no slice is deleted while its group
// exists. So a slice that was in force for a place still is, unless it no longer covers the place.
// That is why a process may remember slices, and why GETs in sequence, starting at the prefix with
// the fewest set bits, find the one in force.
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
// A Store combines changes: one patch of a slice is in flight, and what arrives meanwhile is the
// next patch. If a patch is refused for its content, each caller's part is tried alone.
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
//  1. reads the slices that are to come into force, then W, the slice in force;
//  2. fences: if one of them exists, raises W's epoch;
//  3. creates them, or updates them at the resourceVersion of step 1, each in a new epoch;
//  4. narrows W in a new epoch, at the resourceVersion that their members were taken from.
//
// Before step 4 nothing has changed for readers, because W covers all of it with fewer bits; a
// writer that crashes leaves slices that the next split takes over. Step 4 brings all of them into
// force at once, as this writer wrote them: a writer that wants to overwrite one must have seen it
// and raised W's epoch first, and then step 4 fails. A slow writer that overwrites one later gets a
// conflict on its resourceVersion, or fails to raise W's epoch. (Creating a slice proves that it
// was absent, so the first attempt skips that read.)
//
// If only members of W changed before step 4, the difference is copied to the new slices and step 4
// is repeated, so that a busy slice can be split.
//
// # Replacing all members
//
// A replacement first raises the round of the ScimGroup at its resourceVersion. It then writes its
// round and members into every slice in force, by JSON patches that test epoch and round, so that
// single changes do not make it wait; a slice that needs more room is split as above with the new
// members. A slice with a newer round is left unchanged: the replacement counts as having come
// before the newer one. So overlapping replacements end with the newest, and none can take effect
// after a newer one. A replacement that changes nothing takes no round and writes nothing.
//
// # What is promised
//
// Each pair (group, user) is linearizable. A request over several slices is not one step. The tests
// check this with porcupine on an in-memory API server, with a request order for each seed, with
// broken connections, late requests and writers that are killed at every step. TestFake compares
// that API server with the real one.
//
// The revision of a slice never goes down, or its group would look like a restored backup; a rule
// of the CRD refuses an older one, and the writer reads the slice and repeats. A writer counts from
// the revision that it last saw, so that one whose clock is behind is not refused all the time.
package groupslice
