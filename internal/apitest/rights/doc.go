// Package rights shows who may write what, on a real API server with the policies and the RBAC of
// config/ and with Kubernetes' own garbage collector, namespace controller and role aggregation:
// one table of operations, each with the subjects that may do it. Everyone else is refused, and who
// has the right to the object but not to the change is told why.
package rights
