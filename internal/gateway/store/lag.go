// SPDX-License-Identifier: Apache-2.0

package store

import (
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// lag measures how far the watch is behind what this replica knows already: its own writes and its
// live reads of others'. It is guarded by the table's lock, but for watched.
type lag struct {
	ahead   []ahead             // versions that the watch has yet to bring, in the order in which they became known
	seconds prometheus.Observer // nil for nobody who looks
	watched atomic.Int64        // when the watch last brought news, in seconds since 1970
}

// ahead is a version that is known before the watch brought it.
type ahead struct {
	version uint64
	since   time.Time
}

// mostAhead bounds what is measured at a time; beyond it, some are not.
const mostAhead = 1024

// known notes a version that the watch, which has come to seen, has yet to bring.
func (l *lag) known(version, seen uint64) {
	if l.seconds != nil && version > seen && len(l.ahead) < mostAhead {
		l.ahead = append(l.ahead, ahead{version, time.Now()})
	}
}

// came notes how far the watch has come.
func (l *lag) came(version uint64) {
	now := time.Now()
	l.watched.Store(now.Unix())
	rest := l.ahead[:0]
	for _, a := range l.ahead {
		if a.version > version {
			rest = append(rest, a)
			continue
		}
		l.seconds.Observe(now.Sub(a.since).Seconds())
	}
	l.ahead = rest
}

func newLagHistogram() *prometheus.HistogramVec {
	return prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name:    "scim_directory_lag_seconds",
		Help:    "Time from when this replica knew of a version, by its own write or a live read, to the version's event in its watch cache.",
		Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 10, 60},
	}, []string{"kind"})
}
