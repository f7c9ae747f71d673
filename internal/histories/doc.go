// Package histories decides whether what clients saw of a SCIM service can be explained by a
// service that loses nothing and does nothing twice.
//
// Clients record what they asked, what was answered and when. A request that was never answered, or
// answered with a 5xx, may have taken effect, and may still do so at any later time; it is never
// held against the service whether it did. Everything else is. The history is then cut into small
// ones, and for each, porcupine looks for an order of its requests that fits what was answered,
// with each request taking effect at one moment between call and answer (Herlihy and Wing's
// linearizability):
//
//   - for each user, the user as a whole: which attributes it has, and whether it is there; for
//     each group, its name;
//   - for each name, who bears it: one user, or one group, at most, and whoever was answered with
//     success;
//   - for each group and person, whether they are a member.
//
// GET of a user or group by id, the members of a group and a filter for userName or displayName
// must fit in as of the moment they were made. Searches by externalId and the groups of a user are
// read from a replica's cache: they may be as old as that replica's own last write, and no older. A
// group that was deleted may be shown there with its people for as long as a cache does.
//
// The stories in internal/e2e record histories from real processes that are killed meanwhile.
package histories
