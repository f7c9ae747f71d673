// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"
)

// wire is a minimal HTTP/1.1 client of one server: it sends on the caller's goroutine and reads
// into buffers that it reuses. The client shares the processors with the servers that are compared,
// so its cost makes them look more alike: for a list page, net/http's own client takes three times
// as long as sending prepared bytes.
type wire struct {
	address string // host:port
	base    string // path in front of every request's
	token   string
	idle    sync.Pool // of *connection
}

// connection is used by one request at a time.
type connection struct {
	net.Conn
	in   *bufio.Reader
	out  []byte
	body bytes.Buffer
	used time.Time
}

const (
	// maxIdle is the maximum time for which a connection is idle: less than any server keeps it.
	maxIdle = time.Second
	// window is the number of bytes per read: more than a page of 100.
	window = 256 << 10
)

func newWire(base, token string) (*wire, error) {
	at, err := url.Parse(base)
	if err != nil {
		return nil, err
	}
	return &wire{address: at.Host, base: at.Path, token: token}, nil
}

// do sends one request and passes the status and the body to read, which must not keep the body.
func (w *wire) do(ctx context.Context, method, path string, content []byte, read func(status int, body []byte) error) error {
	c, err := w.connection(ctx)
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = c.Close() })
	again, err := c.exchange(w, method, path, content, read)
	if !stop() || !again {
		return errors.Join(err, ctx.Err(), ignoreClosed(c.Close()))
	}
	c.used = time.Now()
	w.idle.Put(c)
	return err
}

func ignoreClosed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

func (w *wire) connection(ctx context.Context) (*connection, error) {
	if c, ok := w.idle.Get().(*connection); ok {
		if time.Since(c.used) < maxIdle {
			return c, nil
		}
		_ = c.Close()
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", w.address)
	if err != nil {
		return nil, err
	}
	return &connection{Conn: conn, in: bufio.NewReaderSize(conn, window)}, nil
}

// exchange reports whether the connection can be used again.
func (c *connection) exchange(w *wire, method, path string, content []byte, read func(int, []byte) error) (again bool, err error) {
	c.out = fmt.Appendf(c.out[:0], "%s %s%s HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\nContent-Type: application/scim+json\r\nContent-Length: %d\r\n\r\n",
		method, w.base, path, w.address, w.token, len(content))
	if _, err := c.Write(append(c.out, content...)); err != nil {
		return false, err
	}
	answer, err := http.ReadResponse(c.in, nil)
	if err != nil {
		return false, err
	}
	c.body.Reset()
	_, failed := c.body.ReadFrom(answer.Body)
	if err := errors.Join(failed, answer.Body.Close()); err != nil {
		return false, err
	}
	return !answer.Close, read(answer.StatusCode, c.body.Bytes())
}
