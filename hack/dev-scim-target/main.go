// SPDX-License-Identifier: Apache-2.0

// Command dev-scim-target is a SCIM 2.0 service provider on loopback, made with the library
// elimity-com/scim. With `make run ARGS="-driver scim"` it takes the place of the Management
// Portal.
package main

import (
	"context"
	"crypto/subtle"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"lightrun.com/scim-operator/test/framework/scimtargets/elimityserver"
)

// base is the path of the SCIM base URL.
const base = "/scim/v2"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "dev-scim-target:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("dev-scim-target", flag.ContinueOnError)
	address := flags.String("listen", "127.0.0.1:8090", "loopback address to serve on")
	tokenFile := flags.String("token-file", "", "file with the bearer token of the clients")
	dir := flags.String("dir", "", "existing folder for users and groups")
	if err := flags.Parse(args); err != nil {
		return err
	}
	token, err := os.ReadFile(*tokenFile)
	if err != nil {
		return fmt.Errorf("--token-file: %w", err)
	}
	h, err := handler(strings.TrimSpace(string(token)), *dir)
	if err != nil {
		return err
	}
	host, _, err := net.SplitHostPort(*address)
	if ip := net.ParseIP(host); err != nil || ip == nil || !ip.IsLoopback() {
		return fmt.Errorf("--listen %q: write a loopback address with a port, such as 127.0.0.1:8090", *address)
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", *address)
	if err != nil {
		return err
	}
	s := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}
	fmt.Println("Serving", "http://"+listener.Addr().String()+base)
	stopped := make(chan error, 1)
	context.AfterFunc(ctx, func() {
		stopping, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		stopped <- s.Shutdown(stopping)
	})
	if err := s.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return <-stopped
}

// handler serves the target to clients with the token, and its health to every client.
func handler(token, dir string) (http.Handler, error) {
	if token == "" {
		return nil, errors.New("--token-file: the file is empty")
	}
	target, err := elimityserver.New(elimityserver.Options{Dir: dir})
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /readyz", func(http.ResponseWriter, *http.Request) {})
	mux.Handle(base+"/", http.StripPrefix(base, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if subtle.ConstantTimeCompare([]byte(r.Header.Get("Authorization")), []byte("Bearer "+token)) != 1 {
			w.Header().Set("Content-Type", "application/scim+json")
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = w.Write([]byte(`{"schemas":["urn:ietf:params:scim:api:messages:2.0:Error"],"status":"401","detail":"the bearer token is not known"}`))
			return
		}
		target.ServeHTTP(w, r)
	})))
	return mux, nil
}
