// SPDX-License-Identifier: Apache-2.0

// Command bench-manager measures the manager as a process, with a real API server, etcd, portal
// (SQLite) and webhook:
//
//   - a restart of the manager with many users that are all in the desired state (restart.go);
//   - new users at a steady rate, each until the portal has the user's roles (pushes.go);
//   - a large group, from its SCIM request until the portal has its members (groups.go);
//   - a change of the roles of a pool with many members, while new users come (roles.go);
//   - many new users at once (arrivals.go).
//
// `make bench-manager` runs it and writes the tables into docs/benchmarks-manager.md, which
// explains them. `make bench` measures the webhook.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"lightrun.com/scim-operator/test/bench/internal/report"
)

// command is the make target; docs/benchmarks-manager.md names it.
const command = "make bench-manager"

// options contains the values of the flags, and assets.
type options struct {
	sizes    []int         // numbers of users to restart the manager with; they never decrease
	members  int           // members of the pool whose roles change; 0 skips this measurement
	group    int           // members of the large group; 0 skips this measurement
	arrivals int           // users that are created at once; 0 skips this measurement
	rate     int           // users created a second; 0 skips this measurement
	duration time.Duration // how long users are created at that rate
	limit    time.Duration // of setting up and measuring
	assets   string        // folder with the programs of the control plane; KUBEBUILDER_ASSETS sets it, not a flag
	out      string        // the file to write the tables into; "" writes none
	profiles string        // folder for profiles of the manager; "" writes none
}

func main() { report.Main(command, run) }

func run(ctx context.Context, args []string) error {
	o, err := parse(args)
	if err != nil {
		return err
	}
	if err := report.Prepare(o.out, command); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, o.limit, fmt.Errorf("--limit: setting up and measuring took longer than %s", o.limit))
	defer cancel()
	dir, err := os.MkdirTemp("", "scim-bench-manager-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	s, err := setUp(ctx, o, dir)
	if err != nil {
		return err
	}
	err = s.measureAll(ctx)
	if err != nil && ctx.Err() != nil {
		err = errors.Join(context.Cause(ctx), err)
	}
	return errors.Join(err, s.env.Stop())
}

func parse(args []string) (options, error) {
	o := options{assets: report.Assets()}
	f := flag.NewFlagSet(command, flag.ContinueOnError)
	sizes := f.String("sizes", "1000,10000,100000", "numbers of users to restart with, ascending; empty for none")
	f.IntVar(&o.members, "members", 10_000, "members of the pool whose roles change; 0 leaves that out")
	f.IntVar(&o.group, "group", 10_000, "members of a group that is pushed; 0 leaves that out")
	f.IntVar(&o.arrivals, "arrivals", 10_000, "users that arrive at once; 0 leaves that out")
	f.IntVar(&o.rate, "rate", 20, "pushes a second; 0 leaves them out")
	f.DurationVar(&o.duration, "duration", time.Minute, "how long pushes come at that rate")
	f.DurationVar(&o.limit, "limit", 20*time.Minute, "how long the whole run may take")
	f.StringVar(&o.out, "out", filepath.Join("docs", "benchmarks-manager.md"), "page to write the tables into; empty for none")
	f.StringVar(&o.profiles, "profiles", "", "folder for profiles of the manager's memory and processor time; empty for none")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	var err error
	if o.sizes, err = report.Sizes(*sizes, 10); err != nil {
		return o, err
	}
	if o.members < 0 || o.group < 0 || o.arrivals < 0 || o.rate < 0 || o.duration <= 0 {
		return o, errors.New("--members, --group, --arrivals and --rate must not be negative, and --duration must be positive")
	}
	if o.group > maxMembers {
		return o, fmt.Errorf("--group must be at most %d, the largest group that is pushed in one request", maxMembers)
	}
	return o, nil
}
