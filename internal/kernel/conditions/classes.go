// SPDX-License-Identifier: Apache-2.0

package conditions

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"lightrun.com/scim-operator/api/v1alpha1"
)

// Class is what a reason means for a user who waits for the object.
type Class int

const (
	Good        Class = iota // nothing to do
	Progressing              // resolves by itself: Reconciling=True
	Waiting                  // a person decides: Ready=False, neither Reconciling nor Stalled
	Invalid                  // a person must change something: Stalled=True
)

// Classes maps every reason to its class. docs/reference/conditions.md lists the remedies. A test
// compares that list with this one.
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

// classOf classifies Ready. A reason without a class counts as Progressing: the object is not in
// its desired state, and no person is asked to act. The test over Classes prevents this.
func classOf(ready Leaf) Class {
	if ready.Status == metav1.ConditionTrue {
		return Good
	}
	if c, ok := Classes()[ready.Reason]; ok {
		return c
	}
	return Progressing
}
