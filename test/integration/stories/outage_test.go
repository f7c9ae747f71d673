// SPDX-License-Identifier: Apache-2.0

package stories_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/portal/store"
)

func TestBreakerAndRecovery(t *testing.T) {
	w := newWorld(t)
	w.provisioned(w.push("first@example.test"), user)
	t.Log("reads succeed and writes fail, so that only the breaker limits the calls")
	w.faults.mu.Lock()
	w.faults.refuse = func(r *http.Request) bool {
		return r.Method == http.MethodPut && strings.Contains(r.URL.Path, "/provisioning/users/")
	}
	w.faults.mu.Unlock()
	w.faults.reset()
	var people []*v1alpha1.ScimUser
	for i := range 100 {
		people = append(people, w.push(fmt.Sprintf("p%d@example.test", i)))
	}
	for _, p := range people {
		w.says(p, v1alpha1.ConditionProvisioned, v1alpha1.ReasonPortalUnreachable)
	}
	if n := len(w.faults.writes()); n > 50 {
		t.Errorf("%d calls for 100 users", n)
	}
	w.faults.mu.Lock()
	w.faults.refuse = nil
	w.faults.mu.Unlock()
	w.eventually("every user has an account", func() error {
		n, err := w.store.CountAccounts(t.Context(), store.AccountFilter{})
		if err != nil {
			return err
		}
		if n != 102 { // including the first user and the administrator
			return errors.New(fmt.Sprint(n, " accounts"))
		}
		return nil
	})
	for _, p := range people {
		w.provisioned(p, user)
	}
}
