// SPDX-License-Identifier: Apache-2.0

// Package metered measures the calls to the portal: their number, outcome and duration.
package metered

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"lightrun.com/scim-operator/internal/kernel/portalapi"
	"lightrun.com/scim-operator/internal/operator/portalclient/hook"
)

// NewHistogram returns the metric that New records: seconds per call, by method of the port and
// outcome. The outcome is OK, the portal's error code, or NO_ANSWER. Long polls of the change feed
// are counted under Changes and take long.
func NewHistogram() *prometheus.HistogramVec {
	return prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name:    "scim_portal_call_duration_seconds",
		Help:    "Calls to the Management Portal, by method and outcome (OK, an error code, or NO_ANSWER).",
		Buckets: []float64{.002, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30},
	}, []string{"method", "outcome"})
}

// New returns a client that records the calls to c in h.
func New(c portalapi.Client, h prometheus.ObserverVec) portalapi.Client {
	return hook.New(c, func(_ context.Context, method string, call func() error) error {
		began := time.Now()
		err := call()
		outcome := "OK"
		if err != nil {
			if outcome = string(portalapi.CodeOf(err)); outcome == "" {
				outcome = "NO_ANSWER"
			}
		}
		h.WithLabelValues(method, outcome).Observe(time.Since(began).Seconds())
		return err
	})
}
