// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	portalv1 "lightrun.com/scim-operator/api/portal/v1"
	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/test/framework/devenv"
	"lightrun.com/scim-operator/test/framework/idp"
	"lightrun.com/scim-operator/test/framework/poll"
)

// TestCrashInMidPush: the webhook and the manager are killed while users are pushed. The provider
// repeats unanswered requests, as all providers do; in the end each user exists once.
func TestCrashInMidPush(t *testing.T) {
	for _, victim := range []string{devenv.Webhook, devenv.Manager} {
		t.Run(victim, func(t *testing.T) {
			w := shared(t)
			names := make([]string, 60)
			for i := range names {
				names[i] = w.name(fmt.Sprintf("p%02d", i))
			}
			ids := w.insistAll(names, 4, func() error {
				return errors.Join(w.env.Kill(victim), w.env.Restart(t.Context(), victim))
			})
			w.everyoneOnce(names, ids)
		})
	}
}

// insistAll creates users as insist does, several at a time, and returns their ids in the order of
// names. If half is not nil, it runs beside the other pushes as soon as half of the users are
// created.
func (w *world) insistAll(names []string, parallel int, half func() error) []string {
	w.t.Helper()
	ids := make([]string, len(names))
	pushes, ctx := errgroup.WithContext(w.t.Context())
	pushes.SetLimit(parallel)
	var created atomic.Int64
	var beside errgroup.Group
	for i, name := range names {
		pushes.Go(func() (err error) {
			if ids[i], err = w.insist(ctx, name); err != nil {
				return err
			}
			if created.Add(1) == int64(len(names)/2) && half != nil {
				beside.Go(half)
			}
			return nil
		})
	}
	if err := errors.Join(pushes.Wait(), beside.Wait()); err != nil {
		w.t.Fatal(err)
	}
	return ids
}

// insist creates a user as a provider does: it repeats the request until it gets a response, and
// after a conflict it searches for the user. It may run in any goroutine.
func (w *world) insist(ctx context.Context, userName string) (id string, err error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	err = poll.Until(ctx, 100*time.Millisecond, func(ctx context.Context) error {
		a, err := w.scim(ctx, "POST", "/Users", idp.User(userName))
		if err != nil {
			return err
		}
		switch a.Status {
		case http.StatusCreated:
			id = a.ID()
			return nil
		case http.StatusConflict:
			found, err := w.scim(ctx, "GET", "/Users?filter="+url.QueryEscape(fmt.Sprintf("userName eq %q", userName)), nil)
			if err != nil {
				return err
			}
			list, _ := found.Body["Resources"].([]any)
			if len(list) != 1 {
				return fmt.Errorf("a conflict, and then %d users of that name: %s", len(list), a.Detail())
			}
			id, _ = list[0].(map[string]any)["id"].(string)
			return nil
		}
		return fmt.Errorf("answered %d %s", a.Status, a.Detail())
	})
	if err != nil {
		return "", fmt.Errorf("push %s: %w", userName, err)
	}
	return id, nil
}

// everyoneOnce checks that no user is missing or duplicated, in Kubernetes and in the portal, and
// that claims match.
func (w *world) everyoneOnce(names, ids []string) {
	w.t.Helper()
	accounts := map[string]string{}
	for i, name := range names {
		account := w.becomes(name, "exists once", active)
		if other, twice := accounts[account.ID]; twice {
			w.t.Errorf("%s and %s share the account %s", name, other, account.ID)
		}
		accounts[account.ID] = name
		w.condition(ids[i], v1alpha1.ConditionReady, metav1.ConditionTrue, "")
	}
	eventually(w.t, "one ScimUser and one claim each", func(ctx context.Context) error {
		var users v1alpha1.ScimUserList
		var claims v1alpha1.NameClaimList
		in := client.InNamespace(devenv.Namespace)
		if err := errors.Join(w.env.Client.List(ctx, &users, in), w.env.Client.List(ctx, &claims, in)); err != nil {
			return err
		}
		held := map[string]int{}
		for _, c := range claims.Items {
			held[c.Spec.Holder.Name]++
		}
		count := map[string]int{}
		for _, u := range users.Items {
			if !strings.Contains(u.Spec.UserName, w.tag) {
				continue
			}
			count[u.Spec.UserName]++
			if held[u.Name] != 1 {
				return fmt.Errorf("%s (%s) has %d claims", u.Spec.UserName, u.Name, held[u.Name])
			}
		}
		for _, name := range names {
			if count[name] != 1 {
				return fmt.Errorf("%s has %d ScimUsers", name, count[name])
			}
		}
		return nil
	})
}

// TestPortalDown: SCIM requests are accepted while the portal is down, and the portal gets the
// changes when it is back.
func TestPortalDown(t *testing.T) {
	w := shared(t)
	early, late := w.name("early"), w.name("late")
	earlyID := w.arrive(early)
	w.becomes(early, "arrives", active)
	if err := w.env.Kill(devenv.Portal); err != nil {
		t.Fatal(err)
	}
	back := sync.OnceFunc(func() {
		if err := w.env.Restart(context.WithoutCancel(t.Context()), devenv.Portal); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(back)
	lateID := w.arrive(late)
	w.must("PATCH", "/Users/"+earlyID, idp.Patch(idp.Replace("displayName", "Earlier")), http.StatusOK, http.StatusNoContent)
	w.condition(lateID, v1alpha1.ConditionReady, metav1.ConditionUnknown, v1alpha1.ReasonPortalUnreachable)
	back()
	w.becomes(late, "arrives late", active)
	w.becomes(early, "is up to date", func(u portalv1.User) bool { return active(u) && u.DisplayName == "Earlier" })
	w.condition(lateID, v1alpha1.ConditionReady, metav1.ConditionTrue, "")
}

// TestTwoWritersOneName: of concurrent writers of one name, exactly one gets it; the others get a
// conflict.
func TestTwoWritersOneName(t *testing.T) {
	w := shared(t)
	for round := range 10 {
		name := w.name(fmt.Sprintf("race%d", round))
		spellings := []string{name, strings.ToUpper(name), name, strings.ToUpper(name)}
		answers := make([]idp.Answer, len(spellings))
		var racing sync.WaitGroup
		start := make(chan struct{})
		for i, spelling := range spellings {
			racing.Go(func() {
				<-start
				var err error
				if answers[i], err = w.scim(t.Context(), "POST", "/Users", idp.User(spelling)); err != nil {
					t.Error(err)
				}
			})
		}
		close(start)
		racing.Wait()
		created := 0
		for _, a := range answers {
			switch a.Status {
			case http.StatusCreated:
				created++
			case http.StatusConflict:
				if a.Body["scimType"] != "uniqueness" {
					t.Errorf("a conflict without scimType uniqueness: %v", a.Body)
				}
			default:
				t.Errorf("answered %d %v", a.Status, a.Body)
			}
		}
		if created != 1 {
			t.Errorf("round %d: %d writers got the name, must be one", round, created)
		}
		w.becomes(name, "exists once", active)
	}
}
