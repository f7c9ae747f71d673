// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestRefusals(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	cases := map[string]struct {
		args []string
		want string
	}{
		"NotLoopback": {[]string{"--listen", "0.0.0.0:8099", "--client-secret", "s"}, "loopback only"},
		"NoPort":      {[]string{"--listen", "127.0.0.1", "--client-secret", "s"}, "host:port"},
		"PortTaken":   {[]string{"--listen", taken.Addr().String(), "--client-secret", "s"}, "taken by another program"},
		"NoSecret":    {[]string{"--listen", "127.0.0.1:0"}, "an id and a secret"},
		"NoFile":      {[]string{"--listen", "127.0.0.1:0", "--client-secret-file", "/nowhere"}, "/nowhere"},
		"BadUser":     {[]string{"--listen", "127.0.0.1:0", "--client-secret", "s", "--user", "ada"}, "userName:password"},
		"BadLevel":    {[]string{"--log-level", "loud"}, "debug, info, warn or error"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			cmd := command()
			cmd.SetArgs(tc.args)
			if err := cmd.ExecuteContext(t.Context()); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want %q", err, tc.want)
			}
		})
	}
}

func TestStartsAndStops(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("s\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	cmd := command()
	cmd.SetArgs([]string{"--listen", "127.0.0.1:0", "--client-secret-file", secret, "--user", "ada:pw"})
	if err := cmd.ExecuteContext(ctx); err != nil {
		t.Errorf("a stopped provider ends with %v", err)
	}
}
