// SPDX-License-Identifier: Apache-2.0

package web

import (
	"fmt"
	"strings"

	"github.com/boombuler/barcode/qr"
)

// quiet is the width of the white border that readers of QR codes need, in modules.
const quiet = 4

// qrCode is a QR code as an SVG path in a square of size modules. An image would need a file or a
// data: URL, which the content policy forbids.
type qrCode struct {
	Size int
	Path string // of the black modules, one rectangle for each run in a row
}

func newQRCode(text string) (qrCode, error) {
	code, err := qr.Encode(text, qr.M, qr.Auto)
	if err != nil {
		return qrCode{}, fmt.Errorf("draw the QR code: %w", err)
	}
	n := code.Bounds().Dx()
	black := func(x, y int) bool {
		if x >= n {
			return false
		}
		r, _, _, _ := code.At(x, y).RGBA()
		return r == 0
	}
	var path strings.Builder
	for y := range n {
		for x := 0; x < n; x++ {
			from := x
			for black(x, y) {
				x++
			}
			if x > from {
				fmt.Fprintf(&path, "M%d %dh%dv1h-%dz", from+quiet, y+quiet, x-from, x-from)
			}
		}
	}
	return qrCode{Size: n + 2*quiet, Path: path.String()}, nil
}
