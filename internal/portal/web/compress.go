// SPDX-License-Identifier: Apache-2.0

package web

import (
	"bytes"
	"compress/gzip"
	"crypto/rand"
	"net/http"
	"strconv"
	"strings"
)

// minCompressed is the size from which a response is compressed, in bytes.
const minCompressed = 1 << 10

// maxPadding is the maximum length of the random padding of a compressed page, in bytes.
const maxPadding = 256

// write writes the content, compressed if the browser accepts that.
//
// Compression reveals by its length whether text that an attacker chose occurs in a page (BREACH).
// Pages contain no CSRF token: forms are protected by Sec-Fetch-Site and Origin. A page that
// answers a form can contain a secret, such as a new API key or a typed client secret, and a view
// with Secret does: neither is compressed. All other pages have a random length.
func write(w http.ResponseWriter, r *http.Request, status int, content []byte, secret bool) {
	h := w.Header()
	h.Add("Vary", "Accept-Encoding")
	if !secret && r.Method == http.MethodGet && len(content) >= minCompressed && acceptsGzip(r) {
		h.Set("Content-Encoding", "gzip")
		content = compressed(content, gzip.DefaultCompression, padding())
	}
	h.Set("Content-Length", strconv.Itoa(len(content)))
	w.WriteHeader(status)
	_, _ = w.Write(content) // the browser has disconnected
}

// padding returns text of a random length, for the file name in the header of gzip.
func padding() string {
	var b [1]byte
	_, _ = rand.Read(b[:]) // crypto/rand never returns an error
	return strings.Repeat("x", 1+int(b[0])%maxPadding)
}

func compressed(content []byte, level int, name string) []byte {
	var out bytes.Buffer
	z, _ := gzip.NewWriterLevel(&out, level) // fails for an unknown level only
	z.Name = name
	_, _ = z.Write(content) // a Buffer never fails
	_ = z.Close()
	return out.Bytes()
}

// acceptsGzip reports whether the request accepts gzip: named, and not with the weight 0.
func acceptsGzip(r *http.Request) bool {
	for _, accepted := range strings.Split(strings.Join(r.Header.Values("Accept-Encoding"), ","), ",") {
		coding, weight, _ := strings.Cut(accepted, ";")
		if strings.EqualFold(strings.TrimSpace(coding), "gzip") {
			value, err := strconv.ParseFloat(strings.TrimPrefix(strings.TrimSpace(weight), "q="), 64)
			return err != nil && strings.TrimSpace(weight) == "" || err == nil && value > 0
		}
	}
	return false
}
