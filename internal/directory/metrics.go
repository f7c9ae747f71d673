package directory

import "github.com/prometheus/client_golang/prometheus"

// Collector shows how many objects the cache holds.
func Collector(d *Directory) prometheus.Collector { return collector{d} }

type collector struct{ directory *Directory }

func (c collector) Describe(ch chan<- *prometheus.Desc) { prometheus.DescribeByCollect(c, ch) }

func (c collector) Collect(ch chan<- prometheus.Metric) {
	people, pools := c.directory.Sizes()
	objects := prometheus.NewDesc("scim_directory_objects", "Objects in the watch cache, by kind.", []string{"kind"}, nil)
	ch <- prometheus.MustNewConstMetric(objects, prometheus.GaugeValue, float64(people), "ScimUser")
	ch <- prometheus.MustNewConstMetric(objects, prometheus.GaugeValue, float64(pools), "AgentPool")
}
