// SPDX-License-Identifier: Apache-2.0

package identityconfiguration

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/kernel/conditions"
	"lightrun.com/scim-operator/internal/kernel/portalapi"
	"lightrun.com/scim-operator/internal/operator/pass"
)

// headEvery is the time between two readings of the head of the portal's audit.
const headEvery = time.Hour

// auditHead records the head of the portal's audit in the status, where a person who can change the
// portal's database cannot change it. Before that, it checks that the portal still has the event
// that it recorded last. If not, the recorded head stays, as evidence.
func (p *scope) auditHead(ctx context.Context) pass.Outcome {
	p.headStep = true
	have := conditions.Find(p.config.Status.Conditions, v1alpha1.ConditionAuditChanged)
	if p.Clock.Now().Sub(p.headRead) < headEvery {
		return keep(have)
	}
	if recorded := p.config.Status.AuditHead; recorded != nil {
		is, err := p.client.AuditHead(ctx, recorded.Sequence)
		missing := portalapi.CodeOf(err) == portalapi.CodeNotFound
		if err != nil && !missing {
			return keep(have) // tried again with the next pass
		}
		if missing || is.MAC != recorded.MAC {
			p.headRead = p.Clock.Now()
			return p.auditChanged(recorded, missing, have)
		}
	}
	head, err := p.client.AuditHead(ctx, 0)
	if err != nil && portalapi.CodeOf(err) != portalapi.CodeNotFound {
		return pass.Next() // tried again with the next pass
	}
	p.headRead = p.Clock.Now()
	if head.MAC != "" {
		p.head = &v1alpha1.AuditHead{Sequence: head.Sequence, MAC: head.MAC}
	}
	return pass.Next()
}

func (p *scope) auditChanged(recorded *v1alpha1.AuditHead, missing bool, have *metav1.Condition) pass.Outcome {
	how := "has another MAC"
	if missing {
		how = "is missing"
	}
	message := fmt.Sprintf("Event %d of the portal's audit, which status.auditHead recorded, %s: events were changed or removed, or the portal was restored from a backup. Check the audit with portal --verify-audit", recorded.Sequence, how)
	if have == nil || have.Message != message {
		p.Event(corev1.EventTypeWarning, v1alpha1.ReasonAuditChanged, "Warn", "%s", message)
	}
	return pass.Warn(conditions.True(v1alpha1.ConditionAuditChanged, v1alpha1.ReasonAuditChanged, message))
}

// keep keeps a warning as it is, if there is one.
func keep(have *metav1.Condition) pass.Outcome {
	if have == nil {
		return pass.Next()
	}
	return pass.Warn(conditions.True(have.Type, have.Reason, have.Message))
}
