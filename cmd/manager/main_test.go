// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strings"
	"testing"
	"time"
)

func TestParse(t *testing.T) {
	for name, tc := range map[string]struct {
		reason string
		args   []string
		env    string // POD_NAMESPACE
		says   string // of the error; empty if there is none
		check  func(options) bool
	}{
		"Defaults":       {reason: "The Pod's namespace is enough.", env: "company", check: func(o options) bool { return o.namespace == "company" && o.elect && o.lease == 15*time.Second }},
		"FlagWins":       {reason: "The flag is more specific than the environment.", args: []string{"--namespace=other"}, env: "company", check: func(o options) bool { return o.namespace == "other" }},
		"NoNamespace":    {reason: "Without a namespace the manager would watch all.", says: "--namespace is not set"},
		"ShortLease":     {reason: "A leader could not renew in time.", args: []string{"--namespace=company", "--leader-elect-lease-duration=1s"}, says: "give 3s or more"},
		"UnexpectedWord": {reason: "A word without a flag is a mistake, such as a space after a flag's =.", args: []string{"--namespace=company", "now"}, says: `unexpected argument "now"`},
		"Version":        {reason: "The version is printed without any configuration.", args: []string{"--version"}, check: func(o options) bool { return o.version }},
		"UnknownFlag":    {reason: "An unknown flag is refused.", args: []string{"--portal=x"}, says: "not defined"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("POD_NAMESPACE", tc.env)
			o, err := parse(tc.args)
			switch {
			case tc.says != "" && (err == nil || !strings.Contains(err.Error(), tc.says)):
				t.Errorf("%v, want an error that says %q: %s", err, tc.says, tc.reason)
			case tc.says == "" && (err != nil || !tc.check(o)):
				t.Errorf("%+v, %v: %s", o, err, tc.reason)
			}
		})
	}
}
