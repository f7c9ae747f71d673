// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"github.com/prometheus/client_golang/prometheus"

	"lightrun.com/scim-operator/internal/operator/portalclient/breaker"
)

// Collector exports the states of users and of the connection to the portal.
// docs/reference/metrics.md lists the metrics.
func Collector(p Parts) prometheus.Collector { return collector{p} }

type collector struct{ parts Parts }

func (c collector) Describe(ch chan<- *prometheus.Desc) { prometheus.DescribeByCollect(c, ch) }

func (c collector) Collect(ch chan<- prometheus.Metric) {
	gauge := func(name, help string, v float64, label ...string) {
		var names, values []string
		if len(label) == 2 {
			names, values = label[:1], label[1:]
		}
		ch <- prometheus.MustNewConstMetric(prometheus.NewDesc(name, help, names, nil), prometheus.GaugeValue, v, values...)
	}
	n := c.parts.Users.Counter.Counts()
	const people = "Users by state: Ready, Waiting (for the migration of their local account), Held (by the deprovisioning guard), Other."
	gauge("scim_users", people, float64(n.Ready), "state", "Ready")
	gauge("scim_users", people, float64(n.Waiting), "state", "Waiting")
	gauge("scim_users", people, float64(n.Held), "state", "Held")
	gauge("scim_users", people, float64(max(n.Users-n.Ready-n.Waiting-n.Held, 0)), "state", "Other")
	gauge("scim_accounts_without_user", "Accounts in the portal that the operator manages and that have no ScimUser.", float64(n.Strays))
	gauge("scim_pools_without_agentpool", "Pools in the portal that the operator manages and that have no AgentPool.", float64(n.StrayPools))
	v := c.parts.Session.View()
	if b, ok := v.Client.(*breaker.Client); ok {
		gauge("scim_portal_breaker_open", "1 while the portal fails and writes wait.", number(b.Open()))
	}
	if v.Mirror == nil || !v.Mirror.Listed() {
		gauge("scim_portal_reachable", "1 while the portal's state is known and followed.", 0)
		return
	}
	gauge("scim_portal_reachable", "1 while the portal's state is known and followed.", number(v.Mirror.Unreachable() == nil))
	gauge("scim_portal_last_read_timestamp_seconds", "Time of the last successful read of the portal, in seconds since 1970.", float64(v.Mirror.LastRead().Unix()))
	all, local := v.Mirror.Counts()
	gauge("scim_portal_accounts", "Accounts in the portal, by who manages them.", float64(local), "managed_by", "Local")
	gauge("scim_portal_accounts", "Accounts in the portal, by who manages them.", float64(all-local), "managed_by", "SCIM")
}

func number(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
