// SPDX-License-Identifier: Apache-2.0

package store

import (
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// lag measures the time between this replica's own write or live read of a version and the watch
// event of that version. The table's lock protects all fields except watched.
type lag struct {
	ahead   []ahead             // versions that the watch has not delivered yet, in the order in which they became known
	seconds prometheus.Observer // nil if the time is not observed
	watched atomic.Int64        // time of the last watch event, in Unix seconds
}

// ahead is a version that is known before the watch delivered it.
type ahead struct {
	version uint64
	since   time.Time
}

// maxAhead is the maximum number of versions that are measured at a time. Others are not measured.
const maxAhead = 1024

// known records a version that the watch, which has reached seen, has not delivered yet.
func (l *lag) known(version, seen uint64) {
	if l.seconds != nil && version > seen && len(l.ahead) < maxAhead {
		l.ahead = append(l.ahead, ahead{version, time.Now()})
	}
}

// came records the version up to which the watch has delivered events.
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
