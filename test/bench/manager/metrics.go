// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"k8s.io/client-go/rest"

	"lightrun.com/scim-operator/api/v1alpha1"
)

// metrics are the series of one /metrics page: `name{label="value",…}` → value.
type metrics map[string]float64

// sum adds the series of that name that have all of the labels, each as `name="value"`.
func (m metrics) sum(name string, labels ...string) float64 {
	var total float64
	for series, value := range m {
		head, rest, _ := strings.Cut(series, "{")
		if head == name && !slices.ContainsFunc(labels, func(l string) bool { return !strings.Contains(rest, l) }) {
			total += value
		}
	}
	return total
}

// by adds up the series of that name by the value of one label, without zeros.
func (m metrics) by(name, label string) counts {
	out := counts{}
	for series, value := range m {
		head, rest, _ := strings.Cut(series, "{")
		_, rest, found := strings.Cut(rest, label+`="`)
		if text, _, closed := strings.Cut(rest, `"`); head == name && found && closed && value != 0 {
			out[text] += value
		}
	}
	return out
}

// counts are numbers of events by name.
type counts map[string]float64

// minus returns the events since before.
func (c counts) minus(before counts) counts {
	out := counts{}
	for what, n := range c {
		if n -= before[what]; n != 0 {
			out[what] = n
		}
	}
	return out
}

func (c counts) String() string {
	if len(c) == 0 {
		return "none"
	}
	var parts []string
	for _, what := range slices.Sorted(maps.Keys(c)) {
		parts = append(parts, fmt.Sprintf("%s %.0f", what, c[what]))
	}
	return strings.Join(parts, ", ")
}

func fetch(ctx context.Context, c *http.Client, url string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return nil, err
	}
	answer, err := c.Do(request)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s: %.200s", url, answer.Status, text)
	}
	return text, err
}

func scrape(ctx context.Context, c *http.Client, url string) (metrics, error) {
	text, err := fetch(ctx, c, url)
	if err != nil {
		return nil, err
	}
	out := metrics{}
	for line := range strings.Lines(string(text)) {
		at := strings.LastIndexByte(line, ' ')
		if at < 0 || line[0] == '#' {
			continue
		}
		if value, err := strconv.ParseFloat(strings.TrimSpace(line[at:]), 64); err == nil {
			out[line[:at]] = value
		}
	}
	return out, nil
}

// manager reads the manager's metrics.
func (s *suite) manager(ctx context.Context) (metrics, error) {
	return scrape(ctx, s.http, fmt.Sprintf("http://127.0.0.1:%d/metrics", s.env.Ports.ManagerMetrics))
}

// calls returns the manager's calls to the portal since its start, by method.
func (s *suite) calls(ctx context.Context) (counts, error) {
	m, err := s.manager(ctx)
	return m.by("scim_portal_call_duration_seconds_count", "method"), err
}

// writesOf returns the calls that write.
func writesOf(calls counts) counts {
	out := counts{}
	for _, method := range []string{"PutAccount", "PutPool", "PutMemberships", "ReleaseAccount", "ReleasePool", "MarkAccount", "MarkWaiting", "PutLoginMethods"} {
		if n := calls[method]; n != 0 {
			out[method] = n
		}
	}
	return out
}

// cost is what has been written since the start.
type cost struct {
	calls  counts // to the portal, by method
	writes counts // to the API server, by resource
}

// cost reads what has been written until now.
func (s *suite) cost(ctx context.Context) (c cost, err error) {
	if c.calls, err = s.calls(ctx); err != nil {
		return c, err
	}
	c.calls = writesOf(c.calls)
	c.writes, err = s.writes(ctx)
	return c, err
}

// since returns what was written after before was read.
func (c cost) since(before cost) cost {
	return cost{calls: c.calls.minus(before.calls), writes: c.writes.minus(before.writes)}
}

// administrator returns a client of the API server with all rights.
func administrator(kube *rest.Config) (*http.Client, error) { return rest.HTTPClientFor(kube) }

// writes returns the write requests to the API server since its start, of all clients, by resource:
// objects of this API group, events and Secrets.
func (s *suite) writes(ctx context.Context) (counts, error) {
	m, err := scrape(ctx, s.apiserver, s.env.Kube.Host+"/metrics")
	if err != nil {
		return nil, err
	}
	out := counts{}
	for series, value := range m {
		if !strings.HasPrefix(series, "apiserver_request_total{") || !written(series) {
			continue
		}
		what := label(series, "resource")
		if sub := label(series, "subresource"); sub != "" {
			what += "/" + sub
		}
		out[what] += value
	}
	return out, nil
}

func written(series string) bool {
	switch label(series, "verb") {
	case "POST", "PUT", "PATCH", "APPLY", "DELETE", "DELETECOLLECTION":
	default:
		return false
	}
	switch label(series, "resource") {
	case "events", "secrets":
		return true
	}
	return label(series, "group") == v1alpha1.GroupVersion.Group
}

func label(series, name string) string {
	for _, begin := range []string{"{", ","} {
		if _, rest, found := strings.Cut(series, begin+name+`="`); found {
			value, _, _ := strings.Cut(rest, `"`)
			return value
		}
	}
	return ""
}

// profile stores a profile of the manager. A profile of memory returns at once, one of processor
// time after the given seconds.
func (s *suite) profile(ctx context.Context, name, query string) error {
	if s.profiles == "" {
		return nil
	}
	text, err := fetch(ctx, &http.Client{}, "http://"+s.debug+"/debug/pprof/"+query)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(s.profiles, 0o700); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(s.profiles, name), text, 0o600)
}
