// SPDX-License-Identifier: Apache-2.0

package preview

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"

	"github.com/go-logr/logr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"lightrun.com/scim-operator/internal/kernel/portalapi"
	"lightrun.com/scim-operator/internal/operator/portalclient/mirror"
	"lightrun.com/scim-operator/internal/operator/portalclient/session"
)

// publishAgain is the pause after a plan could not be computed or published.
const publishAgain = 2 * time.Second

// Publisher computes the plan of the migration when a manager in the portal asks for it, and
// publishes it to the portal. It is a manager.Runnable.
type Publisher struct {
	Objects   client.Reader // the API server
	Namespace string
	Session   *session.Session
	Log       logr.Logger

	answered answered
}

// answered is the last request that was answered. Another connection counts its own requests.
type answered struct {
	mirror  *mirror.Mirror
	request int64
}

// Start answers requests until ctx ends.
func (p *Publisher) Start(ctx context.Context) error {
	wake := make(chan struct{}, 1)
	p.Session.Subscribe(func(e session.Event) {
		if !e.Session && !e.Configuration && !e.Listed {
			return
		}
		select {
		case wake <- struct{}{}:
		default: // one is waiting
		}
	})
	for {
		var again <-chan time.Time
		if err := p.answer(ctx); err != nil {
			p.Log.Info("The migration plan waits", "reason", err.Error())
			again = time.After(publishAgain)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-wake:
		case <-again:
		}
	}
}

// answer publishes a plan if the portal asks for one.
func (p *Publisher) answer(ctx context.Context) error {
	v := p.Session.View()
	if v.Client == nil || v.Mirror == nil || !v.Mirror.Listed() {
		return nil
	}
	request := v.Mirror.Configuration().PlanRequest
	if request == 0 || p.answered == (answered{v.Mirror, request}) {
		return nil
	}
	r, err := Compute(ctx, Options{Objects: p.Objects, Portal: v.Client, Namespace: p.Namespace, Migrate: true})
	if err != nil {
		return fmt.Errorf("compute the migration plan: %w", err)
	}
	plan, err := r.Migration.Plan(request)
	if err != nil {
		return err
	}
	if err := v.Client.PutMigrationPlan(ctx, plan); err != nil {
		return fmt.Errorf("publish the migration plan: %w", err)
	}
	p.answered = answered{v.Mirror, request}
	return nil
}

// Plan returns the plan that answers the request. The same lines have the same id.
func (m *Migration) Plan(request int64) (portalapi.MigrationPlan, error) {
	text, err := json.Marshal(m.Lines)
	if err != nil {
		return portalapi.MigrationPlan{}, fmt.Errorf("digest the migration plan: %w", err)
	}
	sum := sha256.Sum256(text)
	return portalapi.MigrationPlan{ID: hex.EncodeToString(sum[:16]), Request: request, Lines: m.Lines}, nil
}
