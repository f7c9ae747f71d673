// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"lightrun.com/scim-operator/test/bench/internal/report"
	"lightrun.com/scim-operator/test/framework/devenv"
)

// maxForSCIMMY is the maximum size at which SCIMMY is measured: it creates an instance of every
// user for each list request, which takes minutes at larger sizes.
const maxForSCIMMY = 10_000

// columns returns all sides, in the order of the tables.
func columns() []string { return []string{sideOurs, sideRaw, sidePrepared, sideElimity, sideSCIMMY} }

// results are all measurements of a run.
type results struct {
	options
	node  error
	sizes []sized
}

// sized contains the measurements at one number of users.
type sized struct {
	people   int
	started  time.Duration // until the webhook was ready
	resident int64         // memory of the webhook then, in bytes
	heap     float64       // of that, Go's heap
	rows     []row
}

// row is one operation.
type row struct {
	name  string
	sides map[string]*series
}

func (s *suite) wanted(name string) bool { return strings.Contains(name, s.only) }

func (s *suite) runAll(ctx context.Context) error {
	out := &results{options: s.options, node: s.node}
	for _, n := range s.sizes {
		at, err := s.runSize(ctx, n)
		if err != nil {
			return fmt.Errorf("at %d people: %w", n, err)
		}
		out.sizes = append(out.sizes, at)
		if s.out == "" {
			continue
		}
		if err := report.Write(s.out, command, out.markdown()); err != nil { // after each size: a run that is ended by its limit leaves what it has
			return err
		}
	}
	fmt.Println("\n" + out.markdown())
	return nil
}

func (s *suite) runSize(ctx context.Context, n int) (out sized, err error) {
	out.people = n
	if out.started, err = s.populate(ctx, n); err != nil {
		return out, err
	}
	if pid, err := s.env.PID(devenv.Webhook); err == nil {
		out.resident = report.Resident(pid)
	}
	out.heap = s.metric(ctx, "go_memstats_heap_inuse_bytes")
	all, stop, err := s.startSides(ctx, n)
	defer func() { err = errors.Join(err, stop()) }()
	if err != nil {
		return out, err
	}
	for _, op := range s.operations(all) {
		r, err := s.runOperation(ctx, op, all.pids)
		if err != nil {
			return out, err
		}
		out.rows = append(out.rows, r)
	}
	return out, nil
}

// startSides starts the servers to compare with.
func (s *suite) startSides(ctx context.Context, n int) (all sides, stop func() error, err error) {
	var running []*child
	stop = func() error {
		var errs []error
		for _, c := range running {
			errs = append(errs, c.stop())
		}
		return errors.Join(errs...)
	}
	all = sides{size: n, others: map[string]*scim{sideOurs: s.ours}, pids: map[string]int{}}
	if all.pids[sideOurs], err = s.env.PID(devenv.Webhook); err != nil {
		return all, stop, err
	}
	add := func(name string, c *child, err error) (string, error) {
		if err != nil {
			return "", err
		}
		running = append(running, c)
		all.pids[name] = c.pid
		return c.url, nil
	}
	c, err := s.startPrepared(ctx, n)
	url, err := add(sidePrepared, c, err)
	if err != nil {
		return all, stop, err
	}
	if all.prepared, err = newSCIM(sidePrepared, url, ""); err != nil || !s.peers {
		return all, stop, err
	}
	c, err = startElimity(ctx, n)
	if url, err = add(sideElimity, c, err); err != nil {
		return all, stop, err
	}
	if all.others[sideElimity], err = newSCIM(sideElimity, url, ""); err != nil {
		return all, stop, err
	}
	if s.node != nil || n > maxForSCIMMY {
		return all, stop, nil
	}
	c, err = s.startSCIMMY(ctx, n)
	if url, err = add(sideSCIMMY, c, err); err != nil {
		return all, stop, err
	}
	all.others[sideSCIMMY], err = newSCIM(sideSCIMMY, url, "x")
	return all, stop, err
}

// runOperation measures all sides alternately; each round begins with another side.
func (s *suite) runOperation(ctx context.Context, op operation, pids map[string]int) (row, error) {
	r := row{name: op.name, sides: map[string]*series{}}
	var names []string
	for _, name := range columns() {
		if op.sides[name] != nil {
			names = append(names, name)
			r.sides[name] = &series{}
		}
	}
	if op.prepare != nil {
		if err := op.prepare(ctx); err != nil {
			return r, fmt.Errorf("%s: prepare: %w", op.name, err)
		}
	}
	rounds := s.rounds
	if op.once {
		rounds = 1
	}
	for round := range rounds {
		for i := range names {
			name := names[(i+round)%len(names)]
			of := r.sides[name]
			if round > 0 && of.slow {
				continue
			}
			if err := s.measure(ctx, op, op.sides[name], of, pids[name]); err != nil {
				return r, err
			}
		}
	}
	fmt.Printf("  %-44s", op.name)
	for _, name := range names {
		fmt.Printf("  %s %s", name, rateText(r.sides[name]))
	}
	fmt.Println()
	return r, nil
}
