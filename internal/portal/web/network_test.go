// SPDX-License-Identifier: Apache-2.0

package web

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"
)

func TestNetwork(t *testing.T) {
	s := &site{log: logr.Discard(), proxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}}
	for name, c := range map[string]struct {
		reason    string
		peer      string
		forwarded []string
		want      string
	}{
		"Direct":           {"No proxy.", "192.0.2.1:4711", nil, "192.0.2.1"},
		"Spoofed":          {"Only proxies are believed.", "192.0.2.1:4711", []string{"198.51.100.7"}, "192.0.2.1"},
		"Proxy":            {"The proxy says from where the request came.", "10.0.0.1:4711", []string{"198.51.100.7"}, "198.51.100.7"},
		"SpoofedThrough":   {"The proxy appends to what the sender wrote.", "10.0.0.1:4711", []string{"203.0.113.9, 10.0.0.9, 198.51.100.7"}, "198.51.100.7"},
		"SpoofedLines":     {"Several header lines are one list.", "10.0.0.1:4711", []string{"203.0.113.9", "198.51.100.7"}, "198.51.100.7"},
		"TwoProxies":       {"The rightmost address that is no proxy counts.", "10.0.0.1:4711", []string{"203.0.113.9, 198.51.100.7, 10.0.0.2"}, "198.51.100.7"},
		"OnlyProxies":      {"A request of a proxy itself.", "10.0.0.1:4711", []string{"10.0.0.3"}, "10.0.0.3"},
		"NoHeader":         {"A probe of the proxy.", "10.0.0.1:4711", nil, "10.0.0.1"},
		"Garbage":          {"What is no address ends the list.", "10.0.0.1:4711", []string{"198.51.100.7, unknown"}, "10.0.0.1"},
		"WithPort":         {"Some proxies add the port.", "10.0.0.1:4711", []string{"198.51.100.7:1234"}, "198.51.100.7"},
		"IPv6":             {"A household has a /64.", "[2001:db8:1:2:3:4:5:6]:4711", nil, "2001:db8:1:2::/64"},
		"IPv6Proxy":        {"The same behind a proxy.", "[fd00::1]:4711", []string{"2001:db8:1:2:ffff::1"}, "2001:db8:1:2::/64"},
		"IPv6WithPort":     {"With a port, in brackets.", "[fd00::1]:4711", []string{"[2001:db8:1:2:ffff::1]:443"}, "2001:db8:1:2::/64"},
		"IPv4InIPv6":       {"A socket for both families shows IPv4 in this form.", "[::ffff:10.0.0.1]:4711", []string{"::ffff:198.51.100.7"}, "198.51.100.7"},
		"ZoneIsNoIdentity": {"A zone is chosen by the receiver.", "[fe80::1%eth0]:4711", nil, "fe80::/64"},
	} {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodPost, "/sign-in", http.NoBody)
			r.RemoteAddr = c.peer
			for _, line := range c.forwarded {
				r.Header.Add("X-Forwarded-For", line)
			}
			if got := s.network(r); got != c.want {
				t.Errorf("%s\ngot %s, want %s", c.reason, got, c.want)
			}
		})
	}
}

func TestRefusals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRefusals(time.Now)
		for i := range 3 {
			if got := r.count("key", 2); got != (i < 2) {
				t.Errorf("refusal %d: %v", i, got)
			}
		}
		if !r.count("another", 2) {
			t.Error("refusals with one key count for another")
		}
		time.Sleep(refusalsWindow) //nolint:forbidigo // the bubble's clock
		if !r.count("key", 2) {
			t.Error("the window does not end")
		}
		for i := range refusalsCounted + 100 {
			r.count(fmt.Sprint(i), 1)
		}
		if len(r.counts) > refusalsCounted {
			t.Errorf("%d counters are stored", len(r.counts))
		}
	})
}
