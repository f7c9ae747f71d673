// SPDX-License-Identifier: Apache-2.0

package v1alpha1_test

import (
	"testing"

	"lightrun.com/scim-operator/api/v1alpha1"
)

func TestAcceptedRevision(t *testing.T) {
	for _, tc := range []struct {
		reason, annotation string
		want               int64
	}{
		{"Without the annotation no revision is accepted.", "", 0},
		{"The annotation quotes a revision.", "7", 7},
		{"A number that is too large is refused: it is not read as the largest revision.", "99999999999999999999", 0},
		{"A text that is no number is refused.", "seven", 0},
		{"A revision with a sign is refused: only the form that BackupOlder prints is accepted.", "+7", 0},
		{"A revision with leading zeros is refused: only the form that BackupOlder prints is accepted.", "007", 0},
	} {
		t.Run(tc.reason, func(t *testing.T) {
			annotations := map[string]string{v1alpha1.AnnotationAcceptBackup: tc.annotation}
			if got := v1alpha1.AcceptedRevision(annotations); got != tc.want {
				t.Errorf("AcceptedRevision with the annotation %q is %d, want %d", tc.annotation, got, tc.want)
			}
		})
	}
}
