// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"lightrun.com/scim-operator/test/bench/internal/report"
)

// median returns the middle value and the spread of the rounds: (largest - smallest) / median.
func median[T cmp.Ordered](values []T) T {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}

func of[T any](s *series, get func(sample) T) []T {
	out := make([]T, len(s.samples))
	for i, x := range s.samples {
		out[i] = get(x)
	}
	return out
}

func (s *series) rate() float64 { return median(of(s, sample.rate)) }

func (s *series) spread() float64 {
	rates := of(s, sample.rate)
	if s.rate() == 0 {
		return 0
	}
	return (slices.Max(rates) - slices.Min(rates)) / s.rate()
}

// cost returns the processor time of the servers for one request.
func (s *series) cost() (webhook, control time.Duration) {
	return median(of(s, func(x sample) time.Duration { return x.per(x.webhook) })), median(of(s, func(x sample) time.Duration { return x.per(x.control) }))
}

func rateText(s *series) string {
	switch {
	case s == nil || len(s.samples) == 0:
		return "–"
	case s.samples[0].tooSlow:
		return fmt.Sprintf("< %.2f", 1/s.samples[0].deadline.Seconds())
	}
	switch r := s.rate(); {
	case r >= 100:
		return fmt.Sprintf("%.0f", r)
	case r >= 1:
		return fmt.Sprintf("%.1f", r)
	default:
		return fmt.Sprintf("%.3f", r)
	}
}

// ratio returns our rate divided by another side's.
func ratio(r row, side string) string {
	theirs, ours := r.sides[side], r.sides[sideOurs]
	if theirs == nil || ours == nil || len(theirs.samples) == 0 {
		return "–"
	}
	if theirs.samples[0].tooSlow {
		return fmt.Sprintf("> %.0f", ours.rate()*theirs.samples[0].deadline.Seconds())
	}
	x := ours.rate() / theirs.rate()
	if x >= 10 {
		return fmt.Sprintf("%.0f", x)
	}
	return fmt.Sprintf("%.2f", x)
}

// markdown returns the whole result: place and time, one table for each size, and the cost of a
// request from size to size.
func (r *results) markdown() string {
	var b strings.Builder
	r.head(&b)
	for _, at := range r.sizes {
		at.table(&b)
	}
	r.growth(&b)
	r.servers(&b)
	r.memory(&b)
	return b.String()
}

func (r *results) head(b *strings.Builder) {
	fmt.Fprintf(b, "Measured %s, commit `%s`, on %s. Each side %d times %s alternately, %d requests at a time; the median counts; ± is the spread of the rounds.\n",
		time.Now().UTC().Format("2006-01-02 15:04 UTC"), report.Commit(), report.Machine(), r.rounds, r.slot, r.workers)
	if r.node != nil {
		fmt.Fprintf(b, "\nSCIMMY was not measured: %v.\n", r.node)
	}
}

func (at sized) table(b *strings.Builder) {
	fmt.Fprintf(b, "\n### %d people\n\n", at.people)
	fmt.Fprintf(b, "| requests a second | %s | ± | p50 | p99 |", sideOurs)
	for _, side := range columns()[1:] {
		fmt.Fprintf(b, " %s | ours ÷ |", side)
	}
	fmt.Fprintf(b, "\n|---|%s\n", strings.Repeat("---:|", 4+2*len(columns()[1:])))
	for _, row := range at.rows {
		ours := row.sides[sideOurs]
		fmt.Fprintf(b, "| %s | %s | %.0f %% | %s | %s |", row.name, rateText(ours), 100*ours.spread(),
			milliseconds(median(of(ours, func(s sample) time.Duration { return s.quantile(.5) }))),
			milliseconds(median(of(ours, func(s sample) time.Duration { return s.quantile(.99) }))))
		for _, side := range columns()[1:] {
			fmt.Fprintf(b, " %s | %s |", rateText(row.sides[side]), ratio(row, side))
		}
		fmt.Fprintln(b)
	}
}

