// SPDX-License-Identifier: Apache-2.0

package portal

import (
	"context"
	"errors"
	"fmt"

	"lightrun.com/scim-operator/internal/portal/store"
)

// ErrFindings means that a check found something, and has reported it.
var ErrFindings = errors.New("the check has findings")

// Check compares the database with the portal's rules and writes one line for each finding, with
// its remedy. published is the head of the audit as for VerifyAudit. It writes nothing to the
// database. It returns ErrFindings if there is a finding.
func (o Options) Check(ctx context.Context, published string, std Streams) error {
	head, err := parseHead(published)
	if err != nil {
		return err
	}
	so, err := o.store()
	if err == nil {
		err = o.exists()
	}
	if err != nil {
		return err
	}
	r, err := store.Check(ctx, so, head)
	if err != nil {
		return err
	}
	for _, f := range r.Findings {
		fmt.Fprintf(std.Out, "%s; remedy: %s\n", f.Problem, f.Remedy)
	}
	fmt.Fprintf(std.Err, "checked %d users, %d pools and %d events at schema version %d: %d findings\n", r.Accounts, r.Pools, r.Events, r.Schema, len(r.Findings))
	if len(r.Findings) > 0 {
		return ErrFindings
	}
	return nil
}
