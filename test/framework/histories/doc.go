// SPDX-License-Identifier: Apache-2.0

// Package histories decides whether the responses that clients saw from a SCIM service are possible
// for a service that loses no write and applies none twice.
//
// Clients record each request, its response and the times. A request without a response, or with a
// 5xx, may have taken effect, and may still do so at any later time; either is permitted.
// Everything else is checked. The history is split into small parts, and for each part porcupine
// searches an order of its requests that matches the responses, with each request taking effect at
// one moment between call and response (Herlihy and Wing's linearizability):
//
//   - for each user, the whole user: its attributes, and whether it exists; for each group, its
//     name;
//   - for each name, who has it: at most one user, or one group, which is the one that got success;
//   - for each group and user, whether the user is a member.
//
// GET of a user or group by id, the members of a group and a filter on userName or displayName must
// match the state at the moment of the request. Searches by externalId and the groups of a user are
// read from a replica's cache: they may be as old as that replica's own last write, but not older.
// A cache may show a deleted group with its members for some time.
//
// The stories in test/e2e record histories from real processes that are killed during the test.
package histories
