// SPDX-License-Identifier: Apache-2.0

package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestHandler(t *testing.T) {
	if _, err := handler("", ""); err == nil {
		t.Error("a server without a token accepts every client")
	}
	h, err := handler("secret", "")
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		reason, path, token string
		status              int
	}{
		"Health":   {"make run waits for it.", "/readyz", "", http.StatusOK},
		"NoToken":  {"Users are for clients with the token.", "/scim/v2/Users", "", http.StatusUnauthorized},
		"BadToken": {"Another token is no token.", "/scim/v2/Users", "secret2", http.StatusUnauthorized},
		"Token":    {"The base URL has a path.", "/scim/v2/Users", "secret", http.StatusOK},
	} {
		t.Run(name, func(t *testing.T) {
			w := httptest.NewRecorder()
			r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, tc.path, nil)
			r.Header.Set("Authorization", "Bearer "+tc.token)
			h.ServeHTTP(w, r)
			if w.Code != tc.status {
				t.Errorf("answers %d %s: %s", w.Code, w.Body, tc.reason)
			}
		})
	}
	err = run(t.Context(), []string{"--listen", "0.0.0.0:0", "--token-file", "main.go"})
	if err == nil || !strings.Contains(err.Error(), "loopback") {
		t.Errorf("another address: %v", err)
	}
}
