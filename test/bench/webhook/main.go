// SPDX-License-Identifier: Apache-2.0

// Command bench compares the SCIM webhook, as a process in front of a real API server and etcd,
// with:
//
//   - client-go, which makes the webhook's calls to the API server for the same request (raw.go);
//   - net/http, which sends the same bytes, prepared in advance (prepared.go);
//   - two SCIM servers with stores in memory: elimity-com/scim (elimity.go), and SCIMMY with its
//     routers (scimmy/).
//
// All sides answer the same requests of the same client on one machine, alternately, in several
// rounds. `make bench` runs it and writes the tables into docs/benchmarks.md, which explains them.
// Users are seeded directly into etcd (test/bench/internal/seed), because creating a hundred
// thousand through the API takes longer than everything else.
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

// command is the name of this command in the page.
const command = "make bench"

// options are the flags.
type options struct {
	sizes   []int
	rounds  int
	slot    time.Duration // time for which one side is measured at once
	limit   time.Duration // of the whole run
	workers int
	large   int // members of a large group
	largest int // members of the largest group, which is created by several requests
	peers   bool
	assets  string
	out     string // the page to write; "" if there is none
	only    string // measure only operations whose name contains this
}

func main() { report.Main(command, run) }

func run(ctx context.Context, args []string) error {
	if len(args) == 2 && args[0] == "serve-prepared" {
		return servePrepared(ctx, args[1])
	}
	if len(args) == 2 && args[0] == "serve-elimity" {
		return serveElimity(ctx, args[1])
	}
	o, err := parse(args)
	if err != nil {
		return err
	}
	if err := report.Prepare(o.out, command); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, o.limit)
	defer cancel()
	dir, err := os.MkdirTemp("", "scim-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	s, err := setUp(ctx, o, dir)
	if err != nil {
		return err
	}
	return errors.Join(s.runAll(ctx), s.tearDown())
}

func parse(args []string) (options, error) {
	o := options{assets: report.Assets()}
	f := flag.NewFlagSet(command, flag.ContinueOnError)
	sizes := f.String("sizes", "1000,10000,100000", "numbers of people, ascending")
	f.IntVar(&o.rounds, "rounds", 3, "how often each side is measured; the median counts")
	f.DurationVar(&o.slot, "slot", 2*time.Second, "how long each side is measured at a time")
	f.DurationVar(&o.limit, "limit", time.Hour, "how long the whole run may take")
	f.IntVar(&o.workers, "workers", 8, "requests under way at a time")
	f.IntVar(&o.large, "large", 10_000, "members of the large group")
	f.IntVar(&o.largest, "largest", 100_000, "members of the largest group, measured if there are as many users")
	f.BoolVar(&o.peers, "peers", true, "measure the other SCIM servers too; SCIMMY needs node and npm")
	f.StringVar(&o.out, "out", filepath.Join("docs", "benchmarks.md"), "page to write the tables into; empty for none")
	f.StringVar(&o.only, "only", "", "measure only operations whose name holds this")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	var err error
	if o.sizes, err = report.Sizes(*sizes, minPeople); err != nil {
		return o, err
	}
	if o.rounds < 1 || o.workers < 1 || o.slot <= 0 || o.large < 1 || o.largest < 1 {
		return o, errors.New("--rounds, --workers, --large, --largest and --slot must be positive")
	}
	if max(o.large, o.largest) > maxMembers {
		return o, fmt.Errorf("--large and --largest must be at most %d, the largest group that is pushed in one request", maxMembers)
	}
	return o, nil
}
