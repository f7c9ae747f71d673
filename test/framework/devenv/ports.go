// SPDX-License-Identifier: Apache-2.0

package devenv

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"syscall"
)

// Ports are the ports of all programs, on 127.0.0.1.
type Ports struct {
	Portal, SCIM, OIDC, Kubernetes, Etcd int
	// For /healthz, /readyz and /metrics.
	WebhookHealth, WebhookMetrics, ManagerHealth, ManagerMetrics int
}

// Port is one port, with its name on the command line.
type Port struct {
	Name    string // --port-<name>, PORT_<NAME>
	What    string
	Default int
	Number  *int
}

// All lists the ports with their names and defaults.
func (p *Ports) All() []Port {
	return []Port{
		{"portal", "the Management Portal", 8090, &p.Portal},
		{"scim", "the SCIM webhook", 8091, &p.SCIM},
		{"oidc", "the development single sign-on", 8099, &p.OIDC},
		{"kubernetes", "the Kubernetes API server", 16443, &p.Kubernetes},
		{"etcd", "etcd", 12379, &p.Etcd},
		{"webhook-health", "the SCIM webhook's health", 8092, &p.WebhookHealth},
		{"webhook-metrics", "the SCIM webhook's metrics", 8093, &p.WebhookMetrics},
		{"manager-health", "the manager's health", 8094, &p.ManagerHealth},
		{"manager-metrics", "the manager's metrics", 8095, &p.ManagerMetrics},
	}
}

// Flag returns the name of the port's flag.
func (p Port) Flag() string { return "port-" + p.Name }

// Env returns the name of the port's environment variable.
func (p Port) Env() string { return "PORT_" + strings.ToUpper(strings.ReplaceAll(p.Name, "-", "_")) }

// RandomPorts picks free ports outside the system's range for outgoing connections, so that no such
// connection takes one of them.
func RandomPorts() (Ports, error) {
	var ports Ports
	taken := map[int]bool{}
	for _, port := range ports.All() {
		for tries := 0; *port.Number == 0; tries++ {
			number := 20000 + rand.IntN(12000)
			if !taken[number] && try(context.Background(), number) == nil {
				*port.Number, taken[number] = number, true
			}
			if tries > 1000 {
				return ports, errors.New("find free ports between 20000 and 32000: none")
			}
		}
	}
	return ports, nil
}

// free returns an error that names the ports in use, and how to choose others.
func (p *Ports) free(ctx context.Context) error {
	var errs []error
	by := map[int]string{}
	for _, port := range p.All() {
		number := *port.Number
		if other, twice := by[number]; twice {
			errs = append(errs, fmt.Errorf("port %d is given to %s and to %s: choose another with --%s or %s", number, other, port.What, port.Flag(), port.Env()))
			continue
		}
		by[number] = port.What
		err := try(ctx, number)
		switch {
		case errors.Is(err, syscall.EADDRINUSE):
			errs = append(errs, fmt.Errorf("port %d (%s) is taken by another program: choose another with --%s or %s", number, port.What, port.Flag(), port.Env()))
		case err != nil:
			errs = append(errs, fmt.Errorf("port %d (%s): %w", number, port.What, err))
		}
	}
	return errors.Join(errs...)
}

func try(ctx context.Context, number int) error {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", loopback(number))
	if err != nil {
		return err
	}
	return listener.Close()
}

func loopback(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }
