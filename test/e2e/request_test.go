// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"sigs.k8s.io/controller-runtime/pkg/client"

	portalv1 "lightrun.com/scim-operator/api/portal/v1"
	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/kernel/requestid"
	"lightrun.com/scim-operator/test/framework/devenv"
	"lightrun.com/scim-operator/test/framework/idp"
)

// TestOneRequestFromPushToAudit follows the id of a SCIM request. The id of the creation is in the
// response, the webhook's log, the ScimUser and the portal's audit log. The ids of the deactivation
// and the deletion are in the portal's audit log.
func TestOneRequestFromPushToAudit(t *testing.T) {
	w := shared(t)
	ada := w.name("ada")
	w.request = "arrival-" + w.tag
	arrival := w.must("POST", "/Users", idp.User(ada), http.StatusCreated)
	id := arrival.ID()
	if have := arrival.Header.Get("X-Request-Id"); have != w.request {
		t.Errorf("the answer has %q", have)
	}
	account := w.becomes(ada, "arrives", active)
	var u v1alpha1.ScimUser
	if err := w.env.Client.Get(t.Context(), client.ObjectKey{Namespace: devenv.Namespace, Name: id}, &u); err != nil {
		t.Fatal(err)
	}
	if have := requestid.Stamped(u.Annotations[v1alpha1.AnnotationRequest], u.Spec.Revision); have != w.request {
		t.Errorf("the ScimUser has the request id %q, want %q", have, w.request)
	}
	w.logged(devenv.Webhook, w.request, `"Served"`, "create")
	w.audited(account.ID, "user.create", w.request)

	w.request = "departure-" + w.tag
	w.must("PATCH", "/Users/"+id, idp.Patch(idp.SetActive(false)), http.StatusOK)
	w.becomes(ada, "is deactivated", deactivated)
	w.audited(account.ID, "user.provision", w.request)

	w.request = "" // the webhook creates one
	gone := w.must("DELETE", "/Users/"+id, nil, http.StatusNoContent)
	w.audited(account.ID, "user.release", gone.Header.Get("X-Request-Id"))

	w.request = "group-" + w.tag
	group := w.must("POST", "/Groups", map[string]any{"schemas": []string{"urn:ietf:params:scim:schemas:core:2.0:Group"}, "displayName": w.name("group")}, http.StatusCreated)
	w.manualShowsEvent(group.ID())
}

// logged waits until one line of the program's log contains all the words.
func (w *world) logged(program string, words ...string) {
	w.t.Helper()
	eventually(w.t, fmt.Sprintf("%s logs %q", program, words), func(context.Context) error {
		log, err := os.ReadFile(filepath.Join(w.env.Dir, "logs", program+".log"))
		if err != nil {
			return err
		}
	lines:
		for line := range strings.Lines(string(log)) {
			for _, word := range words {
				if !strings.Contains(line, word) {
					continue lines
				}
			}
			return nil
		}
		return fmt.Errorf("no line of the log contains all of %q", words)
	})
}

// audited waits until the newest page of the portal's audit log of an account has the action with
// the request's id.
func (w *world) audited(account, action, request string) {
	w.t.Helper()
	eventually(w.t, "the portal's audit log has "+action, func(ctx context.Context) error {
		got, err := w.env.API.ListAuditEventsWithResponse(ctx, &portalv1.ListAuditEventsParams{UserID: &account})
		if err != nil || got.JSON200 == nil {
			return errors.Join(err, errors.New("the audit log can't be read"))
		}
		for _, e := range got.JSON200.Items {
			if e.RequestID == request && e.Action == action {
				return nil
			}
		}
		return fmt.Errorf("no event %s of request %s in %+v", action, request, got.JSON200.Items)
	})
}

// manualShowsEvent runs the manual's command for the events of an object, until it prints the event
// of the last request.
func (w *world) manualShowsEvent(id string) {
	w.t.Helper()
	line := regexp.MustCompile(`(?m)^\$ (kubectl .*get events.*)$`).FindStringSubmatch(page(w.t, "observability.md"))
	if line == nil {
		w.t.Fatal("observability.md has no command for events")
	}
	config := w.elsewhere()
	eventually(w.t, "the manual's command prints the event", func(ctx context.Context) error {
		cmd := exec.CommandContext(ctx, "/bin/bash", "-ec", line[1])
		cmd.Env = append(os.Environ(), "ID="+id, "KUBECONFIG="+config, "KUBECACHEDIR="+w.t.TempDir(), "PATH="+filepath.Dir(w.env.Values.Kubectl)+":"+os.Getenv("PATH"))
		out, err := cmd.CombinedOutput()
		if err != nil || !strings.Contains(string(out), "(request "+w.request+")") {
			return fmt.Errorf("%s prints %s: %w", line[1], out, errors.Join(err, errors.New("no event of the request")))
		}
		return nil
	})
}
