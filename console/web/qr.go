package web

import (
	"fmt"
	"strings"

	"rsc.io/qr"
)

// code is a QR code as a picture: one path, a unit for each module, with the quiet zone of
// four modules that the standard asks for (ISO/IEC 18004 section 9.1).
type code struct {
	Size int
	Path string
}

// qrCode makes the code of a text, or none where it is too long for one.
func qrCode(text string) code {
	const quiet = 4
	q, err := qr.Encode(text, qr.L)
	if err != nil {
		return code{}
	}
	var path strings.Builder
	for y := range q.Size {
		for x := 0; x < q.Size; x++ {
			from := x
			for x < q.Size && q.Black(x, y) {
				x++
			}
			if x > from {
				fmt.Fprintf(&path, "M%d %dh%dv1h-%dz", from+quiet, y+quiet, x-from, x-from)
			}
		}
	}
	return code{Size: q.Size + 2*quiet, Path: path.String()}
}
