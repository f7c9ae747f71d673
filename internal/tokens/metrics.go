package tokens

import "github.com/prometheus/client_golang/prometheus"

// Collector shows how many tokens are accepted, and when each that expires does, so that an alert can come ahead of it.
func Collector(s *Set) prometheus.Collector { return collector{s} }

type collector struct{ set *Set }

func known() *prometheus.Desc {
	return prometheus.NewDesc("scim_tokens", "Bearer tokens that are known.", nil, nil)
}

func expiry() *prometheus.Desc {
	return prometheus.NewDesc("scim_token_expiry_seconds", "When a bearer token stops to work, in seconds since 1970.", []string{"token", "digest"}, nil)
}

func (c collector) Describe(ch chan<- *prometheus.Desc) {
	ch <- known()
	ch <- expiry()
}

func (c collector) Collect(ch chan<- prometheus.Metric) {
	ch <- prometheus.MustNewConstMetric(known(), prometheus.GaugeValue, float64(c.set.Len()))
	for _, e := range c.set.All() {
		if !e.Expires.IsZero() {
			ch <- prometheus.MustNewConstMetric(expiry(), prometheus.GaugeValue, float64(e.Expires.Unix()), e.Name, e.Digest[:8])
		}
	}
}
