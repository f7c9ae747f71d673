// SPDX-License-Identifier: Apache-2.0

package jwt

import "github.com/prometheus/client_golang/prometheus"

// Describe implements prometheus.Collector.
func (v *Verifier) Describe(ch chan<- *prometheus.Desc) {
	ch <- lastUsed()
	ch <- lastRead()
}

func lastUsed() *prometheus.Desc {
	return prometheus.NewDesc("scim_jwt_last_used_timestamp_seconds", "When this replica last accepted a JWT of the issuer, in seconds since 1970.", []string{"issuer"}, nil)
}

func lastRead() *prometheus.Desc {
	return prometheus.NewDesc("scim_jwt_keys_read_timestamp_seconds", "When this replica last read the keys of an issuer of JWTs, in seconds since 1970.", []string{"issuer"}, nil)
}

// Collect implements prometheus.Collector. It shows the issuers whose tokens arrived since the
// start.
func (v *Verifier) Collect(ch chan<- prometheus.Metric) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, k := range v.keys {
		if at := k.used.Load(); at != 0 {
			ch <- prometheus.MustNewConstMetric(lastUsed(), prometheus.GaugeValue, float64(at), k.issuer.URL)
		}
		k.mu.Lock()
		read := k.read
		k.mu.Unlock()
		if !read.IsZero() {
			ch <- prometheus.MustNewConstMetric(lastRead(), prometheus.GaugeValue, float64(read.Unix()), k.issuer.URL)
		}
	}
}
