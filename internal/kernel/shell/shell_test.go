// SPDX-License-Identifier: Apache-2.0

package shell_test

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lightrun.com/scim-operator/internal/kernel/shell"
)

func TestCommand(t *testing.T) {
	for name, tc := range map[string]struct {
		reason string
		words  []string
		want   string
	}{
		"Plain":     {"A name of an object needs no quotes.", []string{"accept", "agentpool/leads", "--group", "a,b"}, "accept agentpool/leads --group a,b"},
		"Space":     {"A space would end the word.", []string{"Okta/a b"}, "'Okta/a b'"},
		"Dollar":    {"The shell would insert a variable.", []string{"Okta $HOME"}, "'Okta $HOME'"},
		"Backtick":  {"The shell would run a command.", []string{"`id`"}, "'`id`'"},
		"Quote":     {"A single quote would end the quotes.", []string{"Rock'n \"Roll\""}, `'Rock'\''n "Roll"'`},
		"Tilde":     {"The shell would insert a folder.", []string{"~root"}, "'~root'"},
		"Empty":     {"An empty word stays a word.", []string{"a", ""}, "a ''"},
		"Character": {"Characters of other scripts stay as they are.", []string{"Ökta"}, "'Ökta'"},
	} {
		t.Run(name, func(t *testing.T) {
			got := shell.Command(tc.words...)
			if got != tc.want {
				t.Errorf("%s\ngot %s, want %s", tc.reason, got, tc.want)
			}
			out, err := exec.CommandContext(t.Context(), "/bin/sh", "-c", `for word in `+got+`; do printf '%s\n' "$word"; done`).Output()
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.words, strings.Split(strings.TrimSuffix(string(out), "\n"), "\n")); diff != "" {
				t.Errorf("%s\na shell reads other words:\n%s", tc.reason, diff)
			}
		})
	}
}

func TestScim(t *testing.T) {
	if got, want := shell.Scim("lightrun-system", "provider", "--replace", "Okta/$x"), "kubectl scim provider --replace 'Okta/$x' -n lightrun-system"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got, want := shell.Scim("", "held"), "kubectl scim held"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
