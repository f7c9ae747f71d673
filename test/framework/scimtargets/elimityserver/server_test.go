// SPDX-License-Identifier: Apache-2.0

package elimityserver_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"lightrun.com/scim-operator/test/framework/scimtargets/elimityserver"
)

// TestRestart: what the folder has survives a restart, and a deleted user does not.
func TestRestart(t *testing.T) {
	dir := t.TempDir()
	send := func(method, path, body string) *httptest.ResponseRecorder {
		t.Helper()
		s, err := elimityserver.New(elimityserver.Options{Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		w := httptest.NewRecorder()
		r := httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader(body))
		r.Header.Set("Content-Type", "application/scim+json")
		s.ServeHTTP(w, r)
		return w
	}
	create := func(name string, want int) string {
		t.Helper()
		w := send("POST", "/Users", `{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"userName":"`+name+`"}`)
		if w.Code != want {
			t.Fatalf("creating %s answers %d %s", name, w.Code, w.Body)
		}
		return w.Header().Get("Location")
	}
	create("ada@example.test", http.StatusCreated)
	create("ADA@example.test", http.StatusConflict)
	eve := create("eve@example.test", http.StatusCreated)
	if w := send("DELETE", "/"+strings.TrimPrefix(eve, "/"), ""); w.Code != http.StatusNoContent {
		t.Fatalf("deleting %s answers %d %s", eve, w.Code, w.Body)
	}
	if got := send("GET", "/Users", "").Body.String(); !strings.Contains(got, "ada@example.test") || strings.Contains(got, "eve@example.test") {
		t.Errorf("after the restarts: %s", got)
	}
}
