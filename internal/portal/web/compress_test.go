// SPDX-License-Identifier: Apache-2.0

package web

import (
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestWrite(t *testing.T) {
	content := strings.Repeat("<p>People of the portal</p>", 200)
	for name, c := range map[string]struct {
		reason         string
		method, accept string
		content        string
		secret         bool
		want           bool // compressed
	}{
		"browser":   {"Every browser accepts gzip.", http.MethodGet, "gzip, deflate, br", content, false, true},
		"weight":    {"A weight is allowed.", http.MethodGet, "br;q=1.0, gzip;q=0.8", content, false, true},
		"refused":   {"The weight 0 refuses.", http.MethodGet, "gzip;q=0, br", content, false, false},
		"not named": {"A program without Accept-Encoding may not know gzip.", http.MethodGet, "", content, false, false},
		"small":     {"gzip would make it larger.", http.MethodGet, "gzip", "<p>", false, false},
		"form":      {"The answer to a form can contain a new key.", http.MethodPost, "gzip", content, false, false},
		"secret":    {"The page says that it contains a secret.", http.MethodGet, "gzip", content, true, false},
	} {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequest(c.method, "/", nil)
			r.Header.Set("Accept-Encoding", c.accept)
			w := httptest.NewRecorder()
			write(w, r, http.StatusAccepted, []byte(c.content), c.secret)
			got := w.Result()
			var body io.Reader = got.Body
			is := got.Header.Get("Content-Encoding") == "gzip"
			if is {
				z, err := gzip.NewReader(got.Body)
				if err != nil {
					t.Fatal(err)
				}
				body = z
			}
			text, err := io.ReadAll(body)
			if is != c.want || err != nil || string(text) != c.content || got.StatusCode != http.StatusAccepted || got.Header.Get("Vary") != "Accept-Encoding" {
				t.Errorf("compressed %v, want %v; %d bytes, status %d, %v\n%s", is, c.want, len(text), got.StatusCode, err, c.reason)
			}
		})
	}
}

// TestRandomLength checks that the length of a compressed page does not follow from its content.
func TestRandomLength(t *testing.T) {
	lengths := map[int]bool{}
	for range 50 {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header.Set("Accept-Encoding", "gzip")
		w := httptest.NewRecorder()
		write(w, r, http.StatusOK, []byte(strings.Repeat("same ", 500)), false)
		lengths[w.Body.Len()] = true
	}
	if len(lengths) < 10 {
		t.Errorf("the same page has only %d lengths", len(lengths))
	}
}
