// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// progress shows the current work, the time so far and an estimate of the rest. On a terminal it
// updates one line; elsewhere it prints a new line every 15 seconds.
type progress struct {
	what  string
	total int // packages to compile at most; 0 if not known
	begun time.Time
	count atomic.Int64
	stop  chan struct{}
	ended sync.WaitGroup
}

func newProgress(what string, total int) *progress {
	p := &progress{what: what, total: total, begun: time.Now(), stop: make(chan struct{})}
	terminal := onTerminal()
	every := 15 * time.Second
	if terminal {
		every = time.Second
	}
	p.ended.Go(func() { p.show(every, terminal) })
	return p
}

func (p *progress) step() { p.count.Add(1) }

func (p *progress) done() {
	close(p.stop)
	p.ended.Wait()
}

func (p *progress) show(every time.Duration, terminal bool) {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			if terminal {
				fmt.Fprintf(os.Stderr, "\r\x1b[Kcontrol plane: %s", p.line(time.Since(p.begun)))
			} else {
				say("%s", p.line(time.Since(p.begun)))
			}
		case <-p.stop:
			if terminal {
				fmt.Fprint(os.Stderr, "\r\x1b[K")
			}
			say("%s: done in %s", p.what, time.Since(p.begun).Round(time.Second))
			return
		}
	}
}

// line returns the state after elapsed, such as
// "building kube-apiserver: 812 of 2031 packages, 3m20s, at most 5m0s more".
func (p *progress) line(elapsed time.Duration) string {
	count := int(p.count.Load())
	spent := elapsed.Round(time.Second)
	switch {
	case p.total == 0:
		return fmt.Sprintf("%s: %s", p.what, spent)
	case count >= p.total-1:
		return fmt.Sprintf("%s: linking, %s", p.what, spent)
	case count < 20:
		return fmt.Sprintf("%s: %d of at most %d packages, %s", p.what, count, p.total, spent)
	}
	left := time.Duration(float64(elapsed) / float64(count) * float64(p.total-count))
	return fmt.Sprintf("%s: %d of at most %d packages, %s, at most %s more", p.what, count, p.total, spent, atLeastTenSeconds(left))
}

func atLeastTenSeconds(d time.Duration) time.Duration {
	return max(d.Round(10*time.Second), 10*time.Second)
}

func onTerminal() bool {
	info, err := os.Stderr.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0 && os.Getenv("TERM") != "dumb" && os.Getenv("CI") == ""
}
