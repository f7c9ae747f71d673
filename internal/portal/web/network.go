// SPDX-License-Identifier: Apache-2.0

package web

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// ipv6Network is the part of an IPv6 address that one household or machine usually has for itself.
const ipv6Network = 64

// network returns the network of the request's sender: an IPv4 address, or the /64 of an IPv6
// address.
func (s *site) network(r *http.Request) string {
	peer, ok := parseAddress(r.RemoteAddr)
	if !ok {
		return r.RemoteAddr
	}
	forwarded := r.Header.Values("X-Forwarded-For")
	if len(forwarded) > 0 && !s.trusted(peer) {
		s.warn.Do(func() {
			s.log.Info("X-Forwarded-For of an address that is not trusted is ignored. If it is a proxy of yours, set --trusted-proxy: all visitors share one address until then", "address", peer.String())
		})
	}
	return networkOf(sender(peer, forwarded, s.trusted))
}

func (s *site) trusted(a netip.Addr) bool {
	return slices.ContainsFunc(s.proxies, func(p netip.Prefix) bool { return p.Contains(a) })
}

// sender returns the address from which a request came. Each proxy appends the address of its peer
// to X-Forwarded-For, so the list is believed from its end, as far as trusted proxies wrote it: the
// rightmost address that is no trusted proxy is the sender's. What is left of it is the sender's
// own text.
func sender(peer netip.Addr, forwarded []string, trusted func(netip.Addr) bool) netip.Addr {
	hops := strings.Split(strings.Join(forwarded, ","), ",")
	for trusted(peer) && len(hops) > 0 {
		next, ok := parseAddress(strings.TrimSpace(hops[len(hops)-1]))
		if !ok {
			break
		}
		peer, hops = next, hops[:len(hops)-1]
	}
	return peer
}

// parseAddress parses an address with or without a port.
func parseAddress(text string) (netip.Addr, bool) {
	address, err := netip.ParseAddr(text)
	if err != nil {
		with, err := netip.ParseAddrPort(text)
		if err != nil {
			return netip.Addr{}, false
		}
		address = with.Addr()
	}
	return address.Unmap().WithZone(""), true
}

func networkOf(a netip.Addr) string {
	if a.Is4() {
		return a.String()
	}
	return netip.PrefixFrom(a, ipv6Network).Masked().String()
}
