// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"lightrun.com/scim-operator/test/bench/internal/report"
)

// results are all measurements of a run; nil ones were not made.
type results struct {
	restarts []restarted
	granted  *granted
	pushed   *pushed
	group    *group
	arrived  *arrived
}

// measureAll grows the company from size to size. It measures roles, steady creations, a group and
// many new users at the first size with enough members.
func (s *suite) measureAll(ctx context.Context) error {
	var out results
	begun := time.Now()
	keep := func(what string, err error) error {
		if err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		if s.out == "" {
			return nil
		}
		return report.Write(s.out, command, out.markdown()) // after each part: a run that is ended by its limit leaves what it has
	}
	for i, n := range s.sizes {
		r, err := s.restarts(ctx, n)
		out.restarts = append(out.restarts, r)
		if err := keep(fmt.Sprintf("restart with %d users", n), err); err != nil {
			return err
		}
		if out.pushed != nil || n < s.members && i < len(s.sizes)-1 {
			continue
		}
		if err := s.measureChanges(ctx, &out, keep); err != nil {
			return err
		}
	}
	if len(s.sizes) == 0 {
		if err := s.measureChanges(ctx, &out, keep); err != nil {
			return err
		}
	}
	fmt.Printf("\nMeasured in %s\n\n%s", time.Since(begun).Round(time.Second), out.markdown())
	return nil
}

func (s *suite) measureChanges(ctx context.Context, out *results, keep func(string, error) error) error {
	if s.rate > 0 {
		p, err := s.steady(ctx)
		out.pushed = &p
		if err := keep("steady pushes", err); err != nil {
			return err
		}
	}
	if s.group > 0 {
		g, err := s.pushGroup(ctx)
		out.group = &g
		if err := keep("a pushed group", err); err != nil {
			return err
		}
	}
	if s.members > 0 {
		g, err := s.grantRole(ctx)
		out.granted = &g
		if err := keep("a pool's role change", err); err != nil {
			return err
		}
	}
	if s.arrivals > 0 {
		a, err := s.arrive(ctx)
		out.arrived = &a
		if err := keep("arrivals", err); err != nil {
			return err
		}
	}
	return nil
}

func (r *results) markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "Measured %s, commit `%s`, on %s.\n", time.Now().UTC().Format("2006-01-02 15:04 UTC"), report.Commit(), report.Machine())
	if len(r.restarts) > 0 {
		r.restartTable(&b)
	}
	if r.pushed != nil || r.group != nil || r.granted != nil || r.arrived != nil {
		fmt.Fprint(&b, "\n### Changes\n\n| | measured | goal |\n|---|---|---|\n")
	}
	if p := r.pushed; p != nil {
		fmt.Fprintf(&b, "| %d pushes, steady, with %d users: push to roles in force | p50 %s, p99 %s, slowest %s | p99 under 250 ms |\n", p.count, p.users,
			milliseconds(quantile(p.effective, .5)), milliseconds(quantile(p.effective, .99)), milliseconds(quantile(p.effective, 1)))
		fmt.Fprintf(&b, "| of that, until the webhook answered | p50 %s, p99 %s | |\n", milliseconds(quantile(p.answers, .5)), milliseconds(quantile(p.answers, .99)))
	}
	if g := r.group; g != nil {
		fmt.Fprintf(&b, "| a group of %d pushed, which no pool names: answered | %s | |\n", g.members, milliseconds(g.answered))
		fmt.Fprintf(&b, "| its members in its own pool in the portal | %s | |\n", seconds(g.inPortal))
		fmt.Fprintf(&b, "| shown by every member's status | %s | |\n", seconds(g.shown))
		fmt.Fprintf(&b, "| writes to the portal; to the API server | %s; %s | |\n", g.calls, g.writes)
	}
	if g := r.granted; g != nil {
		fmt.Fprintf(&b, "| a role for a pool of %d: in force in the portal | %s | |\n", g.members, milliseconds(g.inPortal))
		fmt.Fprintf(&b, "| shown by every member's status | %s | |\n", seconds(g.shown))
		fmt.Fprintf(&b, "| writes to the portal, with %d pushes meanwhile | %s | one for the pool, one a push |\n", g.meanwhile.count, g.calls)
		fmt.Fprintf(&b, "| push to roles in force meanwhile | p50 %s, p99 %s | as without |\n", milliseconds(quantile(g.meanwhile.effective, .5)), milliseconds(quantile(g.meanwhile.effective, .99)))
	}
	if a := r.arrived; a != nil {
		fmt.Fprintf(&b, "| %d new users: pushed after | %s, %.0f a second | |\n", a.count, seconds(a.pushes), float64(a.count)/a.pushes.Seconds())
		fmt.Fprintf(&b, "| all Ready after | %s, %.2f times as long | 1.2 times |\n", seconds(a.ready), a.ratio())
		fmt.Fprintf(&b, "| writes to the portal; to the API server | %s; %s | |\n", a.calls, a.writes)
	}
	return b.String()
}

func (r *results) restartTable(b *strings.Builder) {
	fmt.Fprint(b, "\n### Restart\n\n| users | ready after | all passes done after | passes | processor time | writes to the API server | calls to the portal | resident | reachable | reachable per user |\n")
	fmt.Fprintf(b, "|%s---|---|---:|---:|---:|\n", strings.Repeat("---:|", 5))
	for i, at := range r.restarts {
		per := "–"
		if i > 0 { // the increase per user; it does not include the size of the program itself
			before := r.restarts[i-1]
			per = fmt.Sprintf("%.0f B", (at.heap-before.heap)/float64(at.users-before.users))
		}
		fmt.Fprintf(b, "| %d | %s | %s | %.0f | %s | %s | %s | %d MiB | %.0f MiB | %s |\n", at.users, seconds(at.ready), seconds(at.passed), at.passes, seconds(at.processor),
			at.writes, at.calls, at.resident>>20, at.heap/(1<<20), per)
	}
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.1f s", d.Seconds()) }

func milliseconds(d time.Duration) string {
	return fmt.Sprintf("%.0f ms", float64(d.Microseconds())/1000)
}
