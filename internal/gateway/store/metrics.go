// SPDX-License-Identifier: Apache-2.0

package store

import (
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Collector exports the number of objects in the cache, and how far the cache is behind.
func Collector(d *Directory) prometheus.Collector { return collector{d} }

type collector struct{ directory *Directory }

func (c collector) Describe(ch chan<- *prometheus.Desc) { prometheus.DescribeByCollect(c, ch) }

func (c collector) Collect(ch chan<- prometheus.Metric) {
	c.directory.lag.Collect(ch)
	watched := prometheus.NewDesc("scim_directory_watched_timestamp_seconds", "When the watch last delivered an event, in seconds since 1970, by kind.", []string{"kind"}, nil)
	for kind, at := range map[string]int64{
		"ScimUser": c.directory.users.lag.watched.Load(), "ScimGroup": c.directory.groups.lag.watched.Load(),
		"ScimGroupSlice": c.directory.slices.lag.watched.Load(), "AgentPool": c.directory.pools.lag.watched.Load(),
	} {
		if at != 0 {
			ch <- prometheus.MustNewConstMetric(watched, prometheus.GaugeValue, float64(at), kind)
		}
	}
	objects := prometheus.NewDesc("scim_directory_objects", "Objects in the watch cache, by kind.", []string{"kind"}, nil)
	for kind, n := range map[string]int{
		"ScimUser": c.directory.users.len(), "ScimGroup": c.directory.groups.len(),
		"ScimGroupSlice": c.directory.slices.len(), "AgentPool": c.directory.pools.len(),
	} {
		ch <- prometheus.MustNewConstMetric(objects, prometheus.GaugeValue, float64(n), kind)
	}
}

// lag measures the time from when this replica knew of a version, by its own write or a live read,
// until the watch delivered it. The table's lock protects it, except watched.
type lag struct {
	ahead   []ahead             // versions that the watch has not delivered yet, in the order in which they became known
	seconds prometheus.Observer // nil if nothing observes the lag
	watched atomic.Int64        // when the watch last delivered an event, in Unix seconds
}

// ahead is a version that is known before the watch delivered it.
type ahead struct {
	version uint64
	since   time.Time
}

// mostAhead is the most versions that are measured at a time; the others are not measured.
const mostAhead = 1024

// known records a version that the watch, which has reached seen, has not delivered yet.
func (l *lag) known(version, seen uint64) {
	if l.seconds != nil && version > seen && len(l.ahead) < mostAhead {
		l.ahead = append(l.ahead, ahead{version, time.Now()})
	}
}

// came records how far the watch has come.
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
