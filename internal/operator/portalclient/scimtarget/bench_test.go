// SPDX-License-Identifier: Apache-2.0

package scimtarget_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"lightrun.com/scim-operator/internal/kernel/portalapi"
	"lightrun.com/scim-operator/internal/operator/portalclient/scimtarget"
	"lightrun.com/scim-operator/internal/scim"
	"lightrun.com/scim-operator/test/framework/scimtargets"
)

// The benchmarks of the driver use eight connections, its default. docs/setup/scim-target.md has
// results. Run them with
//
//	go test -run '^$' -bench Arrivals -benchtime 1000x ./internal/operator/portalclient/scimtarget
//	go test -run '^$' -bench DesiredState -benchtime 3x ./internal/operator/portalclient/scimtarget

// benchTargets are the targets of the benchmarks. SCIMMY is one if it is installed.
func benchTargets() map[string]func(testing.TB) *scimtargets.Target {
	out := map[string]func(testing.TB) *scimtargets.Target{"Elimity": func(t testing.TB) *scimtargets.Target { return scimtargets.Elimity(t, true) }}
	if scimtargets.HasSCIMMY() {
		out["SCIMMY"] = scimtargets.SCIMMY
	}
	return out
}

// driver returns a driver that leads, with SCIM on and everything listed.
func driver(b *testing.B, target *scimtargets.Target, leader string, ledger scimtarget.Ledger) *scimtarget.Client {
	b.Helper()
	c, err := scimtarget.New(scimtarget.Options{
		URL: target.URL, HTTP: benchHTTP(), Ledger: ledger, Leader: leader, Roles: true, Groups: true, Timeout: time.Minute,
	})
	if err == nil {
		_, err = c.Bind(b.Context(), binding())
	}
	if err == nil {
		_, err = c.PutLoginMethods(b.Context(), portalapi.LoginMethods{SSO: portalapi.SSO{Enabled: true}, SCIMEnabled: true}, "Git")
	}
	if err == nil {
		_, err = c.Pools(b.Context())
	}
	if err != nil {
		b.Fatal(err)
	}
	return c
}

// benchHTTP keeps one connection for each worker, for the driver and for the bare loop.
func benchHTTP() *http.Client {
	return &http.Client{Transport: scimtarget.Bearer(&http.Transport{MaxIdleConnsPerHost: 8}, func() (string, error) { return scimtargets.Token, nil })}
}

// BenchmarkArrivals compares arrivals through the driver with a bare loop that POSTs the same users
// to a second target of the kind. Blocks of both alternate, so that other load of the machine slows
// both down.
func BenchmarkArrivals(b *testing.B) {
	const block = 50
	for name, open := range benchTargets() {
		b.Run(name, func(b *testing.B) {
			c := driver(b, open(b), "first", &scimtarget.MemoryLedger{})
			bare, client := open(b), benchHTTP()
			before := c.Calls()
			var byDriver, byPOST time.Duration
			b.ResetTimer()
			for from := 0; from < b.N; from += block {
				n := min(block, b.N-from)
				name := func(i int) string { return fmt.Sprintf("p%06d", from+i) }
				byDriver += timed(b, n, func(i int) error { _, err := c.PutAccount(b.Context(), person(name(i))); return err })
				byPOST += timed(b, n, func(i int) error { return post(b, client, bare.URL, person(name(i))) })
			}
			b.StopTimer()
			b.ReportMetric(float64(c.Calls()-before)/float64(b.N), "requests/op")
			b.ReportMetric(float64(b.N)/byDriver.Seconds(), "driver-arrivals/s")
			b.ReportMetric(float64(b.N)/byPOST.Seconds(), "bare-arrivals/s")
		})
	}
}

// timed returns the time that n calls take on eight workers.
func timed(b *testing.B, n int, call func(int) error) time.Duration {
	var failed atomic.Pointer[error]
	begun := time.Now()
	each(n, call, func(err error) { failed.Store(&err) })
	if err := failed.Load(); err != nil {
		b.Fatal(*err)
	}
	return time.Since(begun)
}

// post creates the user as the driver does, and reads the response.
func post(b *testing.B, client *http.Client, url string, w portalapi.AccountWrite) error {
	text, err := json.Marshal(scim.Object{
		"schemas": []any{scim.SchemaUser}, "userName": w.UserName, "displayName": w.DisplayName, "externalId": w.ExternalID, "active": true,
		"name":   scim.Object{"givenName": w.GivenName, "familyName": w.FamilyName},
		"emails": []any{scim.Object{"value": w.Email, "type": "work", "primary": true}},
		"roles":  []any{scim.Object{"value": portalapi.RoleUser}},
	})
	if err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(b.Context(), http.MethodPost, url+"/Users", bytes.NewReader(text))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/scim+json")
	response, err := client.Do(r)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		return err
	}
	if response.StatusCode != http.StatusCreated {
		return fmt.Errorf("POST /Users answers %s", response.Status)
	}
	return nil
}

// BenchmarkDesiredState lists a target with 10,000 people, and passes over each of them. Nothing
// else is sent.
func BenchmarkDesiredState(b *testing.B) {
	const people, page = 10_000, 100
	ledger := &scimtarget.MemoryLedger{}
	target := scimtargets.Elimity(b, true)
	c := driver(b, target, "first", ledger)
	put := func(i int) error {
		_, err := c.PutAccount(b.Context(), person(fmt.Sprintf("p%06d", i)))
		return err
	}
	each(people, put, func(err error) { b.Error(err) })
	before := c.Calls()
	var passes time.Duration
	b.ResetTimer()
	for range b.N {
		if _, err := c.Pools(b.Context()); err != nil {
			b.Fatal(err)
		}
		passes += timed(b, people, put)
	}
	b.StopTimer()
	b.ReportMetric(float64(passes.Milliseconds())/float64(b.N), "pass-ms/op")
	requests := float64(c.Calls()-before) / float64(b.N)
	b.ReportMetric(requests, "requests/op")
	if want := people/page + 1; int(requests) != want { // the pages of users, and one of groups
		b.Errorf("%v requests, want %d", requests, want)
	}
}
