// SPDX-License-Identifier: Apache-2.0

package api

import (
	"context"
	"fmt"
	"net/http"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"

	"lightrun.com/scim-operator/internal/kernel/portalapi"
	"lightrun.com/scim-operator/internal/kernel/requestid"
)

// observation collects facts about a request while it is served.
type observation struct {
	id    string
	code  portalapi.Code
	fault error
}

func observed(ctx context.Context) *observation {
	o, _ := ctx.Value(observationKey).(*observation)
	return o
}

func requestID(ctx context.Context) string {
	if o := observed(ctx); o != nil {
		return o.id
	}
	return ""
}

type metrics struct {
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	refusals *prometheus.CounterVec
}

func newMetrics(registry *prometheus.Registry) metrics {
	m := metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "portal_http_requests_total", Help: "Requests by route and status."}, []string{"route", "status"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "portal_http_request_duration_seconds", Help: "Time to answer by route.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 30}}, []string{"route"}),
		refusals: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "portal_http_refusals_total", Help: "Refused requests by code."}, []string{"code"}),
	}
	registry.MustRegister(m.requests, m.seconds, m.refusals)
	return m
}

// statusWriter records the status.
type statusWriter struct {
	http.ResponseWriter
	status int
}

func (w *statusWriter) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *statusWriter) Write(b []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	return w.ResponseWriter.Write(b)
}

// Unwrap gives http.ResponseController access to the wrapped writer.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// observe gives each request an id, counts it, logs its errors and recovers from a panic.
func observe(next http.Handler, log logr.Logger, m metrics) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		o := &observation{id: requestid.Of(r.Header)}
		w.Header().Set(requestid.Header, o.id)
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		sw := &statusWriter{ResponseWriter: w}
		began := time.Now()
		r = r.WithContext(context.WithValue(r.Context(), observationKey, o))
		defer func() {
			if p := recover(); p != nil {
				log.Error(fmt.Errorf("panic: %v", p), "Request panicked", "request", o.id, "stack", string(debug.Stack()))
				failed(sw, r, fmt.Errorf("panic: %v", p))
				o.fault = nil
			}
			m.done(r.Pattern, sw.status, o, time.Since(began))
			if o.fault != nil {
				log.Error(o.fault, "Request failed", "request", o.id, "route", r.Pattern)
			}
			log.V(1).Info("Request served", "request", o.id, "route", r.Pattern, "status", sw.status, "code", o.code, "took", time.Since(began).String())
		}()
		next.ServeHTTP(sw, r)
	})
}

func (m metrics) done(route string, status int, o *observation, took time.Duration) {
	if route == "" {
		route = "none"
	}
	m.requests.WithLabelValues(route, strconv.Itoa(status)).Inc()
	m.seconds.WithLabelValues(route).Observe(took.Seconds())
	if o.code != "" {
		m.refusals.WithLabelValues(string(o.code)).Inc()
	}
}