func milliseconds(d time.Duration) string {
	if d >= time.Second {
		return fmt.Sprintf("%.1f s", d.Seconds())
	}
	return fmt.Sprintf("%.1f ms", float64(d.Microseconds())/1000)
}

// names returns the measured operations in the order of the tables. Not every size has all of them.
func (r *results) names() []string {
	var names []string
	for _, at := range r.sizes {
		for _, row := range at.rows {
			if !slices.Contains(names, row.name) {
				names = append(names, row.name)
			}
		}
	}
	return names
}

// side returns one side of one operation at one size, or nil if it was not measured.
func (at sized) side(name, side string) *series {
	for _, row := range at.rows {
		if row.name == name {
			return row.sides[side]
		}
	}
	return nil
}

// growth compares the processor time of a request at each size. Unlike a rate, it hardly depends on
// other load on the machine.
func (r *results) growth(b *strings.Builder) {
	fmt.Fprint(b, "\n### Processor time for one request\n\n| webhook, and with API server and etcd |")
	for _, at := range r.sizes {
		fmt.Fprintf(b, " %d people |", at.people)
	}
	fmt.Fprintf(b, " largest ÷ smallest | client-go: API server and etcd |\n|---|%s\n", strings.Repeat("---:|", len(r.sizes)+2))
	for _, name := range r.names() {
		fmt.Fprintf(b, "| %s |", name)
		whole := make([]time.Duration, len(r.sizes))
		for i, at := range r.sizes {
			of := at.side(name, sideOurs)
			if of == nil {
				fmt.Fprint(b, " – |")
				continue
			}
			webhook, control := of.cost()
			whole[i] = webhook + control
			fmt.Fprintf(b, " %s, %s |", milliseconds2(webhook), milliseconds2(whole[i]))
		}
		grown, raw := "–", "–"
		if first, last := whole[0], whole[len(whole)-1]; first > 0 && last > 0 {
			grown = fmt.Sprintf("%.2f", float64(last)/float64(first))
		}
		if of := r.sizes[len(r.sizes)-1].side(name, sideRaw); of != nil {
			_, control := of.cost()
			raw = milliseconds2(control)
		}
		fmt.Fprintf(b, " %s | %s |\n", grown, raw)
	}
}

// servers compares the processor time of the servers themselves, without the client on the same
// machine.
func (r *results) servers(b *strings.Builder) {
	names := []string{sideOurs, sidePrepared, sideElimity, sideSCIMMY}
	fmt.Fprintf(b, "\n### Processor time of the server alone, for one read\n\n| | %s |\n|---|%s\n", strings.Join(names, " | "), strings.Repeat("---:|", len(names)))
	for _, at := range r.sizes {
		for _, row := range at.rows {
			if row.sides[sidePrepared] == nil {
				continue
			}
			fmt.Fprintf(b, "| %s, %d people |", row.name, at.people)
			for _, name := range names {
				text := "–"
				if of := row.sides[name]; of != nil && len(of.samples) > 0 && !of.samples[0].tooSlow {
					own, _ := of.cost()
					text = milliseconds2(own)
				}
				fmt.Fprintf(b, " %s |", text)
			}
			fmt.Fprintln(b)
		}
	}
}

func milliseconds2(d time.Duration) string {
	if d >= time.Second {
		return fmt.Sprintf("%.1f s", d.Seconds())
	}
	return fmt.Sprintf("%.2f ms", float64(d.Microseconds())/1000)
}

func (r *results) memory(b *strings.Builder) {
	fmt.Fprint(b, "\n### The webhook's start and memory\n\n| people | ready after | resident | Go heap in use |\n|---:|---:|---:|---:|\n")
	for _, at := range r.sizes {
		fmt.Fprintf(b, "| %d | %s | %d MiB | %.0f MiB |\n", at.people, milliseconds(at.started), at.resident>>20, at.heap/(1<<20))
	}
}
