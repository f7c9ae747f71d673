// SPDX-License-Identifier: Apache-2.0

package scimuser

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

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
		{"A text is refused.", "seven", 0},
		{"Only the spelling that BackupOlder prints is accepted: no sign,", "+7", 0},
		{"and no leading zeros.", "007", 0},
	} {
		t.Run(tc.reason, func(t *testing.T) {
			u := &v1alpha1.ScimUser{ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{v1alpha1.AnnotationAcceptBackup: tc.annotation}}}
			if got := acceptedRevision(u); got != tc.want {
				t.Errorf("acceptedRevision with the annotation %q is %d, want %d", tc.annotation, got, tc.want)
			}
		})
	}
}
