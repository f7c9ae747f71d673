// SPDX-License-Identifier: Apache-2.0

package server

import (
	"fmt"
	"net/http"
	"runtime/debug"
	"strconv"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"lightrun.com/scim-operator/internal/kernel/requestid"
	"lightrun.com/scim-operator/internal/scim"
)

// begin creates the call for a request: its id, its logger, and its configuration.
func (s *Server) begin(w http.ResponseWriter, r *http.Request) *call {
	id := requestid.Of(r.Header)
	w.Header().Set(requestid.Header, id)
	c := &call{
		Server: s, ctx: requestid.With(r.Context(), id), w: w, r: r, start: s.Now(), id: id,
		log:     s.Log.WithValues("requestId", id),
		config:  s.Configuration(),
		method:  r.Method,
		ifMatch: tags(r.Header["If-Match"]), ifNoneMatch: tags(r.Header["If-None-Match"]),
	}
	c.base = c.baseURL()
	c.trace()
	return c
}

// tags joins the lines of a header into one list (RFC 9110 §5.3).
func tags(lines []string) string { return strings.Join(lines, ",") }

// end handles a panic, writes the one log line of the request and counts it. The line contains no
// personal data: no query, no id of a user.
func (c *call) end() {
	if p := recover(); p != nil {
		c.log.Error(fmt.Errorf("panic: %v", p), "Request panicked", "stack", string(debug.Stack()))
		if c.sent {
			panic(http.ErrAbortHandler) // the client must not mistake a partial response for a complete one
		}
		c.send(errorReply(scim.Failure(http.StatusInternalServerError, "Internal error. Report the request id %s.", c.id)))
	}
	resource, operation := "None", "none"
	if c.resource != nil {
		resource = c.resource.name
	}
	if c.operation.name != "" {
		operation = c.operation.name
	}
	c.traced(operation, resource)
	took := c.Now().Sub(c.start)
	c.metrics.request(operation, resource, c.status, c.config.Provider.Type, took.Seconds())
	c.log.Info("Served", "operation", operation, "resource", resource, "status", c.status,
		"milliseconds", float64(took.Microseconds())/1000, "provider", c.config.Provider.Type, "token", c.identity.Name)
	c.log.V(1).Info("Served in detail", "method", c.method, "path", c.r.URL.Path, "query", c.r.URL.RawQuery)
}

// metrics counts the requests of the service.
type metrics struct {
	requests *prometheus.CounterVec
	duration *prometheus.HistogramVec
	quirks   *prometheus.CounterVec
	second   *prometheus.CounterVec
}

func newMetrics(r prometheus.Registerer) *metrics {
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "scim_requests_total", Help: "SCIM requests, by operation, resource type, status code and identity provider.",
		}, []string{"operation", "resource", "code", "provider"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "scim_request_duration_seconds", Help: "Time from the head of a SCIM request to the end of its response.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 10, 60},
		}, []string{"operation", "resource"}),
		quirks: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "scim_quirks_total", Help: "Requests whose deviation from the RFC was understood, by deviation.",
		}, []string{"quirk"}),
		second: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "scim_second_client_requests_total", Help: "SCIM requests of another kind of client than the token is for, by token and kind.",
		}, []string{"token", "client"}),
	}
	if r != nil {
		r.MustRegister(m.requests, m.duration, m.quirks, m.second)
	}
	return m
}

func (m *metrics) request(operation, resource string, code int, provider string, seconds float64) {
	m.requests.WithLabelValues(operation, resource, strconv.Itoa(code), provider).Inc()
	m.duration.WithLabelValues(operation, resource).Observe(seconds)
}

func (m *metrics) quirk(name string) { m.quirks.WithLabelValues(name).Inc() }

// trace starts the span of the request, in the client's trace if it has one. If tracing is off, it
// costs one comparison.
func (c *call) trace() {
	if c.Tracer == nil {
		return
	}
	ctx := propagation.TraceContext{}.Extract(c.ctx, propagation.HeaderCarrier(c.r.Header))
	c.ctx, c.span = c.Tracer.Start(ctx, "SCIM", trace.WithSpanKind(trace.SpanKindServer))
}

// traced ends the span. It records what the log line contains: no path, no query and no body, which
// contain personal data.
func (c *call) traced(operation, resource string) {
	if c.span == nil {
		return
	}
	c.span.SetName("SCIM " + operation + " " + resource)
	c.span.SetAttributes(
		attribute.String("scim.operation", operation), attribute.String("scim.resource", resource), attribute.String("scim.provider", c.config.Provider.Type),
		attribute.String("scim.request_id", c.id), attribute.Int("http.response.status_code", c.status),
	)
	if c.status >= http.StatusInternalServerError {
		c.span.SetStatus(codes.Error, "")
	}
	c.span.End()
}
