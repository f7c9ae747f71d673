// SPDX-License-Identifier: Apache-2.0

package tokens

import "github.com/prometheus/client_golang/prometheus"

// Collector exports the number of tokens, the expiry of each, so that an alert can precede it, and
// the last use of each, so that unused tokens are visible. Expired tokens are included. Tokens are
// identified by name and by the first digits of their digest.
func Collector(s *Set) prometheus.Collector { return collector{s} }

type collector struct{ set *Set }

func known() *prometheus.Desc {
	return prometheus.NewDesc("scim_tokens", "Number of known bearer tokens.", nil, nil)
}

func expiry() *prometheus.Desc {
	return prometheus.NewDesc("scim_token_expiry_timestamp_seconds", "When a bearer token expires, in seconds since 1970.", []string{"token", "digest"}, nil)
}

func lastUsed() *prometheus.Desc {
	return prometheus.NewDesc("scim_token_last_used_timestamp_seconds", "When this replica last accepted a bearer token, in seconds since 1970.", []string{"token", "digest"}, nil)
}

func (c collector) Describe(ch chan<- *prometheus.Desc) {
	ch <- known()
	ch <- expiry()
	ch <- lastUsed()
}

func (c collector) Collect(ch chan<- prometheus.Metric) {
	ch <- prometheus.MustNewConstMetric(known(), prometheus.GaugeValue, float64(c.set.Len()))
	for _, u := range c.set.All() {
		labels := []string{u.Name, u.Digest[:8]}
		if !u.Expires.IsZero() {
			ch <- prometheus.MustNewConstMetric(expiry(), prometheus.GaugeValue, float64(u.Expires.Unix()), labels...)
		}
		if !u.LastUsed.IsZero() {
			ch <- prometheus.MustNewConstMetric(lastUsed(), prometheus.GaugeValue, float64(u.LastUsed.Unix()), labels...)
		}
	}
}
