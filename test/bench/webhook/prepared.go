// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// The prepared side is a process that sends the webhook's own bytes with net/http: the cost of a
// response without any lookup, check or encoding. Its responses are files, which prepared names.

// preparedFile returns the file with the response to a request.
func preparedFile(r *http.Request) string {
	switch q := r.URL.Query(); {
	case q.Get("attributes") != "":
		return "projected"
	case q.Get("filter") != "":
		return "equal"
	case strings.HasSuffix(r.URL.Path, "/Users"):
		return "list"
	}
	return "get"
}

func servePrepared(ctx context.Context, dir string) error {
	answers := map[string][]byte{}
	for _, name := range []string{"list", "projected", "equal", "get"} {
		content, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return err
		}
		answers[name] = content
	}
	return serveLoopback(ctx, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer := answers[preparedFile(r)]
		w.Header().Set("Content-Type", "application/scim+json")
		w.Header().Set("Content-Length", strconv.Itoa(len(answer)))
		_, _ = w.Write(answer)
	}))
}

// serveLoopback serves on a free port until ctx ends. The first line of the output is the URL.
func serveLoopback(ctx context.Context, h http.Handler) error {
	socket, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Printf("http://%s\n", socket.Addr())
	server := &http.Server{Handler: h, ReadHeaderTimeout: 0} //nolint:gosec // on loopback, for a benchmark
	go func() {
		<-ctx.Done()
		_ = server.Close()
	}()
	if err := server.Serve(socket); err != http.ErrServerClosed {
		return err
	}
	return nil
}
