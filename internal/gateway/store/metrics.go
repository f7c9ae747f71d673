// SPDX-License-Identifier: Apache-2.0

package store

import "github.com/prometheus/client_golang/prometheus"

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
