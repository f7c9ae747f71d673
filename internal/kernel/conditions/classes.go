// SPDX-License-Identifier: Apache-2.0

package conditions

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"lightrun.com/scim-operator/api/v1alpha1"
)

// Class says who must act before a condition with this reason becomes True: no one, the operator,
// or an administrator.
type Class int

const (
	// Good: nothing to do.
	Good Class = iota
	// Progressing resolves by itself: Reconciling=True. It includes an object that is often created
	// a moment later, such as the Secret of CredentialsNotFound, so that an installation does not
	// count as failed meanwhile.
	Progressing
	// Waiting: a person decides. Ready is False or Unknown; neither Reconciling nor Stalled is set.
	// It is also the class of reasons that occur only in warnings, which do not change Ready.
	Waiting
	// Invalid: a person must change something: Stalled=True.
	Invalid
)

// Classes maps every reason to its class. docs/reference/conditions.md lists the remedies. A test
// checks that it has exactly one row for each reason, with this class.
func Classes() map[string]Class {
	return map[string]Class{
		v1alpha1.ReasonReady:         Good,
		v1alpha1.ReasonClaimed:       Good,
		v1alpha1.ReasonOwned:         Good,
		v1alpha1.ReasonResolved:      Good,
		v1alpha1.ReasonValid:         Good,
		v1alpha1.ReasonProvisioned:   Good,
		v1alpha1.ReasonInherited:     Good,
		v1alpha1.ReasonApplied:       Good,
		v1alpha1.ReasonMirrored:      Good,
		v1alpha1.ReasonBound:         Good,
		v1alpha1.ReasonReachable:     Good,
		v1alpha1.ReasonSynced:        Good,
		v1alpha1.ReasonGroupRenamed:  Good,
		v1alpha1.ReasonMemberRenamed: Good,

		v1alpha1.ReasonPoolWithoutOwner: Good,

		v1alpha1.ReasonProgressing:         Progressing,
		v1alpha1.ReasonDeleting:            Progressing,
		v1alpha1.ReasonPortalUnreachable:   Progressing,
		v1alpha1.ReasonPortalNotListed:     Progressing,
		v1alpha1.ReasonConfigurationNotOK:  Progressing,
		v1alpha1.ReasonPoolPending:         Progressing,
		v1alpha1.ReasonDefaultPoolPending:  Progressing,
		v1alpha1.ReasonNameReleasePending:  Progressing,
		v1alpha1.ReasonCredentialsNotFound: Progressing,
		v1alpha1.ReasonKeysUnconfirmed:     Progressing,

		v1alpha1.ReasonNoConfiguration:    Waiting,
		v1alpha1.ReasonNameHeld:           Waiting,
		v1alpha1.ReasonLocalAccountExists: Waiting,
		v1alpha1.ReasonDeactivatedLocally: Waiting,
		v1alpha1.ReasonGroupNotFound:      Waiting,
		v1alpha1.ReasonGroupAmbiguous:     Waiting,
		v1alpha1.ReasonGroupChanged:       Waiting,
		v1alpha1.ReasonMemberChanged:      Waiting,
		v1alpha1.ReasonMembersMissing:     Waiting,
		v1alpha1.ReasonGuardHeld:          Waiting,
		v1alpha1.ReasonRemovalDropped:     Waiting,
		v1alpha1.ReasonPoolChangeWaiting:  Waiting,
		v1alpha1.ReasonPoolOwnerGone:      Waiting,
		v1alpha1.ReasonOwnerGone:          Waiting,
		v1alpha1.ReasonConsentRequired:    Waiting,
		v1alpha1.ReasonAdoptRefused:       Waiting,
		v1alpha1.ReasonDefaultPoolName:    Waiting,
		v1alpha1.ReasonLastManager:        Waiting,
		v1alpha1.ReasonPlanChanged:        Waiting,
		v1alpha1.ReasonSuspendedByUser:    Waiting,
		v1alpha1.ReasonSCIMOff:            Waiting,
		v1alpha1.ReasonReportOnly:         Waiting,
		v1alpha1.ReasonBackupOlder:        Waiting,
		v1alpha1.ReasonRestoreWindow:      Waiting,
		v1alpha1.ReasonTargetChanged:      Waiting,
		v1alpha1.ReasonTargetLimits:       Waiting,
		v1alpha1.ReasonTokenExpiresSoon:   Waiting,
		v1alpha1.ReasonTokenExpired:       Waiting,
		v1alpha1.ReasonTokenMakerLeft:     Waiting,
		v1alpha1.ReasonAuditChanged:       Waiting,

		v1alpha1.ReasonSSORequired:          Invalid,
		v1alpha1.ReasonNameTaken:            Invalid,
		v1alpha1.ReasonInvalidName:          Invalid,
		v1alpha1.ReasonInvalidFilter:        Invalid,
		v1alpha1.ReasonUnknownRole:          Invalid,
		v1alpha1.ReasonRoleNotGrantable:     Invalid,
		v1alpha1.ReasonPoolExists:           Invalid,
		v1alpha1.ReasonBoundElsewhere:       Invalid,
		v1alpha1.ReasonProviderConflict:     Invalid,
		v1alpha1.ReasonCredentialsRejected:  Invalid,
		v1alpha1.ReasonCredentialsMalformed: Invalid,
		v1alpha1.ReasonInvalidConfiguration: Invalid,
		v1alpha1.ReasonRefusedByPortal:      Invalid,
		v1alpha1.ReasonSSONotReachable:      Invalid,
	}
}

// classOf returns the class of Ready's reason. TestEveryReasonHasAClassAndARemedy ensures that
// every constant has one; any other reason counts as Progressing.
func classOf(ready Leaf) Class {
	if ready.Status == metav1.ConditionTrue {
		return Good
	}
	if c, ok := Classes()[ready.Reason]; ok {
		return c
	}
	return Progressing
}
