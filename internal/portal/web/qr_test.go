// SPDX-License-Identifier: Apache-2.0

package web

import (
	"fmt"
	"strings"
	"testing"

	"github.com/boombuler/barcode/qr"

	"lightrun.com/scim-operator/internal/portal/store"
)

// TestQRCode draws the path again and compares it with the code, module by module.
func TestQRCode(t *testing.T) {
	const text = "otpauth://totp/Management%20Portal:bob@example.test?secret=ABCDEFGHIJKLMNOPQRSTUVWXYZ234567&issuer=Management%20Portal"
	got, err := newQRCode(text)
	if err != nil {
		t.Fatal(err)
	}
	want, err := qr.Encode(text, qr.M, qr.Auto)
	if err != nil {
		t.Fatal(err)
	}
	n := want.Bounds().Dx()
	if got.Size != n+8 {
		t.Errorf("the size is %d, want %d and a border of 4 on each side", got.Size, n)
	}
	black := map[[2]int]bool{}
	for run := range strings.SplitSeq(strings.TrimSuffix(got.Path, "z"), "z") {
		var x, y, width, back int
		if _, err := fmt.Sscanf(run, "M%d %dh%dv1h-%d", &x, &y, &width, &back); err != nil || back != width {
			t.Fatalf("%q: %v", run, err)
		}
		for i := range width {
			black[[2]int{x + i - 4, y - 4}] = true
		}
	}
	for x := range n {
		for y := range n {
			if r, _, _, _ := want.At(x, y).RGBA(); (r == 0) != black[[2]int{x, y}] {
				t.Fatalf("the module %d, %d differs", x, y)
			}
		}
	}
	if _, err := newQRCode(store.TOTPURL(issuerInApps, strings.Repeat("🦊", 256), store.NewTOTPSecret())); err != nil {
		t.Errorf("the longest user name: %v", err)
	}
	if _, err := newQRCode(strings.Repeat("x", 8000)); err == nil {
		t.Error("a text that fits no code is drawn")
	}
}
