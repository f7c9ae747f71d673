// SPDX-License-Identifier: Apache-2.0

package web

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"
)

func from(address string) *http.Request {
	r := httptest.NewRequest(http.MethodPost, "/sign-in", http.NoBody)
	r.RemoteAddr = address + ":4711"
	return r
}

func TestAttempts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAttempts(time.Now)
		guesser, owner := from("192.0.2.1"), from("192.0.2.2")
		for range perName - 1 {
			a.fail(guesser, "Ada@example.test")
		}
		if a.wait(guesser, "ada@example.test") != 0 {
			t.Error("the guesser must wait before the limit is reached")
		}
		a.fail(guesser, "ada@example.test") // names are compared folded
		if got := a.wait(guesser, "ada@example.test"); got != window {
			t.Errorf("must wait %v, want %v", got, window)
		}
		if a.wait(owner, "ada@example.test") != 0 {
			t.Error("guessing from another address locks the user out")
		}
		if a.wait(guesser, "bob@example.test") != 0 {
			t.Error("failures for one name block another name")
		}
		a.succeed(guesser, "ada@example.test")
		if a.wait(guesser, "ada@example.test") != 0 {
			t.Error("a success does not reset the name")
		}
		for i := range perAddress {
			a.fail(guesser, fmt.Sprint("name", i))
		}
		if a.wait(guesser, "another user") == 0 {
			t.Error("an address may continue to guess with new names")
		}
		time.Sleep(window) //nolint:forbidigo // the bubble's clock
		if a.wait(guesser, "another user") != 0 {
			t.Error("the window does not end")
		}
	})
}

func TestAttemptsAreBounded(t *testing.T) {
	a := newAttempts(time.Now)
	for i := range remembered + 100 {
		a.fail(from(fmt.Sprintf("2001:db8::%x", i)), "ada@example.test")
	}
	if len(a.failed) > remembered+2 {
		t.Errorf("%d attempts are stored", len(a.failed))
	}
}
